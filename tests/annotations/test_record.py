from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.annotations.record import labels_record, read_record
from agent.frame import Annotation, Labels, Model

SIDES = st.floats(0, 1)
WORDS = st.none() | st.text(max_size=20)
ANNOTATIONS = st.builds(Annotation, st.text(max_size=20), st.tuples(SIDES, SIDES, SIDES, SIDES), st.none() | SIDES)
LABELS = st.builds(
    Labels,
    st.lists(ANNOTATIONS, max_size=4).map(tuple),
    st.builds(Model, WORDS, WORDS),
    st.none() | st.datetimes(timezones=st.just(UTC)),
    *[st.integers(0, 9)] * 5,
)


@given(LABELS)
def test_labels_survive_the_way_between_processes(labels: Labels) -> None:
    """What one process says of a picture is what the other reads, through JSON."""
    assert read_record(json.loads(json.dumps(labels_record(labels)))) == labels


@pytest.mark.parametrize(
    "change",
    [
        {"annotations": [["dent", [0, 0, 1], None]]},
        {"annotations": [["dent", "wide", None]]},
        {"annotations": [["dent"]]},
        {"annotations": 4},
        {"model": ["a", "b", "c"]},
        {"captured_at": "yesterday"},
        {"counts": None},
        {"counts": [0, 0, 0, 0]},
        {"counts": [0, 0, 0, 0, "many"]},
    ],
)
def test_what_is_no_record_is_an_error(change: dict[str, Any]) -> None:
    """Another process's nonsense is told by one kind of error, whatever is wrong with it."""
    sound = labels_record(Labels((), captured_at=datetime(2026, 3, 14, tzinfo=UTC)))
    with pytest.raises(ValueError, match=r"."):
        read_record(sound | change)


@pytest.mark.parametrize("record", [[], "labels", 7, {}, True])
def test_another_shape_is_an_error(record: object) -> None:
    """A record is an object with all its fields."""
    with pytest.raises(ValueError, match="no labels"):
        read_record(record)
