"""Annotations: what lies beside a picture becomes the boxes that the platform knows."""
