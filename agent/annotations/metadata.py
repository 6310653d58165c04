"""The metadata JSON that goes with a picture."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from agent.annotations.boxes import box_inside
from agent.clock import utc_text
from agent.frame import Model

if TYPE_CHECKING:
    from datetime import datetime

    from agent.frame import Labels

# Made once: `json.dumps` with options makes one for each text.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def metadata_json(*, source: str, captured_at: datetime, model: Model, labels: Labels | None) -> str:
    """Return what the platform is told of a picture, the same text for the same facts.

    `model` stands in where the labels name none. Without labels there are no `annotations`: nothing is known;
    labels without any give an empty list: nothing was found. Confidence stays here, the contract has no place for it.
    Boxes leave cut to the picture and rounded to a millionth, as the readers make them anyway.
    """
    named = model if labels is None else merged(labels.model, model)
    said: dict[str, Any] = {"source": source, "timestamp": utc_text(captured_at)}
    if named.id is not None:
        said["model_id"] = named.id
    if named.version is not None:
        said["model_version"] = named.version
    if labels is not None:
        said["annotations"] = [
            {"class_value": annotation.class_value, "type": "bbox", "geometry": geometry}
            for annotation in labels.annotations
            if (geometry := box_inside(*annotation.geometry))
        ]
    return _text(said)


def retimed(metadata: str, captured_at: datetime) -> str:
    """Return the same metadata with another capture time; raises `ValueError` where it is none of ours."""
    said = json.loads(metadata)
    if not isinstance(said, dict) or "timestamp" not in said:
        raise ValueError("no metadata with a timestamp")
    said["timestamp"] = utc_text(captured_at)
    return _text(said)


def _text(said: dict[str, Any]) -> str:
    return _encode(said)


def merged(named: Model, configured: Model) -> Model:
    """Fill in what a sidecar leaves out; a version belongs to its id, and goes with no other."""
    same = named.id in (None, configured.id)
    return Model(named.id or configured.id, named.version or (configured.version if same else None))
