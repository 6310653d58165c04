"""The durable queue: an SQLite index over plain picture files. Intake and drain meet here alone."""
