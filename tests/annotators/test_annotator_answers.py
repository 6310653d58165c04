from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.annotations.plan import AnnotationPlan
from agent.annotations.read import Subject
from agent.annotators.answers import MAX_ANSWER_BYTES, read_answer
from agent.annotators.plan import AnnotatorPlan, Shape
from agent.errors import Unanswered
from agent.frame import Annotation, Labels, Model

PLAN = AnnotatorPlan("command")
NATIVE = {"annotations": [{"class_value": "dent", "geometry": [0.5, 0.5, 0.2, 0.1], "confidence": 0.4}]}


def read(said: object, plan: AnnotatorPlan = PLAN) -> Labels:
    """Read an answer about a picture of 400 x 200 pixels."""
    data = said if isinstance(said, bytes) else json.dumps(said).encode()
    return read_answer(data, plan, Subject("belt.jpg", 400, 200))


def shaped(entry: dict[str, Any], **shape: Any) -> tuple[float, ...]:  # noqa: ANN401 (the shape's own fields)
    """Return the box that one entry says, in an answer of some shape."""
    plan = AnnotatorPlan("http", shape=Shape(**shape))
    return read({"predictions": [{"label": "dent", **entry}]}, plan).annotations[0].geometry


def test_an_answer_is_read_as_a_sidecar_is() -> None:
    """What a file beside the picture may say, an annotator may answer."""
    assert read(NATIVE).annotations == (Annotation("dent", (0.5, 0.5, 0.2, 0.1), 0.4),)
    assert read({"annotations": []}) == Labels(())


def test_the_answers_model_comes_before_the_configured_one() -> None:
    """Who answers knows best; what it leaves out is filled in."""
    plan = AnnotatorPlan("command", model=Model("mdl-1", "2"))
    assert read(NATIVE, plan).model == Model("mdl-1", "2")
    assert read({**NATIVE, "model": {"id": "mdl-9", "version": "3"}}, plan).model == Model("mdl-9", "3")


def test_when_the_picture_was_taken_is_not_asked() -> None:
    """An answer's timestamp says when it was answered."""
    assert read({**NATIVE, "timestamp": "2020-01-01T00:00:00Z"}).captured_at is None


def test_unsure_boxes_are_left_out() -> None:
    """Below the least confidence a box is none; one that tells none is kept."""
    unsure = AnnotatorPlan("command", reading=AnnotationPlan(min_confidence=0.5))
    assert read(NATIVE, unsure).annotations == ()
    del (plain := json.loads(json.dumps(NATIVE)))["annotations"][0]["confidence"]
    assert len(read(plain, unsure).annotations) == 1


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", "answer.json, line 1, column 1: no JSON"),
        (b"\xff\xfe", "no UTF-8"),
        (b"I see a dent", "no JSON"),
        ({"error": "out of memory"}, "could not look at the picture: out of memory"),
        ({"annotations": [{"class_value": "dent", "geometry": [0, 0, "wide", 1]}]}, r"geometry\[2\]: must be a number"),
        ([1], "answer.json"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"error"' + b"[" * 100_000, "answer.json"),
        (b" " * (MAX_ANSWER_BYTES + 1), "larger than"),
    ],
)
def test_rubbish_is_told_from_an_answer(said: object, reason: str) -> None:
    """What cannot be read is no answer, and the reason names the field."""
    with pytest.raises(Unanswered, match=reason) as caught:
        read(said)
    assert caught.value.away == (reason[:6] != "could ")


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_answer_does_harm(said: bytes) -> None:
    """Whatever the bytes, there are labels or there is the one error."""
    for plan in (PLAN, AnnotatorPlan("http", shape=Shape())):
        try:
            read(said, plan)
        except Unanswered:
            continue


BOX = (0.5, 0.5, 0.25, 0.5)


def test_every_form_of_box_comes_to_the_same() -> None:
    """Corners, corner and size, centre and size; pixels, shares, percent; in four keys or in one list."""
    assert shaped({"box": [150, 50, 250, 150]}) == BOX
    assert shaped({"box": [150, 50, 100, 100]}, form="top_left") == BOX
    assert shaped({"box": [200, 100, 100, 100]}, form="center") == BOX
    assert shaped({"box": [0.375, 0.25, 0.625, 0.75]}, unit="fraction") == BOX
    assert shaped({"box": [37.5, 25, 62.5, 75]}, unit="percent") == BOX
    assert shaped({"l": 150, "t": 50, "r": 250, "b": 150}, box=("l", "t", "r", "b")) == BOX


def test_the_list_may_lie_deep() -> None:
    """A path of keys leads to the list, whatever else is in the answer."""
    plan = AnnotatorPlan(
        "http", reading=AnnotationPlan(classes=("scratch",)), shape=Shape(("data", "found"), "kind", "p", ("box",))
    )
    labels = read({"data": {"found": [{"kind": 0, "p": 0.5, "box": [0, 0, 40, 20]}], "ms": 4}}, plan)
    assert labels.annotations == (Annotation("scratch", (0.05, 0.05, 0.1, 0.1), 0.5),)


def test_a_box_outside_of_the_picture_is_dropped_and_counted() -> None:
    """Nothing of it lies within."""
    labels = read({"predictions": [{"label": "dent", "box": [500, 0, 600, 50]}]}, AnnotatorPlan("http", shape=Shape()))
    assert (labels.annotations, labels.dropped) == ((), 1)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, "predictions: is missing"),
        ({"predictions": {}}, "must be a list"),
        ({"predictions": [{"box": [0, 0, 1, 1]}]}, r"predictions\[0\].label: is missing"),
        ({"predictions": [{"label": "a", "box": [0, 0, 1]}]}, "must be four numbers"),
        ({"predictions": [{"label": "a", "box": [0, 0, 1, True]}]}, "must be a number"),
        ({"predictions": [{"label": "a", "box": [0, 0, 9000, 1]}]}, r"box\[2\]: lies far outside"),
        ({"predictions": [{"label": "a", "box": [0, 0, 1, 1], "confidence": 7}]}, "must be within 0..1"),
        ({"predictions": [{"label": None, "box": [0, 0, 1, 1]}]}, "label: is missing"),
    ],
)
def test_a_field_that_is_wrong_is_named(said: object, reason: str) -> None:
    """An answer of a configured shape is held to it, and the place where it is not is told."""
    with pytest.raises(Unanswered, match=reason):
        read(said, AnnotatorPlan("http", shape=Shape()))
