"""The agent's own sidecar, and the platform's metadata JSON saved beside the picture.

    {"schema": 1, "model": {"id": …, "version": …}, "annotations": [{class_value, type, geometry, confidence?}]}
    {"model_id": …, "model_version": …, "timestamp": …, "annotations": [{class_value, type, geometry}]}

Keys that are not known are passed over in both: an inference program may write more than the platform takes. NaN
and Infinity, which Python's parser lets through, are refused where a number is used.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agent.annotations.boxes import FAR_OUT, PIXELS, box_inside
from agent.annotations.document import parse
from agent.frame import Annotation, Labels, Model

if TYPE_CHECKING:
    from agent.annotations.boxes import Geometry
    from agent.annotations.document import Field
    from agent.annotations.sidecar import Sidecar

_SCHEMA = 1
_SIDES = 4


def read(sidecar: Sidecar) -> Labels:
    """Return what a native sidecar or a metadata JSON says."""
    root = parse(sidecar)
    # A COCO data set has `annotations` as well; an empty one must not pass for "nothing found".
    if not isinstance(root.value, dict) or "annotations" not in root.value or "images" in root.value:
        raise sidecar.bad("", "expected an object with `annotations`, a list of {class_value, type, geometry}")
    schema = root.get("schema")
    if schema is not None and (schema.value != _SCHEMA or schema.value is True):
        schema.fail(f"must be {_SCHEMA}")
    seen = [_annotation(entry) for entry in root.need("annotations").items()]
    kept = tuple(annotation for annotation in seen if annotation is not None)
    return Labels(kept, _model(root), _captured_at(root), dropped=len(seen) - len(kept))


def _annotation(entry: Field) -> Annotation | None:
    name = entry.need("class_value").text()
    kind = entry.get("type")
    if kind is not None and kind.value != "bbox":
        kind.fail("must be `bbox`, the only type that the platform has")
    geometry = _geometry(entry.need("geometry"))
    confidence = entry.get("confidence")
    score = None if confidence is None else _between(confidence, 0.0, 1.0)
    return None if geometry is None else Annotation(name, geometry, score)


def _geometry(field: Field) -> Geometry | None:
    numbers = [_between(side, -FAR_OUT, FAR_OUT) for side in field.items()]
    if len(numbers) != _SIDES:
        field.fail("must be [x_center, y_center, width, height]")
    return box_inside(*numbers)


def _between(field: Field, least: float, most: float) -> float:
    number = field.number()
    if not least <= number <= most:
        field.fail("must be within 0..1", remedy=PIXELS)
    return number


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
