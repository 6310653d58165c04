"""What a reader fills in: one picture's boxes, and a count of what did not become one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, Protocol

from agent.annotations.boxes import FAR_OUT, PIXELS, box_inside, envelope
from agent.annotations.sidecar import NAMES_REMEDY
from agent.frame import Annotation, Labels, Model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from agent.annotations.boxes import Geometry
    from agent.annotations.sidecar import Sidecar

OTHER_SIZE = "Was it made for a picture of another size? Set `box_size`."
# A model's input is seldom scaled by exactly one factor: 1920 x 1080 becomes 640 x 360, or 640 x 368.
_ASPECT_TOLERANCE = 0.03


class Figure(Protocol):
    """A value that knows where it stands: a JSON field, or a word of a text."""

    def number(self) -> float:
        """Return it as a finite number."""
        ...

    def within(self, least: float, most: float, *, remedy: str = "") -> float:
        """Return it as a number of the span that stands for 0..1, give or take."""
        ...

    def whole(self) -> int:
        """Return it as a whole number."""
        ...

    def text(self) -> str:
        """Return it as text that is not empty."""
        ...

    def is_blank(self) -> bool:
        """Tell whether it is an empty text."""
        ...

    def fail(self, what: str, *, remedy: str = "") -> NoReturn:
        """Raise `BadSidecar` for its place."""
        ...


class Sheet:
    """Collects boxes, in the space that the sidecar's boxes are in."""

    def __init__(self, sidecar: Sidecar) -> None:
        self.sidecar = sidecar
        self.width: float = sidecar.width
        self.height: float = sidecar.height
        self._kept: list[Annotation] = []
        self._dropped = 0
        self._skipped = 0
        self._unnamed = 0

    def declare(self, width: Figure | None, height: Figure | None) -> None:
        """Take the size that the sidecar says its pixels are of; raise where that is another picture's.

        A size without the EXIF rotation that the boxes have (or the reverse) is the same picture's.
        """
        if width is None or height is None:
            return
        across, down = width.number(), height.number()
        if across <= 0 or down <= 0:
            return  # programs write 0 for "not known"
        ours = self.sidecar.width / self.sidecar.height
        if (across, down) == (self.sidecar.height, self.sidecar.width):
            across, down = down, across
        if abs(across / down / ours - 1) > _ASPECT_TOLERANCE:
            size = f"{self.sidecar.width} x {self.sidecar.height}"
            width.fail(f"is of a picture of {across:g} x {down:g}; this one has {size}", remedy=_OTHER_PICTURE)
        self.width, self.height = across, down

    def add(self, name: str, geometry: Geometry, confidence: float | None = None) -> None:
        """Enter an upright box."""
        inside = box_inside(*geometry)
        if inside is None:
            self._dropped += 1
        else:
            self._kept.append(Annotation(name, inside, confidence))
            self.sidecar.check_count(len(self._kept))

    def add_shape(self, name: str, xs: Sequence[float], ys: Sequence[float], confidence: float | None = None) -> None:
        """Enter something that is no upright box by the box around it, or leave it out where that is wanted."""
        if self.sidecar.envelope and xs:
            self.add(name, envelope(list(xs), list(ys)), confidence)
        else:
            self.skip()

    def skip(self) -> None:
        """Count something that has no box."""
        self._skipped += 1

    def across(self, field: Figure) -> float:
        """Return a number of pixels as a share of the width."""
        return _share(field, self.width)

    def down(self, field: Figure) -> float:
        """Return a number of pixels as a share of the height."""
        return _share(field, self.height)

    def corners(self, left: Figure, top: Figure, right: Figure, bottom: Figure) -> Geometry:
        """Return a box given by two corners in pixels."""
        return from_corners(self.across(left), self.down(top), self.across(right), self.down(bottom))

    def sized(self, left: Figure, top: Figure, width: Figure, height: Figure) -> Geometry:
        """Return a box given by its upper left corner and its size in pixels."""
        x, y, across, down = self.across(left), self.down(top), self.across(width), self.down(height)
        return x + across / 2, y + down / 2, across, down

    def class_name(self, index: Figure) -> str:
        """Return the name of a class that is told by its index."""
        number = index.whole()
        name = self.sidecar.class_named(number)
        if name is None:
            index.fail(self.sidecar.nameless(number), remedy=NAMES_REMEDY)
        self.note_index()
        return name

    def note_index(self) -> None:
        """Count a class that goes by its index, where no names were given."""
        self._unnamed += not self.sidecar.classes

    def labels(self, model: Model | None = None, captured_at: datetime | None = None) -> Labels:
        """Return what was collected."""
        return Labels(
            tuple(self._kept),
            model or Model(),
            captured_at,
            dropped=self._dropped,
            unnamed=self._unnamed,
            skipped=self._skipped,
        )


_OTHER_PICTURE = "The boxes would not fit; is it a letterboxed copy, or another picture?"


def from_corners(left: float, top: float, right: float, bottom: float) -> Geometry:
    """Return a box given by two corners."""
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def relative(field: Figure) -> float:
    """Return a share of a side; detectors overshoot by a little, further out the number means something else."""
    return field.within(-FAR_OUT, FAR_OUT, remedy=PIXELS)


def score(field: Figure | None) -> float | None:
    """Return a confidence, where one is given."""
    return None if field is None else field.within(0.0, 1.0)


def _share(field: Figure, side: float) -> float:
    share = field.number() / side
    if not -FAR_OUT <= share <= FAR_OUT:
        field.fail(f"lies far outside of the {side:g} pixels", remedy=OTHER_SIZE)
    return share
