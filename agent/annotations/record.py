"""Labels as plain values, for the way from one of the agent's processes to another."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agent.frame import Annotation, Labels, Model

_SIDES = 4
_COUNTS = ("dropped", "unnamed", "masked", "skipped", "unsure")


def labels_record(labels: Labels) -> dict[str, Any]:
    """Return labels as values that JSON has."""
    return {
        "annotations": [[box.class_value, list(box.geometry), box.confidence] for box in labels.annotations],
        "model": [labels.model.id, labels.model.version],
        "captured_at": None if labels.captured_at is None else labels.captured_at.isoformat(),
        "counts": [getattr(labels, count) for count in _COUNTS],
    }


def read_record(record: Any) -> Labels:  # noqa: ANN401 (what another process wrote)
    """Return the labels that `labels_record` wrote; raises `ValueError` for anything else."""
    try:
        captured_at = record["captured_at"]
        return Labels(
            tuple(_annotation(*fields) for fields in record["annotations"]),
            Model(*(None if word is None else str(word) for word in record["model"])),
            None if captured_at is None else datetime.fromisoformat(captured_at),
            **{count: int(number) for count, number in zip(_COUNTS, record["counts"], strict=True)},
        )
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError("these are no labels") from error


def _annotation(name: object, geometry: list[float], confidence: float | None) -> Annotation:
    sides = [float(side) for side in geometry]
    if len(sides) != _SIDES:
        raise ValueError("a box has four sides")
    x_center, y_center, width, height = sides
    score = None if confidence is None else float(confidence)
    return Annotation(str(name), (x_center, y_center, width, height), score)
