"""Which way up a picture is shown: EXIF's eight orientations, for sizes and for boxes. Pure.

A picture has two spaces. In the *stored* one its pixels lie as the file holds them; the *displayed* one is what a
viewer shows once it has obeyed the EXIF orientation. Boxes are normalised, centre and size, origin top-left, in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.annotations.boxes import Geometry

UPRIGHT = 1


@dataclass(frozen=True, slots=True)
class Turn:
    """How stored pixels become displayed ones: rows and columns change places first, then each axis may be mirrored."""

    swaps: bool = False
    mirrors_x: bool = False
    mirrors_y: bool = False


_TURNS = {
    1: Turn(),
    2: Turn(mirrors_x=True),
    3: Turn(mirrors_x=True, mirrors_y=True),
    4: Turn(mirrors_y=True),
    5: Turn(swaps=True),
    6: Turn(swaps=True, mirrors_x=True),
    7: Turn(swaps=True, mirrors_x=True, mirrors_y=True),
    8: Turn(swaps=True, mirrors_y=True),
}
# The quarter turns undo each other, everything else undoes itself.
_BACK = {6: 8, 8: 6}


def turn(orientation: int) -> Turn:
    """Return what an orientation (1 to 8) asks for."""
    return _TURNS[orientation]


def displayed_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Return width and height as shown, from those as stored; the same function leads back."""
    return (height, width) if turn(orientation).swaps else (width, height)


def displayed_box(box: Geometry, orientation: int) -> Geometry:
    """Return a box of the stored space as it lies in the displayed one."""
    asked = turn(orientation)
    x, y, width, height = box
    if asked.swaps:
        x, y, width, height = y, x, height, width
    return 1.0 - x if asked.mirrors_x else x, 1.0 - y if asked.mirrors_y else y, width, height


def stored_box(box: Geometry, orientation: int) -> Geometry:
    """Return a box of the displayed space as it lies in the stored one."""
    return displayed_box(box, _BACK.get(orientation, orientation))
