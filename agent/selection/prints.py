"""The print of a picture: a few hundred bytes in which what looks the same is the same. Pure.

The picture is divided into 32 x 24 cells. What counts of a cell is how much brighter or darker it is than its
neighbours in the same row, in nine levels whose limits grow by a factor of 2.4: light that flickers changes all cells
of a row alike, and a gain of up to that factor moves no cell by more than a level. A cell counts as changed when it
moved by two levels or more, so one that lies at a limit does not count for its noise. The distance between two
prints is the share of changed cells: about the share of the picture's area that looks different.

The levels are kept as eight planes of bits, one for each limit that a cell is beyond, so that all cells are compared
at once: a microsecond for two prints, without NumPy.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

COLUMNS, ROWS = 32, 24
CELLS = COLUMNS * ROWS
LEVELS = (5.0, 12.0, 29.0, 70.0)
"""How much brighter than its neighbours a cell is at each level, in grey values of 255; the same below zero."""

PLANES = 2 * len(LEVELS)
PLANE_BYTES = CELLS // 8


@dataclass(frozen=True, slots=True)
class Print:
    """The planes of a picture, each a number of `CELLS` bits."""

    planes: tuple[int, ...]

    def distance(self, other: Print) -> float:
        """Return the share of the cells that look different, 0..1."""
        once = twice = 0
        for mine, others in zip(self.planes, other.planes, strict=True):
            differs = mine ^ others
            twice |= once & differs
            once |= differs
        return twice.bit_count() / CELLS

    def text(self) -> str:
        """Return it as text."""
        return base64.b64encode(b"".join(plane.to_bytes(PLANE_BYTES) for plane in self.planes)).decode("ascii")

    @classmethod
    def of_bytes(cls, data: bytes) -> Print:
        """Read the planes, one after the other; raises ValueError where it is none."""
        if len(data) != PLANES * PLANE_BYTES:
            raise ValueError("no print")
        return cls(tuple(int.from_bytes(data[at : at + PLANE_BYTES]) for at in range(0, len(data), PLANE_BYTES)))

    @classmethod
    def of_text(cls, text: str) -> Print:
        """Read what `text` wrote; raises ValueError where it is none."""
        try:
            return cls.of_bytes(base64.b64decode(text, validate=True))
        except ValueError:
            raise ValueError("no print") from None
