from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.annotations.metadata import metadata_json
from agent.annotations.read import read_sidecar
from agent.frame import Annotation, Labels, Model

MOMENT = datetime(2026, 3, 14, 8, 15, 2, 417000, tzinfo=UTC)
SCRATCH = Annotation("scratch", (0.31, 0.62, 0.08, 0.05), 0.87)


def said(labels: Labels | None, model: Model = Model()) -> str:  # noqa: B008 (frozen)
    """Return the metadata of a picture of the west belt."""
    return metadata_json(source="belt-west", captured_at=MOMENT, model=model, labels=labels)


def test_the_metadata_reads_as_the_contract_has_it() -> None:
    """The whole text, byte for byte: keys in their order, no blanks, no confidence."""
    assert said(Labels((SCRATCH,), Model("mdl_77", "2.1.0"))) == (
        '{"source":"belt-west","timestamp":"2026-03-14T08:15:02.417Z","model_id":"mdl_77","model_version":"2.1.0",'
        '"annotations":[{"class_value":"scratch","type":"bbox","geometry":[0.31,0.62,0.08,0.05]}]}'
    )


def test_nothing_known_and_nothing_found_are_told_apart() -> None:
    """Without a sidecar there is no list of annotations; with one that has none, the list is empty."""
    assert "annotations" not in json.loads(said(None))
    assert json.loads(said(Labels(())))["annotations"] == []


@pytest.mark.parametrize(
    ("named", "configured", "sent"),
    [
        (Model(), Model(), Model()),
        (Model(), Model("a", "1"), Model("a", "1")),
        (Model("b", "2"), Model("a", "1"), Model("b", "2")),
        (Model("b"), Model("a", "1"), Model("b")),
        (Model("a"), Model("a", "1"), Model("a", "1")),
        (Model(None, "2"), Model("a", "1"), Model("a", "2")),
        (Model("b"), Model(), Model("b")),
    ],
)
def test_the_configured_model_stands_in_where_the_sidecar_is_silent(
    named: Model, configured: Model, sent: Model
) -> None:
    """A version belongs to its id: the configured one is not put behind another model's name."""
    document = json.loads(said(Labels((), named), configured))
    assert Model(document.get("model_id"), document.get("model_version")) == sent


def test_a_picture_without_a_sidecar_names_the_configured_model() -> None:
    """Which model runs on the device is known, even where its findings are not."""
    assert json.loads(said(None, Model("a", "1")))["model_id"] == "a"


def test_times_are_sent_in_utc_and_names_as_they_are_written() -> None:
    """Another zone is converted, and letters beyond ASCII stay letters."""
    moment = MOMENT.astimezone(timezone(timedelta(hours=9)))
    text = metadata_json(source="Förderband ⚙", captured_at=moment, model=Model(), labels=None)
    assert text == '{"source":"Förderband ⚙","timestamp":"2026-03-14T08:15:02.417Z"}'


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_what_is_sent_reads_back_as_the_same(x: float, y: float, width: float, height: float) -> None:
    """Geometry leaves as at most six decimals within 0..1, and a second reading changes nothing."""
    labels = Labels((Annotation("a", (x, y, width, height)),))
    text = said(labels)
    back = read_sidecar("a.json", text.encode(), classes=(), width=640, height=480)
    assert all(side == round(side, 6) and 0 <= side <= 1 for box in back.annotations for side in box.geometry)
    if back.annotations:
        assert said(back) == text
        assert back.captured_at == MOMENT
