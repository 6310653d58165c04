"""Roboflow inference: `predictions` whose `x` and `y` are the centre, in pixels of `image`.

    {"image": {"width": 640, "height": 480}, "predictions": [{"x": 320, "y": 240, "width": 50, "height": 20,
     "class": "scratch", "confidence": 0.9}]}

A segmentation's `points` and a pose's `keypoints` come with a box, which is taken. A workflow wraps the whole in a
second `predictions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.annotations.sheet import score

if TYPE_CHECKING:
    from agent.annotations.document import Field
    from agent.annotations.sheet import Sheet
    from agent.frame import Labels


def signs(root: Field) -> str:
    """Return what tells this format from others."""
    if not isinstance(root.value, dict):
        return ""
    inner = _unwrapped(root)
    predictions = inner.get("predictions")
    first = None if predictions is None else predictions.first()
    if first is not None:
        return "`predictions` with `x`, `width` and `class`" if all(map(first.has, ("x", "width", "class"))) else ""
    return "`image` and no predictions" if predictions is not None and inner.has("image") else ""


def read(root: Field, sheet: Sheet) -> Labels:
    """Return what an inference server answered."""
    inner = _unwrapped(root)
    image = inner.get("image")
    if image is not None:
        sheet.declare(image.get("width"), image.get("height"))
    for entry in inner.need("predictions").items():
        x, y = sheet.across(entry.need("x")), sheet.down(entry.need("y"))
        width, height = sheet.across(entry.need("width")), sheet.down(entry.need("height"))
        sheet.add(entry.need("class").text(), (x, y, width, height), score(entry.get("confidence")))
    return sheet.labels()


def _unwrapped(root: Field) -> Field:
    inner = root.get("predictions")
    return inner if inner is not None and inner.has("predictions") else root
