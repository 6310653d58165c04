"""Where a picture is blackened, and how much of a box that takes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

# Corners in their order around: fractions of the picture where a person names them, pixels in an `Area`.
Corners: TypeAlias = tuple[tuple[float, float], ...]
Area: TypeAlias = Corners

_GRID = 12
"""A box is looked at in 144 points: exact to a hundredth or so, whatever the masks' shapes and overlaps."""


def covered_share(box: tuple[float, float, float, float], areas: Sequence[Area]) -> float:
    """Return which share of a box (centre and size, in the areas' unit) lies within any of the areas."""
    near = [area for area in areas if _may_touch(box, area)]
    if not near:
        return 0.0
    x, y, width, height = box
    steps = [(step + 0.5) / _GRID - 0.5 for step in range(_GRID)]
    points = [(x + across * width, y + down * height) for across in steps for down in steps]
    return sum(any(is_within(point, area) for area in near) for point in points) / len(points)


def is_within(point: tuple[float, float], area: Area) -> bool:
    """Tell whether a point lies within the corners: a ray to the right crosses an odd number of sides."""
    x, y = point
    inside = False
    before_x, before_y = area[-1]
    for at_x, at_y in area:
        if (at_y > y) != (before_y > y) and x < (before_x - at_x) * (y - at_y) / (before_y - at_y) + at_x:
            inside = not inside
        before_x, before_y = at_x, at_y
    return inside


def crosses_itself(corners: Corners) -> bool:
    """Tell whether sides cross: such a shape has holes, and a person cannot see which."""
    sides = list(zip(corners, (*corners[1:], corners[0]), strict=True))
    return any(
        _cross(*one, *other)
        for first, one in enumerate(sides)
        for second, other in enumerate(sides)
        if second > first + 1 and (first, second) != (0, len(sides) - 1)
    )


def _may_touch(box: tuple[float, float, float, float], area: Area) -> bool:
    x, y, width, height = box
    xs, ys = [corner[0] for corner in area], [corner[1] for corner in area]
    return (
        min(xs) < x + width / 2
        and max(xs) > x - width / 2
        and min(ys) < y + height / 2
        and max(ys) > y - height / 2
    )  # fmt: skip


def _cross(a: Sequence[float], b: Sequence[float], c: Sequence[float], d: Sequence[float]) -> bool:
    """Tell whether the side from `a` to `b` meets the one from `c` to `d`."""
    return _side(a, b, c) * _side(a, b, d) <= 0 and _side(c, d, a) * _side(c, d, b) <= 0


def _side(a: Sequence[float], b: Sequence[float], point: Sequence[float]) -> int:
    turn = (b[0] - a[0]) * (point[1] - a[1]) - (b[1] - a[1]) * (point[0] - a[0])
    return (turn > 0) - (turn < 0)
