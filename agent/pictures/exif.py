"""The one thing of EXIF that matters here: which way up the picture is shown."""

from __future__ import annotations

import struct

from agent.errors import BadPicture
from agent.pictures import tiff
from agent.pictures.tape import NotWhole

PREFIX = b"Exif\0\0"
UPRIGHT = 1
_LAST = 8
_APP1 = 0xFFE1
_SHORT = 3


def read_orientation(block: bytes) -> int:
    """Return the orientation (1 to 8) in an EXIF block without its prefix; 1 where it says nothing usable."""

    def read(offset: int, count: int) -> bytes:
        part = block[offset : offset + count]
        if len(part) < count:
            raise NotWhole("the EXIF block ends early")
        return part

    try:
        found = tiff.read_tags(read, {tiff.ORIENTATION})
    except (NotWhole, BadPicture):
        return UPRIGHT
    return valid(found)


def valid(tags: dict[int, tuple[int, ...]]) -> int:
    """Return the orientation among TIFF tags, 1 where there is none or a senseless one."""
    orientation = tags.get(tiff.ORIENTATION, (UPRIGHT,))[0]
    return orientation if UPRIGHT <= orientation <= _LAST else UPRIGHT


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """Return the JPEG with an EXIF block that holds this orientation and nothing else."""
    if orientation == UPRIGHT:
        return jpeg
    block = PREFIX + orientation_block(orientation)
    return jpeg[:2] + struct.pack(">HH", _APP1, len(block) + 2) + block + jpeg[2:]


def orientation_block(orientation: int) -> bytes:
    """Return an EXIF block, without its prefix, that holds this orientation and nothing else."""
    entry = struct.pack(">HHIHH", tiff.ORIENTATION, _SHORT, 1, orientation, 0)
    return struct.pack(">2sHIH", b"MM", 42, 8, 1) + entry + bytes(4)
