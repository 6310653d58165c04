"""Where a picture was taken, taken out of EXIF and XMP blocks; everything else in them stays where it is. Pure.

Both functions return the block itself where it tells no place, one of the same length without it, or None where the
block cannot be understood: then nobody knows what it tells, and it has to go as a whole.
"""

from __future__ import annotations

import re
import struct

from agent.pictures import exif

_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_GPS, _XMP = 0x8825, 0x02BC
# Where directories hang on others: sub-images, EXIF proper, interoperability.
_DIRECTORIES = frozenset({0x014A, 0x8769, 0xA005})
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_ENTRY, _INLINE = 12, 4
_MOST_DIRECTORIES = 64

# Drones write `GpsLatitude`, and some `GpsLongtitude`. Bounds keep the search linear in whatever a file may hold.
_WORD = rb"(?i:gps|latitude|longt?itude)"
_NAME = rb"[\w.-]{1,64}:\w{0,64}?" + _WORD + rb"\w{0,64}"
_ATTRIBUTE = re.compile(rb"(?<![\w.-])" + _NAME + rb"""\s{0,64}=\s{0,64}(?:"[^"]*"|'[^']*')""")
_ELEMENT = re.compile(rb"<(" + _NAME + rb")(?:\s[^<>]*)?(?:/>|(?<!/)>.*?</\1\s{0,64}>)", re.DOTALL)
_PLACE = re.compile(_WORD)
# A packet has some ten; looking for the end of each of thousands would take seconds.
_MOST_PLACES = 100


class _Senseless(Exception):
    """The block contradicts itself."""


def exif_without_place(block: bytes) -> bytes | None:
    """Return an EXIF block, without its prefix, whose GPS directory is gone and zeroed."""
    try:
        cleaned = _Block(block).cleaned()
        # Directories that overlap may have hit each other: what was made has to be sound, and as upright as before.
        sound = cleaned is block or _Block(cleaned).cleaned() is cleaned
    except (_Senseless, struct.error):
        return None
    return cleaned if sound and exif.read_orientation(cleaned) == exif.read_orientation(block) else None


def xmp_without_place(packet: bytes) -> bytes | None:
    """Return an XMP packet whose GPS properties are blanks."""
    if not tells_place(packet):
        return packet
    if len(_PLACE.findall(packet)) > _MOST_PLACES:
        return None
    for pattern in (_ATTRIBUTE, _ELEMENT):
        packet = pattern.sub(lambda match: b" " * len(match.group()), packet)
    return None if tells_place(packet) else packet


def tells_place(packet: bytes) -> bool:
    """Tell whether an XMP packet names a place, in whichever of its encodings."""
    return _PLACE.search(packet.replace(b"\0", b"")) is not None


class _Block:
    """The directories of an EXIF block, each visited once."""

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._data = bytearray(block)
        self._order = _ORDERS.get(block[:4], "")
        self._seen: set[int] = set()

    def cleaned(self) -> bytes:
        if not self._order:
            raise _Senseless
        (first,) = struct.unpack_from(f"{self._order}I", self._data, 4)
        waiting = [first]
        while waiting:
            start = waiting.pop()
            if start and start not in self._seen:
                self._seen.add(start)
                waiting += self._visit(start)
            if len(self._seen) > _MOST_DIRECTORIES:
                raise _Senseless
        return self._block if self._data == self._block else bytes(self._data)

    def _visit(self, start: int) -> list[int]:
        """Clean one directory; return where others are."""
        others: list[int] = []
        index = 0
        while index < self._count(start):
            tag, kind, count, inline = self._entry(start, index)
            if tag == _GPS:
                self._erase(inline)
                self._remove(start, index)
                continue
            if tag in _DIRECTORIES:
                others += self._offsets(start, index, kind, count)
            if tag == _XMP:
                self._clean_packet(*self._span(start, index, kind, count))
            index += 1
        return [*others, self._next(start)]

    def _count(self, start: int) -> int:
        (count,) = struct.unpack_from(f"{self._order}H", self._data, start)
        if start + 2 + count * _ENTRY > len(self._data):
            raise _Senseless
        return int(count)

    def _entry(self, start: int, index: int) -> tuple[int, int, int, int]:
        tag, kind, count, inline = struct.unpack_from(f"{self._order}HHII", self._data, start + 2 + index * _ENTRY)
        return tag, kind, count, inline

    def _next(self, start: int) -> int:
        """Return where the directory behind this one is; some writers leave the last pointer out."""
        at = start + 2 + self._count(start) * _ENTRY
        return int(struct.unpack_from(f"{self._order}I", self._data, at)[0]) if at + 4 <= len(self._data) else 0

    def _span(self, start: int, index: int, kind: int, count: int) -> tuple[int, int]:
        """Return where an entry's value begins and ends."""
        if kind not in _SIZES:
            raise _Senseless
        size = _SIZES[kind] * count
        at = start + 2 + index * _ENTRY + 8
        if size > _INLINE:
            (at,) = struct.unpack_from(f"{self._order}I", self._data, at)
        if at + size > len(self._data):
            raise _Senseless
        return at, at + size

    def _offsets(self, start: int, index: int, kind: int, count: int) -> list[int]:
        at, _ = self._span(start, index, kind, count)
        if _SIZES[kind] != _INLINE or count > _MOST_DIRECTORIES:
            raise _Senseless
        return list(struct.unpack_from(f"{self._order}{count}I", self._data, at))

    def _erase(self, start: int) -> None:
        """Zero a GPS directory and all that it points to."""
        spans = [(start, start + 2 + self._count(start) * _ENTRY)]
        for index in range(self._count(start)):
            _, kind, count, _ = self._entry(start, index)
            spans.append(self._span(start, index, kind, count))
        for begin, end in spans:
            self._data[begin:end] = bytes(end - begin)

    def _remove(self, start: int, index: int) -> None:
        """Take an entry out of a directory; those behind it move up, with the pointer to the next directory."""
        at, end = start + 2 + index * _ENTRY, min(start + 2 + self._count(start) * _ENTRY + 4, len(self._data))
        struct.pack_into(f"{self._order}H", self._data, start, self._count(start) - 1)
        self._data[at:end] = self._data[at + _ENTRY : end] + bytes(_ENTRY)

    def _clean_packet(self, begin: int, end: int) -> None:
        packet = bytes(self._data[begin:end])
        self._data[begin:end] = xmp_without_place(packet) or bytes(len(packet))
