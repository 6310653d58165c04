"""DeepStack and CodeProject.AI: `predictions` with pixel corners.

    {"success": true, "predictions": [{"label": "car", "confidence": 0.81, "x_min": 10, "y_min": 20, …}]}

`success: false` means that nothing was looked at, which is not the same as nothing found.
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
    predictions = root.get("predictions")
    first = None if predictions is None else predictions.first()
    if first is not None:
        return "`predictions` with `x_min`" if first.has("x_min") else ""
    return "`success` and no predictions" if root.has("success") else ""


def read(root: Field, sheet: Sheet) -> Labels:
    """Return what a detection server answered."""
    success = root.get("success")
    if success is not None and success.value is not True:
        success.fail("must be true: the server says that it looked at nothing")
    for entry in root.need("predictions").items():
        geometry = sheet.corners(entry.need("x_min"), entry.need("y_min"), entry.need("x_max"), entry.need("y_max"))
        sheet.add(entry.need("label").text(), geometry, score(entry.get("confidence")))
    return sheet.labels()
