"""How large a picture may be."""

from __future__ import annotations

from typing import NamedTuple


class PictureLimits(NamedTuple):
    """What is accepted, by the file's size and by the size in the picture's own header.

    `max_bytes` holds for what is sent as it is; the platform takes 50 MB, and the rest of the upload's body needs
    some of it. `max_convert_bytes` holds for what is re-encoded first: BMP and TIFF shrink tenfold.
    """

    max_bytes: int = 49_000_000
    max_pixels: int = 100_000_000
    max_convert_bytes: int = 200_000_000
