from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from agent.annotations.plan import AnnotationPlan
from agent.annotations.read import Subject, read_labels, read_sidecar
from agent.errors import BadSidecar
from agent.frame import Annotation, Labels, Model

BOX = [0.31, 0.62, 0.08, 0.05]
SCRATCH = {"class_value": "scratch", "type": "bbox", "geometry": BOX}


def read(document: Any, name: str = "belt.json") -> Labels:  # noqa: ANN401 (any JSON)
    """Read a document as the sidecar of a picture."""
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_sidecar(name, data, classes=(), width=640, height=480)


def with_box(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 (any JSON)
    """Return a document with one annotation, changed."""
    return {"annotations": [SCRATCH | changes]}


@pytest.mark.parametrize(
    ("document", "labels"),
    [
        (
            {
                "schema": 1,
                "model": {"id": "mdl_77", "version": "2.1.0"},
                "annotations": [SCRATCH | {"confidence": 0.87}, {"class_value": "Kratzer ⚙", "geometry": [0, 0, 1, 1]}],
            },
            Labels(
                (
                    Annotation("scratch", (0.31, 0.62, 0.08, 0.05), 0.87),
                    Annotation("Kratzer ⚙", (0.25, 0.25, 0.5, 0.5)),
                ),
                Model("mdl_77", "2.1.0"),
            ),
        ),
        (
            {
                "model_id": "mdl_77",
                "model_version": "2.1.0",
                "source": "belt-west",
                "timestamp": "2026-03-14T08:15:02.417Z",
                "annotations": [SCRATCH],
            },
            Labels(
                (Annotation("scratch", (0.31, 0.62, 0.08, 0.05)),),
                Model("mdl_77", "2.1.0"),
                datetime(2026, 3, 14, 8, 15, 2, 417000, tzinfo=UTC),
            ),
        ),
        ({"schema": 1, "annotations": []}, Labels(())),
        ({"annotations": [], "model": None, "model_id": None, "timestamp": None}, Labels(())),
        ({"annotations": [], "model": {"id": "m"}, "operator": "Jo", "schema": 1}, Labels((), Model("m"))),
        (with_box(geometry=[1.5, 0.5, 0.1, 0.1], track=7), Labels((), dropped=1)),
        (with_box(confidence=None, type=None), Labels((Annotation("scratch", (0.31, 0.62, 0.08, 0.05)),))),
    ],
    ids=["native", "platform", "nothing found", "nulls", "more keys", "outside", "null members"],
)
def test_a_sidecar_says_what_it_says(document: dict[str, Any], labels: Labels) -> None:
    """Both JSON shapes become labels: boxes cut to the picture, model and time where they are named."""
    assert read(document) == labels


@pytest.mark.parametrize(
    "timestamp",
    ["yesterday", "2026-03-14T08:15:02", "2026-03-14", "0001-01-01T00:00:00+14:00", 1773476102, ""],
)
def test_a_time_that_names_no_moment_is_passed_over(timestamp: object) -> None:
    """Without an offset nobody knows the moment; the annotations are good all the same."""
    assert read({"annotations": [SCRATCH], "timestamp": timestamp}).captured_at is None


def test_a_time_in_another_zone_is_that_moment_in_utc() -> None:
    """An offset is honoured, not dropped."""
    labels = read({"annotations": [], "timestamp": "2026-03-14T10:15:02+02:00"})
    assert labels.captured_at == datetime(2026, 3, 14, 8, 15, 2, tzinfo=UTC)
    assert labels.captured_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (with_box(geometry=[0.1, True, 0.1, 0.1]), "annotations[0].geometry[1]: must be a number, not true or false"),
        (with_box(geometry=[0.1, 0.1, "0.1", 0.1]), "annotations[0].geometry[2]: must be a number, not '0.1'"),
        (with_box(geometry=[0.1, None, 0.1, 0.1]), "annotations[0].geometry[1]: must be a number, not None"),
        (
            with_box(geometry=[320, 240, 50, 20]),
            "annotations[0].geometry[0]: must be within 0..1, not 320. Are these pix",
        ),
        (
            with_box(geometry=[0.1, 0.1, 0.1]),
            "annotations[0].geometry: must be [x_center, y_center, width, height], not",
        ),
        (with_box(geometry={"x": 1}), "annotations[0].geometry: must be a list, not an object"),
        (with_box(geometry=None), "annotations[0].geometry: is missing"),
        (
            with_box(type="polygon"),
            "annotations[0].type: must be `bbox`, the only type that the platform has, not 'poly",
        ),
        (with_box(class_value=3), "annotations[0].class_value: must be text, not 3"),
        (with_box(class_value=""), "annotations[0].class_value: must be text, not ''"),
        (with_box(class_value="a" * 201), "annotations[0].class_value: must have at most 200 characters, not 'aaa"),
        (with_box(class_value="\ud800"), "annotations[0].class_value: must be valid Unicode"),
        (with_box(confidence=87), "annotations[0].confidence: must be within 0..1, not 87"),
        (with_box(confidence=True), "annotations[0].confidence: must be a number, not true or false"),
        ({"annotations": [SCRATCH, 5]}, "annotations[1]: must be an object, not 5"),
        ({"annotations": [{"geometry": BOX}]}, "annotations[0].class_value: is missing"),
        ({"annotations": {}}, "annotations: must be a list, not an object"),
        ({"annotations": None}, "annotations: is missing"),
        ({"schema": 2, "annotations": []}, "schema: must be 1, not 2"),
        ({"schema": True, "annotations": []}, "schema: must be 1, not true or false"),
        ({"model": "m", "annotations": []}, "model: must be an object, not 'm'"),
        ({"model": {"version": 2.1}, "annotations": []}, "model.version: must be text, not 2.1"),
        ({"model_id": 7, "annotations": []}, "model_id: must be text, not 7"),
    ],
)
def test_every_complaint_names_file_and_field(document: dict[str, Any], message: str) -> None:
    """One line says which file, which field, what was expected and what stood there."""
    with pytest.raises(BadSidecar) as caught:
        read(document)
    assert str(caught.value).startswith(f"belt.json, line 1, {message}")


@pytest.mark.parametrize(
    "document",
    [
        {"version": "5.4", "shapes": [{"label": "a", "points": [[1, 2], [3, 4]]}], "imageData": None},
        {"images": [], "annotations": [], "categories": []},
        [{"name": "a", "class": 0, "box": {"x1": 1}}],
        "annotations",
        None,
    ],
    ids=["labelme", "coco", "ultralytics json", "text", "null"],
)
def test_another_format_is_told_what_was_expected(document: object) -> None:
    """Where this format is configured, a file of another tool is refused, and never taken for "nothing found"."""
    data, plan = json.dumps(document).encode(), AnnotationPlan(formats=("native",))
    with pytest.raises(BadSidecar, match=r"^belt\.json: expected an object with `annotations`, a list of"):
        read_labels("belt.json", data, Subject("belt.jpg", 640, 480), plan)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"annotations": [\n  {"class_value": }]}', "line 2, column 19: no JSON"),
        (b"", "line 1, column 1: no JSON"),
        (b'{"annotations": []', "line 1, column 19: no JSON"),
        (b'{"annotations":\n\n["\xff"]}', "line 3: no UTF-8 text"),
    ],
)
def test_what_is_no_json_is_told_by_its_line(data: bytes, message: str) -> None:
    """A half-written or binary file is an error with its place, not a surprise."""
    with pytest.raises(BadSidecar) as caught:
        read(data)
    assert str(caught.value).startswith(f"belt.json, {message}")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 400])
def test_numbers_beyond_all_numbers_are_refused(number: str) -> None:
    """Python's parser lets NaN and infinities through; the reader does not."""
    data = json.dumps(with_box(geometry=["?", 0, 0, 0])).replace('"?"', number).encode()
    with pytest.raises(BadSidecar, match=r"annotations\[0\]\.geometry\[0\]: must be a finite number"):
        read(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"annotations":' + b"[" * 150_000, "nested too deeply|no JSON"),
        (b'{"a":' * 90_000, "nested too deeply|no JSON"),
        (b'{"annotations": [' + b"[]," * 2_000_000 + b"0]}", "more than 200000 values"),
        (b'{"annotations": [' + b"0," * 10_001 + b"0]}", "more than 10000 annotations"),
        (b'{"annotations": [' + b"9" * 5000 + b"]}", "too many digits"),
    ],
    ids=["deep lists", "deep objects", "many values", "many annotations", "long number"],
)
def test_a_hostile_document_is_refused_before_it_costs(data: bytes, reason: str) -> None:
    """Depth, number of values and length of numbers are bounded, each with a reason."""
    with pytest.raises(BadSidecar, match=reason):
        read(data)


def test_a_byte_order_mark_is_no_error() -> None:
    """Windows tools write one."""
    assert read(b"\xef\xbb\xbf" + json.dumps({"annotations": []}).encode()) == Labels(())
