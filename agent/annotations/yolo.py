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
from typing import TYPE_CHECKING, NoReturn

from agent.annotations.boxes import FAR_OUT, PIXELS, box_inside, envelope
from agent.annotations.sidecar import shown
from agent.frame import Annotation, Labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.annotations.boxes import Geometry
    from agent.annotations.sidecar import Sidecar

_BOX = ("x_center", "y_center", "width", "height")
# The largest polygons have a few thousand corners; a value takes 60 bytes once split.
_MAX_LINE = 200_000
_LEAST_ID = {6: 0, 8: 2}
_DIGITS = re.compile(r"[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")


def read(sidecar: Sidecar) -> Labels:
    """Return what an Ultralytics text file says; an empty one says that nothing was found."""
    seen = [_Line(sidecar, number, text).annotation() for text, number in _lines(sidecar).items()]
    kept = tuple(annotation for annotation in seen if annotation is not None)
    return Labels(kept, dropped=len(seen) - len(kept), unnamed=0 if sidecar.classes else len(kept))


def _lines(sidecar: Sidecar) -> dict[str, int]:
    """Return the lines that say something, each once, with the number of the first that says it."""
    found: dict[str, int] = {}
    for number, line in enumerate(io.StringIO(sidecar.text), 1):
        if text := line.strip():
            if len(text) > _MAX_LINE:
                raise sidecar.bad(f"line {number}", f"longer than {_MAX_LINE} characters")
            found.setdefault(text, number)
            sidecar.check_count(len(found))
    return found


class _Line:
    """One object, and where it stands."""

    def __init__(self, sidecar: Sidecar, number: int, text: str) -> None:
        self._sidecar = sidecar
        self._number = number
        self._index, *self._values = text.split()

    def annotation(self) -> Annotation | None:
        """Return the object's box; None where nothing of it lies within the picture."""
        name = self._class_name()
        sides, confidence = self._parts()
        score = None if confidence is None else self._number_within("confidence", confidence, 0.0, 1.0)
        geometry = box_inside(*self._geometry(sides))
        return None if geometry is None else Annotation(name, geometry, score)

    def _class_name(self) -> str:
        if not _DIGITS.fullmatch(self._index):
            self._fail("class", f"must be an index such as 0, not {shown(self._index)}")
        index, classes = int(self._index), self._sidecar.classes
        if not classes:
            return str(index)
        if index >= len(classes):
            self._fail(
                "class",
                f"index {index} has no name, `classes` of this [[watch]] has {len(classes)}",
                "List the names of the model that wrote the file, in its order.",
            )
        return classes[index]

    def _parts(self) -> tuple[Sequence[str], str | None]:
        """Return the values of the shape, and the confidence behind them."""
        values, count = self._values, len(self._values)
        if count < len(_BOX):
            self._fail("", f"{count} values behind the class, a box has {len(_BOX)}")
        number = _DIGITS.fullmatch(values[-1])
        if count > len(_BOX) and count % 2:
            return values[:-1], None if number else values[-1]
        if count > len(_BOX) and number and int(values[-1]) >= _LEAST_ID.get(count, 1):
            return values[:-2], values[-2]
        return values, None

    def _geometry(self, values: Sequence[str]) -> Geometry:
        names = _BOX if len(values) == len(_BOX) else [f"value {place}" for place in range(1, len(values) + 1)]
        numbers = [
            self._number_within(name, value, -FAR_OUT, FAR_OUT) for name, value in zip(names, values, strict=True)
        ]
        if len(numbers) == len(_BOX):
            return numbers[0], numbers[1], numbers[2], numbers[3]
        return envelope(numbers[0::2], numbers[1::2])

    def _number_within(self, field: str, text: str, least: float, most: float) -> float:
        if not _NUMBER.fullmatch(text):
            self._fail(field, f"must be a number, not {shown(text)}")
        number = float(text)
        if not least <= number <= most:
            self._fail(field, f"must be within 0..1, not {shown(text)}", PIXELS)
        return number

    def _fail(self, field: str, what: str, remedy: str = "") -> NoReturn:
        where = f"line {self._number}, {field}" if field else f"line {self._number}"
        raise self._sidecar.bad(where, what, remedy=remedy)
