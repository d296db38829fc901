"""The sandbox benchmark: this sandbox against plain subprocesses and bubblewrap, on the same calls."""
