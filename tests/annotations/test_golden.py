from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.annotations.formats import FORMATS, NAMES
from agent.annotations.plan import AnnotationPlan
from agent.annotations.read import Subject, read_labels
from agent.errors import BadSidecar
from agent.frame import Model
from agent.pictures.orientation import displayed_box

GOLDEN = Path(__file__).parent / "golden"
CASES = [
    pytest.param(folder.name, name, expected, id=f"{folder.name}/{name}")
    for folder in sorted(GOLDEN.iterdir())
    if folder.is_dir()
    for name, expected in json.loads((folder / "expected.json").read_text(encoding="utf-8")).items()
]


def subject_of(expected: dict[str, Any]) -> Subject:
    """Return the picture of a case, as it is stored: 640 x 480 unless the case says otherwise."""
    width, height = expected.get("size", (640, 480))
    orientation = expected.get("orientation", 1)
    if orientation >= 5:
        width, height = height, width
    return Subject(expected.get("picture", "belt.jpg"), width, height, orientation)


def plan_of(expected: dict[str, Any], **changes: Any) -> AnnotationPlan:  # noqa: ANN401 (any field of the plan)
    """Return the plan of a case."""
    size = expected.get("box_size")
    return AnnotationPlan(
        classes=tuple(expected.get("classes", ("dent", "scratch"))),
        box_size=(size[0], size[1]) if size else None,
        min_confidence=expected.get("min_confidence", 0.0),
        shapes=expected.get("shapes", "envelope"),
        **changes,
    )


@pytest.mark.parametrize("configured", [False, True], ids=["auto", "named"])
@pytest.mark.parametrize(("known", "name", "expected"), CASES)
def test_a_file_of_each_format_says_what_it_is_known_to_say(
    known: str, name: str, expected: dict[str, Any], *, configured: bool
) -> None:
    """Boxes, names, confidences, model and every count, or the complaint; told by content as well as by name."""
    data = (GOLDEN / known / name).read_bytes()
    plan = plan_of(expected, formats=(known,) if configured else ())
    if "error" in expected:
        with pytest.raises(BadSidecar) as caught:
            read_labels(name, data, subject_of(expected), plan)
        assert expected["error"] in str(caught.value)
        assert str(caught.value).startswith(name)
        return
    reading = read_labels(name, data, subject_of(expected), plan)
    labels = reading.labels
    orientation = expected.get("orientation", 1)
    told = [[one.class_value, *displayed_box(one.geometry, orientation), one.confidence] for one in labels.annotations]
    assert [one[0] for one in told] == [box[0] for box in expected["boxes"]]
    for one, box in zip(told, expected["boxes"], strict=True):
        assert one[1:] == pytest.approx(box[1:], abs=2e-6)
    for count in ("dropped", "skipped", "unsure", "unnamed"):
        assert getattr(labels, count) == expected.get(count, 0), count
    assert labels.model == Model(*expected.get("model", (None, None)))
    assert reading.reason
    assert reading.format == known or data.strip() == b"[]"


def test_every_format_has_three_files_and_an_odd_one() -> None:
    """No reader is without proof: at least three files each, one of them wrong."""
    assert (
        {known.name for known in FORMATS}
        == set(NAMES)
        == {folder.name for folder in GOLDEN.iterdir() if folder.is_dir()}
    )
    for known in NAMES:
        cases = json.loads((GOLDEN / known / "expected.json").read_text(encoding="utf-8"))
        assert len(cases) >= 3, known
        assert any("error" in case for case in cases.values()), known
        assert {path.name for path in (GOLDEN / known).iterdir()} - {"expected.json"} == set(cases), known
