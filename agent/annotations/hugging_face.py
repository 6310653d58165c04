"""The object detection pipeline of Hugging Face: a list with pixel corners.

[{"label": "cat", "score": 0.998, "box": {"xmin": 13, "ymin": 52, "xmax": 314, "ymax": 470}}]
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
    first = root.first()
    box = first.get("box") if first is not None and first.has("box") else None
    return "a list with `box.xmin`" if box is not None and box.has("xmin") else ""


def read(root: Field, sheet: Sheet) -> Labels:
    """Return what a pipeline found."""
    for entry in root.items():
        name, box = entry.need("label").text(), entry.need("box")
        geometry = sheet.corners(box.need("xmin"), box.need("ymin"), box.need("xmax"), box.need("ymax"))
        sheet.add(name, geometry, score(entry.get("score")))
    return sheet.labels()
