"""The status page and the metrics: a process of its own that reads what `status` does and acts by rows."""
