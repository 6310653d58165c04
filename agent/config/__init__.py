"""The configuration: one file, overridden by the environment, checked whole before anything is touched."""
