"""A job while it runs: its event log followed from another process, and its figures for Prometheus."""
