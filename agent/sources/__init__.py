"""Where pictures come from: watched directories and cameras."""
