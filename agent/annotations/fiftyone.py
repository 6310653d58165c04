"""FiftyOne: detections with the upper left corner and the size, 0..1.

    [{"label": "dent", "bounding_box": [0.1, 0.2, 0.3, 0.4], "confidence": 0.9}]
    {"filepath": "/data/belt.jpg", "predictions": {"_cls": "Detections", "detections": [{…}]}}
    {"samples": [{"filepath": …, "predictions": {…}}]}
    {"classes": ["dent"], "labels": {"belt": [{"label": 0, "bounding_box": […]}]}}

A list, `Detections`, a sample, the samples of a data set, or an exported `labels.json`, whose labels may be indices
into its own `classes`. Polylines become the box around them. Where a sample has several fields of detections, those
named like a model's count: `predictions` before any other, `ground_truth` last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.annotations.lookup import last_part, the_one
from agent.annotations.sheet import relative, score

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.annotations.document import Field
    from agent.annotations.lookup import Excerpts
    from agent.annotations.sheet import Sheet
    from agent.frame import Labels

_SIDES = 4
_LISTS = ("detections", "polylines")


def signs(root: Field) -> str:
    """Return what tells this format from others."""
    first = root.first()
    if first is not None:
        return "a list with `bounding_box`" if first.has("bounding_box") else ""
    if not isinstance(root.value, dict):
        return ""
    labels = root.get("labels")
    if labels is not None and isinstance(labels.value, dict):
        return "`labels` by picture"
    if root.has("samples"):
        return "`samples`"
    return "`detections`" if _lists(root) is not None else ""


def read(root: Field, sheet: Sheet) -> Labels:
    """Return what the file says of the picture."""
    classes = root.get("classes") if isinstance(root.value, dict) else None
    for entry in _entries(root, sheet).items():
        _enter(entry, classes, sheet)
    return sheet.labels()


def excerpts(root: Field) -> Excerpts:
    """Return what a data set says of each picture."""
    if root.has("samples"):
        return {last_part(name): sample.value for name, sample in _samples(root)}
    head = {"classes": root.value["classes"]} if root.has("classes") else {}  # type: ignore[index]  # it is an object
    # A null there means that the sample was never labelled.
    return {
        last_part(name): {**head, "labels": {name: labels.value}}
        for name, labels in root.need("labels").members()
        if labels.value is not None
    }


def _entries(root: Field, sheet: Sheet) -> Field:
    """Return the list of the picture's detections."""
    if isinstance(root.value, list):
        return root
    if root.has("labels"):
        return the_one(sheet.sidecar, list(root.need("labels").members()))
    sample = the_one(sheet.sidecar, list(_samples(root))) if root.has("samples") else root
    found = _lists(sample)
    if found is None:
        raise sheet.sidecar.bad(sample.path, "has no detections")
    return found


def _samples(root: Field) -> Iterator[tuple[str, Field]]:
    for sample in root.need("samples").entries():
        if _lists(sample) is not None:
            yield sample.need("filepath").text(), sample


def _lists(sample: Field) -> Field | None:
    """Return the list of detections of `Detections`, or that of a sample's foremost field of them."""
    fields = [(name, field) for name, field in sample.members() if isinstance(field.value, dict)]
    ranked = sorted(fields, key=lambda one: (one[0] != "predictions", one[0] == "ground_truth"))
    for holder in (sample, *(field for _, field in ranked)):
        for name in _LISTS:
            found = holder.get(name)
            if found is not None and isinstance(found.value, list):
                return found
    return None


def _enter(entry: Field, classes: Field | None, sheet: Sheet) -> None:
    name, confidence = _name(entry.need("label"), classes, sheet), score(entry.get("confidence"))
    if entry.has("points"):
        points = [list(point.items()) for line in entry.need("points").items() for point in line.items()]
        if any(len(point) != 2 for point in points):  # noqa: PLR2004 (x and y)
            entry.need("points").fail("must be lists of [x, y]")
        sheet.add_shape(name, [relative(x) for x, _ in points], [relative(y) for _, y in points], confidence)
        return
    box = entry.need("bounding_box")
    sides = [relative(side) for side in box.items()]
    if len(sides) != _SIDES:
        box.fail("must be [left, top, width, height]")
    left, top, width, height = sides
    sheet.add(name, (left + width / 2, top + height / 2, width, height), confidence)


def _name(label: Field, classes: Field | None, sheet: Sheet) -> str:
    if isinstance(label.value, str):
        return label.text()
    if classes is None:
        return sheet.class_name(label)
    index = label.whole()
    named = list(classes.entries())
    if not 0 <= index < len(named):
        label.fail(f"must be an index into the file's {len(named)} `classes`")
    return named[index].text()
