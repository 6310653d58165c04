"""What is done to a picture before it is encoded, as one value that pixels and boxes both follow. Pure.

A `Recipe` is what a person asked of all pictures of a source, in fractions. For one picture of a known size it becomes
a `Transform`, in whole pixels: turned upright, masked, cropped and scaled, in this order. `pixels.prepared` carries out
its `steps` in a child process; `box` and `labels` say where that takes what was found on the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from agent.annotations.boxes import box_inside
from agent.pictures.masks import covered_share
from agent.pictures.orientation import UPRIGHT, displayed_box, displayed_size, turn

if TYPE_CHECKING:
    from agent.annotations.boxes import Geometry
    from agent.frame import Labels
    from agent.pictures.masks import Area, Corners

# Left, top, width and height, in fractions of the displayed picture.
Rectangle: TypeAlias = tuple[float, float, float, float]
# Left, top, right and bottom, in pixels of the displayed picture; the last two are the first beyond it.
Bounds: TypeAlias = tuple[int, int, int, int]

HIDDEN_SHARE = 0.5
"""A box of which at least so much lies under masks names what nobody can see."""

_LEAST_PIXELS = 0.5


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is wanted of every picture of a source, in fractions of the picture as it is shown.

    `masks` are corners in their order around; `max_side` is in pixels, 0 for no limit.
    """

    crop: Rectangle | None = None
    masks: tuple[Corners, ...] = ()
    max_side: int = 0

    def for_picture(self, width: int, height: int, orientation: int = UPRIGHT) -> Transform:
        """Return what is to be done to a picture of this stored size."""
        shown = displayed_size(width, height, orientation)
        crop = (0, 0, *shown) if self.crop is None else _bounds(self.crop, shown)
        return Transform(
            stored=(width, height),
            orientation=orientation,
            areas=tuple(tuple((x * shown[0], y * shown[1]) for x, y in mask) for mask in self.masks),
            crop=crop,
            size=_fitted(crop[2] - crop[0], crop[3] - crop[1], self.max_side),
        )


@dataclass(frozen=True, slots=True)
class Transform:
    """What is done to one picture.

    `stored` is its size before, `size` the one it has in the end, both width and height in pixels. `areas` (what is
    masked) and `crop` are in pixels of the displayed picture.
    """

    stored: tuple[int, int]
    orientation: int
    areas: tuple[Area, ...]
    crop: Bounds
    size: tuple[int, int]

    @property
    def keeps_pixels(self) -> bool:
        """Tell whether the picture's own pixels will do, shown as its own EXIF says."""
        return not self.areas and self.size == displayed_size(*self.stored, self.orientation)

    def steps(self) -> dict[str, Any]:
        """Return what `pixels.prepared` is to do, as JSON can carry it."""
        asked = turn(self.orientation)
        return {
            "swaps": asked.swaps,
            "mirrors_x": asked.mirrors_x,
            "mirrors_y": asked.mirrors_y,
            "areas": self.areas,
            "crop": self.crop,
            "size": self.size,
        }

    def box(self, box: Geometry) -> Geometry | None:
        """Return where a box of the stored picture lies in the result; None where not half a pixel is left."""
        left, top, right, bottom = self.crop
        width, height = displayed_size(*self.stored, self.orientation)
        x, y, across, down = displayed_box(box, self.orientation)
        wide, high = right - left, bottom - top
        moved = box_inside(
            (x * width - left) / wide, (y * height - top) / high, across * width / wide, down * height / high
        )
        if moved is None or min(moved[2] * self.size[0], moved[3] * self.size[1]) < _LEAST_PIXELS:
            return None
        return moved

    def hides(self, box: Geometry) -> bool:
        """Tell whether a box of the result is of something under a mask."""
        left, top, right, bottom = self.crop
        wide, high = right - left, bottom - top
        x, y, across, down = box
        place = (left + x * wide, top + y * high, across * wide, down * high)
        return covered_share(place, self.areas) >= HIDDEN_SHARE

    def labels(self, labels: Labels) -> Labels:
        """Return what is said of the result: boxes moved and cut; what left the picture, or is hidden, counted."""
        moved = [(one, self.box(one.geometry)) for one in labels.annotations]
        inside = tuple(replace(one, geometry=box) for one, box in moved if box is not None)
        return self.uncovered(replace(labels, annotations=inside, dropped=labels.dropped + len(moved) - len(inside)))

    def uncovered(self, labels: Labels) -> Labels:
        """Return labels of the result without those boxes that are of something under a mask."""
        shown = tuple(one for one in labels.annotations if not self.hides(one.geometry))
        return replace(labels, annotations=shown, masked=labels.masked + len(labels.annotations) - len(shown))


def _bounds(rectangle: Rectangle, shown: tuple[int, int]) -> Bounds:
    """Return the nearest whole pixels, at least one each way."""
    left, top, width, height = rectangle
    (first, behind), (upper, below) = _span(left, width, shown[0]), _span(top, height, shown[1])
    return first, upper, behind, below


def _span(start: float, length: float, pixels: int) -> tuple[int, int]:
    first = min(round(start * pixels), pixels - 1)
    return first, min(max(round((start + length) * pixels), first + 1), pixels)


def _fitted(width: int, height: int, max_side: int) -> tuple[int, int]:
    """Return the size in proportion whose longer side is at most `max_side`."""
    longest = max(width, height)
    if not 0 < max_side < longest:
        return width, height
    return max(1, round(width * max_side / longest)), max(1, round(height * max_side / longest))
