"""LabelMe: `shapes` with points in pixels, in any order.

    {"shapes": [{"label": "dent", "shape_type": "rectangle", "points": [[88, 210], [12.5, 40]]}],
     "imageWidth": 640, "imageHeight": 480, "imageData": "…"}

A rectangle's two points are any two opposite corners. Polygons, lines, masks and turned rectangles become the box
around them, a circle (centre and a point on its edge) the square around it. Points have no extent.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from agent.annotations.boxes import envelope
from agent.annotations.sheet import score

if TYPE_CHECKING:
    from agent.annotations.document import Field
    from agent.annotations.sheet import Sheet
    from agent.frame import Labels

_PAIR = 2


def signs(root: Field) -> str:
    """Return what tells this format from others."""
    return "`shapes`" if root.has("shapes") else ""


def read(root: Field, sheet: Sheet) -> Labels:
    """Return what a LabelMe file says."""
    sheet.declare(root.get("imageWidth"), root.get("imageHeight"))
    for shape in root.need("shapes").items():
        _enter(shape, sheet)
    return sheet.labels()


def _enter(shape: Field, sheet: Sheet) -> None:
    name, confidence = shape.need("label").text(), score(shape.get("score"))
    named = shape.get("shape_type")
    kind = "polygon" if named is None else named.text()
    points = [_point(point) for point in shape.need("points").items()]
    if kind == "point" or not points:
        sheet.skip()
        return
    xs, ys = [sheet.across(x) for x, _ in points], [sheet.down(y) for _, y in points]
    if kind == "circle":
        if len(points) != _PAIR:
            shape.need("points").fail("must be a circle's centre and a point on its edge")
        xs, ys = _around(xs, ys, sheet)
    if kind == "rectangle":
        sheet.add(name, envelope(xs, ys), confidence)
    else:
        sheet.add_shape(name, xs, ys, confidence)


def _point(field: Field) -> tuple[Field, Field]:
    numbers = list(field.items())
    if len(numbers) != _PAIR:
        field.fail("must be [x, y]")
    return numbers[0], numbers[1]


def _around(xs: list[float], ys: list[float], sheet: Sheet) -> tuple[list[float], list[float]]:
    """Return two corners around a circle, whose radius is the same number of pixels both ways."""
    radius = math.hypot((xs[1] - xs[0]) * sheet.width, (ys[1] - ys[0]) * sheet.height)
    across, down = radius / sheet.width, radius / sheet.height
    return [xs[0] - across, xs[0] + across], [ys[0] - down, ys[0] + down]
