"""TIFF directories: those of TIFF files, and the same thing inside EXIF."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from agent.errors import BadPicture

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

WIDTH, HEIGHT, ORIENTATION = 256, 257, 274
STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES = 273, 279, 324, 325
SAMPLE_BITS, SAMPLE_FORMATS = 258, 339

_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_LONG = 4
_SHORT_AND_LONG = {3: "H", _LONG: "I"}
# One strip a row of the tallest picture within the limits, and then some.
_MAX_VALUES = 250_000


def read_tags(read: Callable[[int, int], bytes], wanted: Collection[int]) -> dict[int, tuple[int, ...]]:
    """Return the wanted whole-number tags of the first directory; what is stored as another type is left out.

    `read(offset, count)` returns exactly that many bytes or raises; its error passes through.
    """
    order = _ORDERS.get(read(0, 4))
    if order is None:
        raise BadPicture("its TIFF header is damaged")
    (start,) = struct.unpack(f"{order}I", read(4, 4))
    (count,) = struct.unpack(f"{order}H", read(start, 2))
    found = {}
    for tag, kind, number, inline in struct.iter_unpack(f"{order}HHI4s", read(start + 2, count * 12)):
        if tag in wanted and kind in _SHORT_AND_LONG and 0 < number <= _MAX_VALUES:
            shape = f"{order}{number}{_SHORT_AND_LONG[kind]}"
            size = struct.calcsize(shape)
            where = struct.unpack(f"{order}I", inline)[0]
            found[tag] = struct.unpack(shape, inline[:size] if size <= len(inline) else read(where, size))
    return found


def without_orientation(picture: bytes) -> bytes | bytearray:
    """Return a TIFF that says to be upright: its decoder obeys the tag whatever it is told (seen in OpenCV 5.0)."""
    order = _ORDERS.get(picture[:4])
    try:
        (start,) = struct.unpack_from(f"{order}I", picture, 4) if order else (0,)
        (count,) = struct.unpack_from(f"{order}H", picture, start) if order else (0,)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", picture, entry)
            if tag == ORIENTATION:
                upright = bytearray(picture)
                struct.pack_into(f"{order}{'I' if kind == _LONG else 'H'}", upright, entry + 8, 1)
                return upright
    except struct.error:
        pass  # the decoder will say what is wrong
    return picture
