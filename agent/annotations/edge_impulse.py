"""Edge Impulse: one file for all pictures of a directory, `info.labels` or `bounding_boxes.labels`.

    {"version": 1, "files": [{"path": "belt.jpg", "category": "training", "label": {"type": "label", "label": "dent"},
     "boundingBoxes": [{"label": "dent", "x": 12, "y": 40, "width": 76, "height": 170}]}]}

    {"version": 1, "type": "bounding-box-labels", "boundingBoxes": {"belt.jpg": [{"label": "dent", "x": 12, …}]}}

Pixels of the upper left corner, and the size. A file that is `unlabeled`, or has no list of boxes, says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.annotations.lookup import last_part, the_one

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.annotations.document import Field
    from agent.annotations.lookup import Excerpts
    from agent.annotations.sheet import Sheet
    from agent.frame import Labels


def signs(root: Field) -> str:
    """Return what tells this format from others."""
    if root.has("files"):
        return "`files`"
    boxes = root.get("boundingBoxes") if root.has("boundingBoxes") else None
    return "`boundingBoxes` by file name" if boxes is not None and isinstance(boxes.value, dict) else ""


def read(root: Field, sheet: Sheet) -> Labels:
    """Return what the file says of the picture."""
    for box in the_one(sheet.sidecar, list(_lists(root))).items():
        geometry = sheet.sized(box.need("x"), box.need("y"), box.need("width"), box.need("height"))
        sheet.add(box.need("label").text(), geometry)
    return sheet.labels()


def excerpts(root: Field) -> Excerpts:
    """Return what the file says of each picture."""
    return {last_part(name): {"boundingBoxes": {last_part(name): boxes.value}} for name, boxes in _lists(root)}


def _lists(root: Field) -> Iterator[tuple[str, Field]]:
    """Yield the pictures that something is known of, each with its list of boxes."""
    if not root.has("files"):
        yield from root.need("boundingBoxes").members()
        return
    for file in root.need("files").entries():
        label = file.get("label")
        kind = label.get("type") if label is not None and label.has("type") else None
        boxes = file.get("boundingBoxes")
        if boxes is not None and (kind is None or kind.value != "unlabeled"):
            yield file.need("path").text(), boxes
