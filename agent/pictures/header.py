"""What a walker finds: the picture as its own header describes it."""

from __future__ import annotations

from dataclasses import dataclass

WEBP = "image/webp"
BMP = "image/bmp"
TIFF = "image/tiff"


@dataclass(frozen=True, slots=True)
class Header:
    """Media type, size in pixels as stored, and EXIF orientation (1 to 8, 1 where nothing is said)."""

    media_type: str
    width: int
    height: int
    orientation: int = 1
