"""The agent's own sidecar, and the platform's metadata JSON saved beside the picture.

    {"schema": 1, "model": {"id": …, "version": …}, "annotations": [{class_value, type, geometry, confidence?}]}
    {"model_id": …, "model_version": …, "timestamp": …, "annotations": [{class_value, type, geometry}]}

Keys that are not known are passed over in both: an inference program may write more than the platform takes. NaN
and Infinity, which Python's parser lets through, are refused where a number is used.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agent.annotations.sheet import relative, score
from agent.frame import Labels, Model

if TYPE_CHECKING:
    from agent.annotations.document import Field
    from agent.annotations.sheet import Sheet

_SCHEMA = 1
_SIDES = 4


def signs(root: Field) -> str:
    """Return what tells this format from others; nothing where it is another one."""
    return "" if not root.has("annotations") or root.has("images") else "`annotations`"


def read(root: Field, sheet: Sheet) -> Labels:
    """Return what a native sidecar or a metadata JSON says."""
    # A COCO data set has `annotations` as well; an empty one must not pass for "nothing found".
    if not root.has("annotations") or root.has("images"):
        raise sheet.sidecar.bad("", "expected an object with `annotations`, a list of {class_value, type, geometry}")
    schema = root.get("schema")
    if schema is not None and (schema.value != _SCHEMA or schema.value is True):
        schema.fail(f"must be {_SCHEMA}")
    for entry in root.need("annotations").items():
        _annotate(entry, sheet)
    return sheet.labels(_model(root), _captured_at(root))


def _annotate(entry: Field, sheet: Sheet) -> None:
    name = entry.need("class_value").text()
    kind = entry.get("type")
    if kind is not None and kind.value != "bbox":
        kind.fail("must be `bbox`, the only type that the platform has")
    geometry = entry.need("geometry")
    sides = [relative(side) for side in geometry.items()]
    if len(sides) != _SIDES:
        geometry.fail("must be [x_center, y_center, width, height]")
    sheet.add(name, (sides[0], sides[1], sides[2], sides[3]), score(entry.get("confidence")))


def _model(root: Field) -> Model:
    named = root.get("model")
    model_id, version = (
        (root.get("model_id"), root.get("model_version")) if named is None else (named.get("id"), named.get("version"))
    )
    return Model(None if model_id is None else model_id.text(), None if version is None else version.text())


def _captured_at(root: Field) -> datetime | None:
    """Return the time in the sidecar; None unless it is a time with an offset, for nobody knows whose clock it was."""
    timestamp = root.get("timestamp")
    if timestamp is None or not isinstance(timestamp.value, str):
        return None
    try:
        moment = datetime.fromisoformat(timestamp.value)
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
