"""The Acusight edge agent: pictures and their annotations, from a device to the platform, nothing lost."""

__version__ = "0.1.0"
