from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.models.labels import class_names

NAMES = ("scratch", "dent")


@pytest.mark.parametrize(
    "text",
    [
        '["scratch", "dent"]',
        '{"0": "scratch", "1": "dent"}',
        '{"1": "dent", "0": "scratch"}',
        '{"scratch": 0, "dent": 1}',
        "scratch\ndent\n",
        "scratch, dent",
        " scratch\r\n\r\ndent ",
    ],
)
def test_every_usual_form_is_understood(text: str) -> None:
    """JSON either way round, lines or commas: the names by index."""
    assert class_names(text) == NAMES


@pytest.mark.parametrize(
    "text",
    ["", "null", "3", "[1, 2]", '{"0": "a", "2": "b"}', '{"a": "b"}', '["a\\nb"]', '[""]', "[" * 5000, '{"a": true}'],
)
def test_what_is_no_label_map_gives_no_names(text: str) -> None:
    """Then the index is the name: better a number than a wrong word."""
    assert class_names(text) == ()


@given(
    st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9), min_size=1, max_size=9, unique=True)
)
def test_names_survive_each_form_of_json(names: list[str]) -> None:
    """The three forms say the same."""
    assert class_names(json.dumps(names)) == tuple(names)
    assert class_names(json.dumps(dict(enumerate(names)))) == tuple(names)
    if not any(name.isdecimal() for name in names):
        assert class_names(json.dumps({name: index for index, name in enumerate(names)})) == tuple(names)
