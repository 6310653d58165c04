"""Ultralytics' JSON (`results.to_json()`): a list of objects with two corners.

    [{"name": "person", "class": 0, "confidence": 0.92, "box": {"x1": 12.5, "y1": 40, "x2": 88, "y2": 210.25}}]

Corners are pixels, or 0..1 where the program asked for that (`normalize=True`): the file does not say which. No
object of a real file is smaller than a pixel at the picture's first corner, so numbers that are all within 0..1 are
shares. A rotated box has four corners (`x1` to `y4`) and becomes the box around them; a classification has no box.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.annotations.sheet import from_corners, relative, score

if TYPE_CHECKING:
    from agent.annotations.document import Field
    from agent.annotations.sheet import Sheet
    from agent.frame import Labels

_XS, _YS = ("x1", "x2", "x3", "x4"), ("y1", "y2", "y3", "y4")


def signs(root: Field) -> str:
    """Return what tells this format from others."""
    first = root.first()
    if first is None or not first.has("name"):
        return ""
    box = first.get("box")
    if box is not None and box.has("x1"):
        return "a list with `name` and `box.x1`"
    return "a list with `name`, `class` and `confidence`" if first.has("class") and first.has("confidence") else ""


def read(root: Field, sheet: Sheet) -> Labels:
    """Return what a list of Ultralytics results says."""
    entries = list(root.items())
    are_shares = all(_is_share(number) for entry in entries for number in _numbers(entry))
    for entry in entries:
        _enter(entry, sheet, are_shares=are_shares)
    return sheet.labels()


def _enter(entry: Field, sheet: Sheet, *, are_shares: bool) -> None:
    named, confidence = entry.get("name"), score(entry.get("confidence"))
    name = sheet.class_name(entry.need("class")) if named is None else named.text()
    box = entry.get("box")
    if box is None:
        sheet.skip()
        return
    xs, ys = _values(box, _XS), _values(box, _YS)
    across = [relative(x) if are_shares else sheet.across(x) for x in xs]
    down = [relative(y) if are_shares else sheet.down(y) for y in ys]
    if len(xs) > 2:  # noqa: PLR2004 (two corners are an upright box)
        sheet.add_shape(name, across, down, confidence)
    else:
        sheet.add(name, from_corners(across[0], down[0], across[1], down[1]), confidence)


def _values(box: Field, names: tuple[str, ...]) -> list[Field]:
    return [box.need(name) for name in names[:2]] + [box.need(name) for name in names[2:] if box.has("x3")]


def _numbers(entry: Field) -> list[object]:
    box = entry.value.get("box") if isinstance(entry.value, dict) else None
    return list(box.values()) if isinstance(box, dict) else []


def _is_share(number: object) -> bool:
    return isinstance(number, int | float) and 0 <= number <= 1
