"""Annotators: programs, servers and models that say what is on a picture that came without a sidecar."""
