"""What is converted before it is sent: WebP, BMP and TIFF, as far as size and completeness go."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from agent.errors import BadPicture
from agent.pictures import exif, tiff
from agent.pictures.header import BMP, TIFF, WEBP, Header
from agent.pictures.tape import NotWhole

if TYPE_CHECKING:
    from agent.pictures.tape import Tape

# The last two are there to be reached: libtiff writes them behind everything else.
_TIFF_TAGS = frozenset({
    tiff.WIDTH, tiff.HEIGHT, tiff.ORIENTATION,
    tiff.STRIP_OFFSETS, tiff.STRIP_BYTES, tiff.TILE_OFFSETS, tiff.TILE_BYTES,
    tiff.SAMPLE_BITS, tiff.SAMPLE_FORMATS,
})  # fmt: skip
_HAS_EXIF = 0x08
_MAX_EXIF = 64 * 1024
# A film of a thousand pictures is none that is looked through for its orientation.
_MAX_CHUNKS = 1000
_BMP_CORE_HEADER = 12
_BMP_PLAIN = frozenset({0, 3, 6})
_FOURTEEN_BITS = 0x3FFF


def walk_webp(tape: Tape) -> Header:
    """Return the header of a WebP that is as long as its RIFF container says."""
    length, form, chunk = struct.unpack("<I4s4s", tape.look(4, 12))
    if form != b"WEBP":
        raise BadPicture("it is a RIFF file, but no WebP picture")
    _must_reach(tape, 8 + length)
    body = tape.look(20, 10)
    orientation = exif.UPRIGHT
    if chunk == b"VP8X":
        orientation = _webp_orientation(tape, 8 + length) if body[0] & _HAS_EXIF else exif.UPRIGHT
        width, height = int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    elif chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        width, height = (bits & _FOURTEEN_BITS) + 1, (bits >> 14 & _FOURTEEN_BITS) + 1
    elif chunk == b"VP8 ":
        width, height = (side & _FOURTEEN_BITS for side in struct.unpack("<HH", body[6:]))
    else:
        raise BadPicture("the WebP is damaged: its first chunk is unknown")
    return Header(WEBP, width, height, orientation)


def _webp_orientation(tape: Tape, end: int) -> int:
    """Return what the EXIF chunk says, which lies behind the pixels; 1 where none is found."""
    at = 12
    for _ in range(_MAX_CHUNKS):
        if at + 8 > end:
            break
        kind, size = struct.unpack("<4sI", tape.look(at, 8))
        if kind == b"EXIF":
            # Some writers put JPEG's prefix in front.
            block = tape.look(at + 8, min(size, _MAX_EXIF, tape.size - at - 8))
            return exif.read_orientation(block.removeprefix(exif.PREFIX))
        at += 8 + size + size % 2
    return exif.UPRIGHT


def walk_bmp(tape: Tape) -> Header:
    """Return the header of a BMP that is as long as its pixels need."""
    pixels, header_size = struct.unpack("<II", tape.look(10, 8))
    if header_size == _BMP_CORE_HEADER:
        width, height, _, depth = struct.unpack("<HHHH", tape.look(18, 8))
        compression, image_size = 0, 0
    else:
        width, height, _, depth, compression, image_size = struct.unpack("<iiHHII", tape.look(18, 20))
    if compression in _BMP_PLAIN:
        image_size = (width * depth + 31) // 32 * 4 * abs(height)
    _must_reach(tape, pixels + image_size)
    # Stored from the top down, a picture has a negative height.
    return Header(BMP, width, abs(height))


def walk_tiff(tape: Tape) -> Header:
    """Return the header of a TIFF whose first picture has all its strips or tiles."""
    tags = tiff.read_tags(tape.look, _TIFF_TAGS)
    for offsets, lengths in ((tiff.STRIP_OFFSETS, tiff.STRIP_BYTES), (tiff.TILE_OFFSETS, tiff.TILE_BYTES)):
        for offset, length in zip(tags.get(offsets, ()), tags.get(lengths, ()), strict=False):
            _must_reach(tape, offset + length)
    width, height = (tags.get(tag, (0,))[0] for tag in (tiff.WIDTH, tiff.HEIGHT))
    return Header(TIFF, width, height, exif.valid(tags))


def _must_reach(tape: Tape, end: int) -> None:
    if tape.size < end:
        raise NotWhole("the file ends in the middle of the picture")
