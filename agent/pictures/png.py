"""PNG, by its chunks and their checksums from IHDR to IEND."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from agent.errors import BadPicture
from agent.media import PNG
from agent.pictures import exif
from agent.pictures.header import Header

if TYPE_CHECKING:
    from agent.pictures.tape import Tape

_SIGNATURE_BYTES = 8
_IHDR_BYTES = 13
_MAX_LENGTH = 2**31 - 1
# Only these are held, and no more of them than EXIF may have; the others pass by in pieces.
_KEPT = frozenset({b"IHDR", b"eXIf"})
_MAX_KEPT = 64 * 1024
# 49 MB in chunks of 1 KB; the same in empty chunks would cost 8 s.
_MAX_CHUNKS = 50_000


def walk(tape: Tape) -> Header:
    """Return the header of a PNG whose every chunk is there and intact; what follows IEND is not looked at."""
    tape.skip(_SIGNATURE_BYTES)
    kind, body = _chunk(tape)
    if kind != b"IHDR" or len(body) != _IHDR_BYTES:
        raise BadPicture("the PNG is damaged: it does not begin with its header")
    width, height = struct.unpack_from(">II", body)
    orientation, pixels = 1, False
    for _ in range(_MAX_CHUNKS):
        kind, body = _chunk(tape)
        if kind == b"IEND":
            if not pixels:
                raise BadPicture("the PNG holds no picture")
            return Header(PNG, width, height, orientation)
        pixels |= kind == b"IDAT"
        if kind == b"eXIf":
            orientation = exif.read_orientation(body)
    raise BadPicture(f"the PNG has more than {_MAX_CHUNKS} chunks")


def _chunk(tape: Tape) -> tuple[bytes, bytes]:
    """Read one chunk and hold it against its checksum; return its kind, and its body where that is kept."""
    length, kind = struct.unpack(">I4s", tape.take(8))
    if length > _MAX_LENGTH or not kind.isalpha():
        raise BadPicture("the PNG is damaged: something that is no chunk lies between its chunks")
    body = b""
    crc = zlib.crc32(kind)
    for part in tape.parts(length):
        crc = zlib.crc32(part, crc)
        if kind in _KEPT and length <= _MAX_KEPT:
            body += part
    if crc != int.from_bytes(tape.take(4)):
        raise BadPicture(f"the PNG is damaged: the checksum of its {kind.decode('ascii')} chunk is wrong")
    return kind, body
