"""JPEG, by its markers from SOI to EOI."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from agent.errors import BadPicture
from agent.media import JPEG
from agent.pictures import exif
from agent.pictures.header import Header
from agent.pictures.markers import next_marker

if TYPE_CHECKING:
    from agent.pictures.tape import Tape

_FIRST_MARKER = 0xC0
_SOI, _EOI, _SOS, _APP1 = 0xD8, 0xD9, 0xDA, 0xE1
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = frozenset({0xC0, 0xC1, 0xC9})
_END = bytes((0xFF, _EOI))
# Real files have tens; a 49 MB file of empty segments would cost 15 s.
_MAX_SEGMENTS = 10_000


class _Walk:
    """What the segments have told so far."""

    def __init__(self) -> None:
        self.size: tuple[int, int] | None = None
        self.orientation: int | None = None
        self.scanned = False
        self.ended = False
        self._components = 0

    def segment(self, tape: Tape, marker: int) -> None:
        if marker < _FIRST_MARKER or marker == _SOI:
            raise BadPicture(f"the JPEG is damaged: marker {marker:#04x} has no place there")
        length = int.from_bytes(tape.take(2)) - 2
        if length < 0:
            raise BadPicture("the JPEG is damaged: a segment is shorter than its own length")
        if marker in _FRAMES:
            self._frame(tape.take(length), sequential=marker in _SEQUENTIAL)
        elif marker == _APP1 and self.orientation is None:
            self._application(tape.take(length))
        elif marker == _SOS:
            self._scan(tape, tape.take(length))
        else:
            tape.skip(length)

    def _scan(self, tape: Tape, body: bytes) -> None:
        """Note a scan; one that has all of a sequential picture is the only one, and ends where the picture does.

        So a file that ends with an end marker has its own: to search for that costs a fifth of what the picture does.
        """
        self.scanned = True
        if self._components and body[:1] == bytes((self._components,)):
            self.ended = tape.look(tape.size - len(_END), len(_END)) == _END

    def _frame(self, body: bytes, *, sequential: bool) -> None:
        if self.size is not None:
            raise BadPicture("the JPEG is damaged: it holds two frames")
        try:
            _, height, width, components = struct.unpack_from(">BHHB", body)
        except struct.error:
            raise BadPicture("the JPEG is damaged: its frame header is too short") from None
        self.size = width, height
        self._components = components if sequential else 0

    def _application(self, body: bytes) -> None:
        if body.startswith(exif.PREFIX):
            self.orientation = exif.read_orientation(body.removeprefix(exif.PREFIX))


def walk(tape: Tape) -> Header:
    """Return the header of a JPEG that is there from SOI to EOI; whatever follows EOI is not looked at."""
    found = _Walk()
    tape.skip(2)
    for _ in range(_MAX_SEGMENTS):
        marker = _EOI if found.ended else tape.find(next_marker)
        if marker == _EOI:
            if found.size is None or not found.scanned:
                raise BadPicture("the JPEG holds no picture")
            return Header(JPEG, *found.size, found.orientation or 1)
        found.segment(tape, marker)
    raise BadPicture(f"the JPEG has more than {_MAX_SEGMENTS} segments")
