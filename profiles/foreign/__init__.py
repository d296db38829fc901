"""What can be said of a job that headway does not schedule: from the /metrics of its vLLM engines alone."""
