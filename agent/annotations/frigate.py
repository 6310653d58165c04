"""Frigate: an event as it is published (`after`), or as the API tells it (`data`).

    {"type": "new", "after": {"label": "person", "score": 0.87, "box": [424, 500, 536, 712], "snapshot": {…}}}
    {"label": "person", "data": {"score": 0.87, "box": [0.33, 0.46, 0.09, 0.2]}}

A published box has two corners in pixels of the size that the camera is detected at: `box_size` says it where the
picture has another. Its `snapshot` has the box of the very frame that is saved as the event's picture, so that comes
first. The API's box is the upper left corner and the size, 0..1. A list of either is several objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.annotations.sheet import relative, score

if TYPE_CHECKING:
    from agent.annotations.document import Field
    from agent.annotations.sheet import Sheet
    from agent.frame import Labels

_SIDES = 4


def signs(root: Field) -> str:
    """Return what tells this format from others."""
    event = root.first() if isinstance(root.value, list) else root
    if event is None or not isinstance(event.value, dict):
        return ""
    if event.has("after"):
        return "an event with `after`"
    data = event.get("data")
    return "an event with `data.box`" if event.has("label") and data is not None and data.has("box") else ""


def read(root: Field, sheet: Sheet) -> Labels:
    """Return what an event saw."""
    for event in root.items() if isinstance(root.value, list) else [root]:
        if event.has("after"):
            _published(event.need("after"), sheet)
        else:
            _told(event, sheet)
    return sheet.labels()


def _published(after: Field, sheet: Sheet) -> None:
    snapshot = after.get("snapshot")
    moment = snapshot if snapshot is not None and snapshot.has("box") else after
    left, top, right, bottom = _sides(moment.need("box"))
    sheet.add(after.need("label").text(), sheet.corners(left, top, right, bottom), score(moment.get("score")))


def _told(event: Field, sheet: Sheet) -> None:
    data = event.need("data")
    x, y, width, height = (relative(side) for side in _sides(data.need("box")))
    geometry = (x + width / 2, y + height / 2, width, height)
    sheet.add(event.need("label").text(), geometry, score(data.get("score")))


def _sides(box: Field) -> list[Field]:
    sides = list(box.items())
    if len(sides) != _SIDES:
        box.fail("must be four numbers")
    return sides
