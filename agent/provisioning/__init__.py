"""Provisioning: a token becomes a key in place, and a configuration that says where."""
