from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.outline import Outline, noted, read_noted
from agent.tariff import Tariff
from agent.timetable import Line

COUNTS = st.integers(0, 10**18)
LINES = st.builds(
    Line, st.frozensets(st.integers(0, 6)), st.integers(0, 1439), st.integers(0, 1440), COUNTS, st.booleans()
)
OUTLINES = st.builds(
    Outline,
    spool_dir=st.just(Path("/spool")),
    state_file=st.just(Path("/run/state.json")),
    max_bytes=COUNTS,
    max_items=COUNTS,
    min_free_bytes=COUNTS,
    tariff=st.builds(Tariff, COUNTS, st.lists(LINES, max_size=3).map(tuple), COUNTS, COUNTS),
    cameras=st.dictionaries(st.text(), st.none() | st.floats(0, 1000)),
    folders=st.dictionaries(st.text(), st.text()),
)
PLAIN = Outline(
    spool_dir=Path("/spool"), state_file=Path("/run/state.json"), max_bytes=1, max_items=1, min_free_bytes=0
)


def read(note: object, mark: str = "m") -> Outline | None:
    """Read a note where the two places are known."""
    return read_noted(note, mark, spool_dir=PLAIN.spool_dir, state_file=PLAIN.state_file)


@given(OUTLINES)
def test_an_outline_comes_back_as_it_was_noted(outline: Outline) -> None:
    """Through JSON, every field of it, timetable included."""
    assert read(json.loads(json.dumps(noted(outline, "m")))) == outline


def test_a_note_of_another_configuration_is_none() -> None:
    """Only the mark that it was made with opens it."""
    note = noted(PLAIN, "m")
    assert read(note) == PLAIN
    assert read(note, "n") is None
    assert read({name: value for name, value in note.items() if name != "mark"}) is None


@pytest.mark.parametrize(
    "damage",
    [
        {"max_bytes": "many"},
        {"max_items": None},
        {"tariff": []},
        {"tariff": {"timetable": [[7]]}},
        {"tariff": {"timetable": [], "unknown": 1}},
        {"cameras": ["gate"]},
        {"cameras": {"gate": "fast"}},
        {"folders": None},
    ],
)
def test_a_note_that_makes_no_sense_is_none(damage: dict[str, Any]) -> None:
    """Then the configuration is asked, as if nobody had noted anything."""
    note = noted(replace(PLAIN, cameras={"gate": 1.0}), "m")
    assert read(note | damage) is None
    assert read([note]) is None
    assert read({name: value for name, value in note.items() if name not in damage}) is None
