"""What a walker finds: the picture as its own header describes it."""

from __future__ import annotations

from typing import NamedTuple

WEBP = "image/webp"
BMP = "image/bmp"
TIFF = "image/tiff"


class Header(NamedTuple):
    """Media type, size in pixels as stored, and EXIF orientation (1 to 8, 1 where nothing is said)."""

    media_type: str
    width: int
    height: int
    orientation: int = 1
