"""From the bytes of a sidecar to labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.annotations.plan import AnnotationPlan
from agent.annotations.recognition import recognised
from agent.annotations.sidecar import Sidecar
from agent.errors import BadSidecar
from agent.pictures.orientation import UPRIGHT, displayed_box, displayed_size, stored_box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.frame import Labels

# Room for the formats that hold the picture once more, as base64.
MAX_SIDECAR_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class Subject:
    """The picture that a sidecar is about: its file name, its size as stored, and EXIF's orientation."""

    name: str
    width: int
    height: int
    orientation: int = 1


@dataclass(frozen=True, slots=True)
class Reading:
    """What a sidecar says, its boxes in the space of the stored pixels; and what it was read as, and why."""

    labels: Labels
    format: str
    reason: str


def read_sidecar(name: str, data: bytes, *, classes: Sequence[str], width: int, height: int) -> Labels:
    """Return what a sidecar in any format says of an upright picture; see `read_labels`."""
    return read_labels(name, data, Subject("", width, height), AnnotationPlan(classes=tuple(classes))).labels


def read_labels(name: str, data: bytes, subject: Subject, plan: AnnotationPlan) -> Reading:
    """Return what a sidecar says of a picture, by the plan of its source.

    `name` is for messages; the format is told by the content, among those that the plan has. Boxes are cut to the
    picture, and what is outside of it is dropped and counted. Raises `BadSidecar`, naming file, line and field, for
    everything else; hand in one byte more than `MAX_SIDECAR_BYTES` of a longer file.
    """
    content = recognised(sidecar_of(name, data, subject, plan), plan.formats)
    return Reading(settled(content.read(), subject, plan), content.format.name, content.reason)


def sidecar_of(name: str, data: bytes, subject: Subject, plan: AnnotationPlan) -> Sidecar:
    """Return a sidecar as readers take it."""
    if len(data) > MAX_SIDECAR_BYTES:
        raise BadSidecar(f"{name}: larger than {MAX_SIDECAR_BYTES} bytes")
    width, height = subject.width, subject.height
    if plan.box_size is not None:
        width, height = plan.box_size
    elif plan.box_space == "displayed":
        width, height = displayed_size(width, height, subject.orientation)
    text = _text(name, data)
    envelope = plan.shapes == "envelope"
    return Sidecar(name, data, text, width, height, plan.classes, picture=subject.name, envelope=envelope)


def as_displayed(labels: Labels, orientation: int) -> Labels:
    """Return labels of the stored pixels as they lie in the picture that is shown."""
    if orientation == UPRIGHT:
        return labels
    turned = (replace(one, geometry=displayed_box(one.geometry, orientation)) for one in labels.annotations)
    return replace(labels, annotations=tuple(turned))


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if data.lstrip()[:5] == b"<?xml":
            return data.decode("latin-1")  # to be recognised by; the parser reads the declaration itself
        line = data.count(b"\n", 0, error.start) + 1
        raise BadSidecar(f"{name}, line {line}: no UTF-8 text") from None


def settled(labels: Labels, subject: Subject, plan: AnnotationPlan) -> Labels:
    """Leave out what is too unsure, and bring boxes to the space of the stored pixels."""
    kept = tuple(one for one in labels.annotations if one.confidence is None or one.confidence >= plan.min_confidence)
    unsure = len(labels.annotations) - len(kept)
    if plan.box_space == "displayed" and subject.orientation != UPRIGHT:
        kept = tuple(replace(one, geometry=stored_box(one.geometry, subject.orientation)) for one in kept)
    return labels if kept == labels.annotations else replace(labels, annotations=kept, unsure=unsure)
