"""From an annotator's answer to labels. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.annotations.boxes import FAR_OUT
from agent.annotations.document import parse
from agent.annotations.metadata import merged
from agent.annotations.read import read_labels, settled, sidecar_of
from agent.annotations.sheet import Sheet, from_corners, score
from agent.annotations.sidecar import Sidecar
from agent.errors import BadSidecar, Unanswered

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.annotations.boxes import Geometry
    from agent.annotations.document import Field
    from agent.annotations.read import Subject
    from agent.annotators.plan import AnnotatorPlan, Shape
    from agent.frame import Labels

MAX_ANSWER_BYTES = 8_000_000
_NAME = "answer.json"
_SIDES = 4
CHECK_UNIT = "Check `box_unit`."


def read_answer(data: bytes, plan: AnnotatorPlan, subject: Subject) -> Labels:
    """Return what an answer says of a picture, its boxes in the space of the stored pixels.

    An object with an `error` says that the picture could not be looked at. Raises `Unanswered` for that, and for
    all that cannot be read, with the field that is wrong: that is `away`, for it may be what a program prints beside
    its answers, and all that follow would be those of other pictures.
    """
    if len(data) > MAX_ANSWER_BYTES:
        raise Unanswered(f"its answer is larger than {MAX_ANSWER_BYTES} bytes", away=True)
    try:
        _check_error(data)
        if plan.shape is None:
            labels = read_labels(_NAME, data, subject, plan.reading).labels
        else:
            labels = _shaped(sidecar_of(_NAME, data, subject, plan.reading), plan.shape)
            labels = settled(labels, subject, plan.reading)
    except BadSidecar as error:
        raise Unanswered(f"its answer cannot be read: {error}", away=True) from None
    # When the picture was taken is no affair of an annotator's.
    return replace(labels, model=merged(labels.model, plan.model), captured_at=None)


def _check_error(data: bytes) -> None:
    # Parsing a thousand boxes twice costs a millisecond or two; most answers do not hold the word.
    if b'"error"' not in data:
        return
    said = parse(Sidecar(_NAME, data, data.decode("utf-8", "replace"), 1, 1)).value
    if isinstance(said, dict) and said.get("error"):
        raise Unanswered(f"it could not look at the picture: {str(said['error'])[:300]}")


def _shaped(sidecar: Sidecar, shape: Shape) -> Labels:
    sheet, place = Sheet(sidecar), parse(sidecar)
    for key in shape.entries:
        place = place.need(key)
    for entry in place.items():
        label = entry.need(shape.label)
        name = sheet.class_name(label) if type(label.value) is int else label.text()
        sheet.add(name, _geometry(_sides(entry, shape), shape, sheet), score(entry.get(shape.confidence)))
    return sheet.labels()


def _geometry(sides: list[Field], shape: Shape, sheet: Sheet) -> Geometry:
    first, second, third, fourth = (
        measure(side) for side, measure in zip(sides, _measures(shape, sheet) * 2, strict=True)
    )
    if shape.form == "center":
        return first, second, third, fourth
    if shape.form == "top_left":
        return first + third / 2, second + fourth / 2, third, fourth
    return from_corners(first, second, third, fourth)


def _measures(shape: Shape, sheet: Sheet) -> list[Callable[[Field], float]]:
    """Return what makes shares of a number across and of one down."""
    if shape.unit == "pixels":
        return [sheet.across, sheet.down]
    if shape.unit == "percent":
        return [lambda side: side.within(-100 * FAR_OUT, 100 * FAR_OUT, remedy=CHECK_UNIT) / 100] * 2
    return [lambda side: side.within(-FAR_OUT, FAR_OUT, remedy=CHECK_UNIT)] * 2


def _sides(entry: Field, shape: Shape) -> list[Field]:
    if len(shape.box) == _SIDES:
        return [entry.need(name) for name in shape.box]
    field = entry.need(shape.box[0])
    sides = list(field.items())
    if len(sides) != _SIDES:
        field.fail("must be four numbers")
    return sides
