"""Where a picture was taken, taken out of its file: the pixels are neither decoded nor touched.

From JPEG and PNG go the GPS directory of EXIF, the GPS properties of XMP, and what cannot be understood of either, as a
whole; the orientation stays. What lies behind the end of the picture goes as well: cameras put more pictures there,
each with EXIF of its own. Makers' notes have no published form and stay, and so do captions that people wrote.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from agent.buffers import Loan
from agent.errors import BadPicture
from agent.media import JPEG
from agent.pictures import exif
from agent.pictures.gps import exif_without_place, tells_place, xmp_without_place
from agent.pictures.markers import next_marker
from agent.pictures.tape import Tape, pieces, steady

if TYPE_CHECKING:
    from collections.abc import Iterator

_EOI, _APP1 = 0xD9, 0xE1
_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
# The rest of an XMP packet that is longer than a segment, in pieces that may be cut anywhere.
_JPEG_XMP_REST = b"http://ns.adobe.com/xmp/extension/\0"
_PNG_XMP = b"XML:com.adobe.xmp\0"
# What ImageMagick makes of a JPEG's segments: EXIF or XMP in hexadecimal digits.
_PNG_PROFILES = (b"Raw profile type exif\0", b"Raw profile type APP1\0", b"Raw profile type xmp\0")
_PNG_TEXTS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
# What is longer cannot be understood; nor does `png.walk` look for an orientation in it.
_LONGEST = {b"eXIf": 64 * 1024} | dict.fromkeys(_PNG_TEXTS, 1_000_000)
_LONGEST_PACKET = 4_000_000

# From, to, and what takes the place of it.
_Edit = tuple[int, int, bytes]


def without_location(descriptor: int, size: int, media_type: str) -> bytes | None:
    """Return the bytes of a whole JPEG or PNG without its location; None where it tells none, and may stay as it is.

    Read in pieces; only a picture that has to be changed is held in memory. Raises `BadPicture` and `NotWhole`, as
    `inspect` does.
    """
    with steady(descriptor), Loan() as buffer:
        tape = Tape(descriptor, size, buffer)
        edits = list(_jpeg_edits(tape) if media_type == JPEG else _png_edits(tape))
        return b"".join(_kept(descriptor, size, edits)) if edits else None


def _kept(descriptor: int, size: int, edits: list[_Edit]) -> Iterator[bytes]:
    at = 0
    for start, stop, instead in [*edits, (size, size, b"")]:
        yield from pieces(descriptor, at, start - at)
        yield instead
        at = stop


def _jpeg_edits(tape: Tape) -> Iterator[_Edit]:
    tape.skip(2)
    while (marker := tape.find(next_marker)) != _EOI:
        start = tape.position - 2
        length = int.from_bytes(tape.take(2)) - 2
        if length < 0:
            raise BadPicture("the JPEG is damaged: a segment is shorter than its own length")
        if marker != _APP1:
            tape.skip(length)
            continue
        body = tape.take(length)
        cleaned = _clean_segment(body)
        if cleaned != body:
            header = struct.pack(">BBH", 0xFF, _APP1, len(cleaned) + 2) if cleaned else b""
            yield start, tape.position, header + cleaned
    yield from _tail(tape)


def _clean_segment(body: bytes) -> bytes:
    """Return what is left of an APP1 segment's body; nothing where it goes as a whole."""
    if body.startswith(exif.PREFIX):
        cleaned = _clean_exif(body.removeprefix(exif.PREFIX))
        return exif.PREFIX + cleaned if cleaned else b""
    if body.startswith(_JPEG_XMP):
        packet = xmp_without_place(body.removeprefix(_JPEG_XMP))
        return b"" if packet is None else _JPEG_XMP + packet
    return b"" if body.startswith(_JPEG_XMP_REST) else body


def _clean_exif(block: bytes) -> bytes:
    cleaned = exif_without_place(block)
    if cleaned is not None:
        return cleaned
    orientation = exif.read_orientation(block)
    return b"" if orientation == exif.UPRIGHT else exif.orientation_block(orientation)


def _png_edits(tape: Tape) -> Iterator[_Edit]:
    tape.skip(8)
    kind = b""
    while kind != b"IEND":
        start = tape.position
        length, kind = struct.unpack(">I4s", tape.take(8))
        if length > _LONGEST.get(kind, 0):
            tape.skip(length + 4)
            if kind in _LONGEST:
                yield start, tape.position, b""
            continue
        body = tape.take(length)
        tape.skip(4)
        if kind not in _LONGEST:
            continue
        cleaned = _clean_exif(body) if kind == b"eXIf" else _clean_text(kind, body)
        if cleaned != body:
            yield start, tape.position, _chunk(kind, cleaned) if cleaned else b""
    yield from _tail(tape)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _clean_text(kind: bytes, body: bytes) -> bytes:
    """Return what is left of a text chunk's body; nothing where it goes as a whole."""
    if body.startswith(_PNG_PROFILES):
        return b""
    if not body.startswith(_PNG_XMP):
        return body
    # Flag and method of a compression, a language and a translated keyword come between the keyword and an iTXt's text.
    head, text = _split(body) if kind == b"iTXt" else (_PNG_XMP, body.removeprefix(_PNG_XMP))
    if kind == b"tEXt" or head[len(_PNG_XMP) : len(_PNG_XMP) + 1] == b"\0":
        packet = xmp_without_place(text)
        return b"" if packet is None else head + packet
    return body if _is_harmless(text) else b""


def _split(body: bytes) -> tuple[bytes, bytes]:
    parts = body[len(_PNG_XMP) + 2 :].split(b"\0", 2)
    text = parts[-1]
    return body[: len(body) - len(text)], text


def _is_harmless(compressed: bytes) -> bool:
    """Tell whether a compressed packet is known to tell no place; it is not compressed again without it."""
    reader = zlib.decompressobj()
    try:
        packet = reader.decompress(compressed, _LONGEST_PACKET)
    except zlib.error:
        return False
    return reader.eof and not tells_place(packet)


def _tail(tape: Tape) -> Iterator[_Edit]:
    if tape.position < tape.size:
        yield tape.position, tape.size, b""
