"""JPEGs in a byte stream: where one ends, and what a camera leaves out. Pure.

A picture ends where its markers say, never at the first FFD9: an EXIF thumbnail is a JPEG inside a segment and
brings an end mark of its own.
"""

from __future__ import annotations

from enum import Enum

from agent.errors import Reopen
from agent.pictures.markers import next_marker

LARGEST = 60 * 1024 * 1024

_START = b"\xff\xd8\xff"
_MARK, _SOI, _EOI, _SOS, _DHT = 0xFF, 0xD8, 0xD9, 0xDA, 0xC4
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})

# The tables of ITU-T T.81, annex K.3, as one DHT segment: what every decoder assumes of Motion JPEG.
_STANDARD_TABLES = bytes.fromhex(
    "ffc401a2"
    "0000010501010101010100000000000000000102030405060708090a0b"
    "100002010303020403050504040000017d01020300041105122131410613516107227114328191a1082342b1c11552d1f0"
    "2433627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a636465666768696a"
    "737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7"
    "c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
    "0100030101010101010101010000000000000102030405060708090a0b"
    "1100020102040403040705040400010277000102031104052131061241510761711322328108144291a1b1c109233352f0"
    "156272d10a162434e125f11718191a262728292a35363738393a434445464748494a535455565758595a63646566676869"
    "6a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5"
    "c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"
)


class Verdict(Enum):
    """What the bytes so far say of a picture."""

    MORE = "more"
    WHOLE = "whole"
    BROKEN = "broken"


class Walk:
    """A walk along the markers of one JPEG that begins at offset 0; it goes on where it stopped as bytes arrive.

    At `WHOLE`, `at` is the offset behind the picture; at `BROKEN`, where the structure stops making sense.
    `scan_at` is the offset of the first scan and `has_tables` tells whether Huffman tables came before it.
    """

    def __init__(self) -> None:
        self.at = 2
        self.has_tables = False
        self.scan_at: int | None = None
        self._in_scan = False

    def on(self, data: bytes | bytearray) -> Verdict:
        """Walk as far as the bytes reach."""
        while True:
            if self._in_scan and not self._leave_scan(data):
                return Verdict.MORE
            if len(data) < self.at + 2:
                return Verdict.MORE
            verdict = self._step(data, data[self.at + 1])
            if verdict is not None:
                return verdict

    def _leave_scan(self, data: bytes | bytearray) -> bool:
        found = next_marker(data, self.at, len(data))
        # The last byte may be the first half of a marker: look at it again.
        self.at = max(self.at, len(data) - 1) if found < 0 else found - 1
        self._in_scan = found < 0
        return found >= 0

    def _step(self, data: bytes | bytearray, code: int) -> Verdict | None:
        if data[self.at] != _MARK or code in {0x00, _SOI}:
            return Verdict.BROKEN
        if code == _MARK:  # fill
            self.at += 1
            return None
        if code == _EOI or code in _ALONE:
            self.at += 2
            return Verdict.WHOLE if code == _EOI else None
        return self._segment(data, code)

    def _segment(self, data: bytes | bytearray, code: int) -> Verdict | None:
        if len(data) < self.at + 4:
            return Verdict.MORE
        length = int.from_bytes(data[self.at + 2 : self.at + 4], "big")
        if length < 2:  # noqa: PLR2004 (the length counts its own two bytes)
            return Verdict.BROKEN
        if code == _DHT:
            self.has_tables = True
        if code == _SOS:
            self._in_scan = True
            self.scan_at = self.at if self.scan_at is None else self.scan_at
        self.at += 2 + length
        return None


class Splitter:
    """Cuts a byte stream into whole JPEGs, whatever stands between them.

    Multipart headers, padding and torn pictures are skipped; `torn` counts the latter. At most one picture is held;
    one beyond `largest` bytes raises `Reopen`.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        self.torn = 0
        self._largest = largest
        self._held = bytearray()
        self._walk: Walk | None = None
        self._unwanted = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream; return the pictures that they complete, in order."""
        self._held += data
        pictures = []
        while self._find_start():
            verdict = self._follow()
            if verdict is Verdict.MORE:
                break
            if verdict is Verdict.WHOLE:
                pictures += self._cut()
        return pictures

    def abandon(self) -> None:
        """Drop the picture that has begun but not ended, when it ends."""
        self._unwanted = self._walk is not None

    def _find_start(self) -> bool:
        if self._walk is None:
            start = self._held.find(_START)
            # Keep two bytes: they may be the beginning of a start.
            del self._held[: start if start >= 0 else max(0, len(self._held) - 2)]
            self._walk = Walk() if start >= 0 else None
        return self._walk is not None

    def _follow(self) -> Verdict:
        walk = self._walk or Walk()
        verdict = walk.on(self._held)
        if min(walk.at, len(self._held)) > self._largest:
            raise Reopen(f"a picture is larger than {self._largest} bytes", remedy="Is the output MJPEG?")
        if verdict is Verdict.BROKEN:
            self.torn += 1
            del self._held[: walk.at]
            self._walk, self._unwanted = None, False
        return verdict

    def _cut(self) -> list[bytes]:
        end = self._walk.at if self._walk else 0
        picture = bytes(self._held[:end])
        del self._held[:end]
        wanted = not self._unwanted
        self._walk, self._unwanted = None, False
        return [picture] if wanted else []


def is_jpeg(data: bytes) -> bool:
    """Tell whether the bytes begin like a JPEG."""
    return data.startswith(_START)


def whole(data: bytes) -> bytes | None:
    """Return the JPEG at the beginning of the bytes without what pads it, or None where it is torn."""
    walk = Walk()
    if not is_jpeg(data) or walk.on(data) is not Verdict.WHOLE:
        return None
    return data[: walk.at]


def with_huffman_tables(jpeg: bytes) -> bytes:
    """Return a whole JPEG with the standard Huffman tables before its scan where it has none.

    Many USB cameras leave them out, as Motion JPEG allows; a file without them is no JPEG to most readers.
    """
    walk = Walk()
    walk.on(jpeg)
    if walk.has_tables or walk.scan_at is None:
        return jpeg
    return jpeg[: walk.scan_at] + _STANDARD_TABLES + jpeg[walk.scan_at :]
