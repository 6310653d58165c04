"""Ultralytics text files: a line an object, `class x_center y_center width height [confidence] [track id]`.

What stands in a line is told from the number of values behind the class, and from the last of them:

    4             a box
    5             a box, then a confidence or, where it is digits alone, a track id
    6             a box, a confidence and an id where the last is digits alone, else a polygon of three corners
    8, 10, …      a polygon (a rotated box is one of four corners), or one with two corners' worth less, a
                  confidence and an id where the last is an id
    7, 9, …       a polygon, then a confidence or an id

A corner can stand at 0 or 1 as well, written as a digit alone. So behind polygons 0 is no id (they count from 1), nor
is 1 in eighth place, where a rotated box clipped to the picture is likelier than a triangle with an id. Polygons become
the boxes around them. Lines with keypoints look like polygons and cannot be told from them; they are not supported.

Files are appended to, so a second run of a program doubles their lines: a line that was there already is passed over.
Without class names the index is the class, and is counted; an index beyond the names means a list of another model.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from agent.annotations.numbers import Word
from agent.annotations.sheet import relative, score
from agent.annotations.sidecar import NAMES_REMEDY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.annotations.sheet import Sheet
    from agent.annotations.sidecar import Sidecar
    from agent.frame import Labels

_BOX = ("x_center", "y_center", "width", "height")
# The largest polygons have a few thousand corners; a value takes 60 bytes once split.
MAX_LINE = 200_000
_LEAST_ID = {6: 0, 8: 2}
_DIGITS = re.compile(r"[0-9]{1,18}")


def signs(sidecar: Sidecar) -> str:
    """Return what tells this format from others: an empty file is one, too."""
    words = sidecar.text[:4096].split(None, 1)
    return "" if words and not _DIGITS.fullmatch(words[0]) else "lines that begin with a class index"


def read(sidecar: Sidecar, sheet: Sheet) -> Labels:
    """Return what an Ultralytics text file says; an empty one says that nothing was found."""
    for text, number in lines(sidecar).items():
        _Line(sidecar, number, text).enter(sheet)
    return sheet.labels()


def lines(sidecar: Sidecar) -> dict[str, int]:
    """Return the lines that say something, each once, with the number of the first that says it."""
    found: dict[str, int] = {}
    for number, line in enumerate(io.StringIO(sidecar.text), 1):
        if text := line.strip():
            if len(text) > MAX_LINE:
                raise sidecar.bad(f"line {number}", f"longer than {MAX_LINE} characters")
            found.setdefault(text, number)
            sidecar.check_count(len(found))
    return found


class _Line:
    """One object, and where it stands."""

    def __init__(self, sidecar: Sidecar, number: int, text: str) -> None:
        self._sidecar = sidecar
        self._number = number
        self._index, *self._values = text.split()

    def enter(self, sheet: Sheet) -> None:
        """Enter the object's box."""
        name = self._class_name()
        sheet.note_index()
        values, confidence = self._parts()
        is_box = len(values) == len(_BOX)
        names = _BOX if is_box else [f"value {place}" for place in range(1, len(values) + 1)]
        sides = [relative(self._word(name, value)) for name, value in zip(names, values, strict=True)]
        certainty = None if confidence is None else score(self._word("confidence", confidence))
        if is_box:
            sheet.add(name, (sides[0], sides[1], sides[2], sides[3]), certainty)
        else:
            sheet.add_shape(name, sides[0::2], sides[1::2], certainty)

    def _class_name(self) -> str:
        word = self._word("class", self._index)
        if not _DIGITS.fullmatch(self._index):
            word.fail("must be an index such as 0")
        name = self._sidecar.class_named(int(self._index))
        if name is None:
            raise self._sidecar.bad(
                f"line {self._number}, class", self._sidecar.nameless(int(self._index)), remedy=NAMES_REMEDY
            )
        return name

    def _parts(self) -> tuple[Sequence[str], str | None]:
        """Return the values of the shape, and the confidence behind them."""
        values, count = self._values, len(self._values)
        if count < len(_BOX):
            raise self._sidecar.bad(
                f"line {self._number}",
                f"{count} value{'' if count == 1 else 's'} behind the class, a box has {len(_BOX)}",
            )
        number = _DIGITS.fullmatch(values[-1])
        if count > len(_BOX) and count % 2:
            return values[:-1], None if number else values[-1]
        if count > len(_BOX) and number and int(values[-1]) >= _LEAST_ID.get(count, 1):
            return values[:-2], values[-2]
        return values, None

    def _word(self, field: str, text: str) -> Word:
        return Word(self._sidecar, self._number, field, text)
