from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.platform.actions import MOST, Action, newest, read_actions

MODEL = {
    "id": 7,
    "type": "deploy",
    "status": "pending",
    "device_id": "d",
    "model_id": 77,
    "model_name": "scratch",
    "version": "2.1.0",
    "download_url": "https://h/m.onnx",
    "file_ext": ".onnx",
    "label_map": '["scratch"]',
    "created_at": "2026-03-14T08:15:02Z",
    "completed_at": None,
}
READ = Action(
    "7", "deploy", "77", "scratch", "2.1.0", "https://h/m.onnx", ".onnx", '["scratch"]', "2026-03-14T08:15:02Z"
)


def read(value: object) -> tuple[Action, ...]:
    """Read the actions of an answer."""
    return read_actions(json.dumps(value).encode())


@pytest.mark.parametrize(
    "answer",
    [
        {"success": True, "data": {"actions": [MODEL]}},
        {"success": True, "pending_actions": [MODEL]},
        {"data": {"pending_actions": [MODEL]}},
        {"actions": [MODEL]},
    ],
)
def test_actions_are_found_in_every_shape(answer: object) -> None:
    """Enveloped or not, of the check-in or the heartbeat."""
    assert read(answer) == (READ,)


@pytest.mark.parametrize("action_id", ["a-1", 7, 10**30])
def test_ids_are_numbers_or_strings(action_id: object) -> None:
    """They are opaque."""
    assert read({"actions": [{"id": action_id}]}) == (Action(str(action_id)),)


def test_the_older_shape_carries_a_compose_file() -> None:
    """It is known as that, and never as a model, whatever else it says."""
    (action,) = read({"actions": [{"id": 1, "type": "deploy", "payload": {"stack_id": 4, "compose_file": "x"}}]})
    assert action.compose
    (action,) = read({"actions": [{**MODEL, "payload": {"stack_id": 4}}]})
    assert not action.deploys_model
    assert str(action) == "deploy 7 (a compose file)"


def test_a_model_may_lie_in_the_payload() -> None:
    """The fields are looked for there too; those outside win."""
    payload = {key: value for key, value in MODEL.items() if key not in {"id", "type"}}
    assert read({"actions": [{"id": 7, "type": "deploy", "payload": {**payload, "id": 9}}]}) == (READ,)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {"data": None},
        {"data": {"actions": None}},
        {"data": {"actions": {"id": 1}}},
        {"actions": [None, 3, "x", {}, {"id": None}, {"id": ""}, {"id": True}, {"id": {}}]},
    ],
)
def test_what_is_no_action_is_left_out(answer: object) -> None:
    """Nothing that a platform answers is an error."""
    assert read(answer) == ()


def test_actions_are_bounded() -> None:
    """In number, and each text in length and in what it may hold."""
    found = read({"actions": [{"id": number, "type": "x" * 10_000} for number in range(1000)]})
    assert len(found) == MOST
    assert len(found[0].type) < 300
    (action,) = read({"actions": [{"id": "a\nb" * 100, "model_name": "m\x1b[2J adk_0badc0de"}]})
    assert "\n" not in action.id
    assert len(action.id) <= 100
    assert action.model_name == "m [2J adk_***"
    assert read({"actions": [{**MODEL, "download_url": "https://h/" + "x" * 5000}]})[0].download_url == ""


def model(number: str, created_at: str = "") -> Action:
    """Make a deployment."""
    return Action(number, "deploy", "m", "", number, "https://h/m", created_at=created_at)


@pytest.mark.parametrize(
    ("actions", "latest"),
    [
        ([], None),
        ([Action("1", "restart")], None),
        ([model("9", "2026-01-01"), model("8", "2026-02-01")], "8"),
        ([model("10"), model("9")], "10"),
        ([model("b"), model("a")], "a"),
        ([model("9", "2026-01-01"), model("10")], "10"),
    ],
)
def test_the_latest_deployment_counts(actions: list[Action], latest: str | None) -> None:
    """By its time, else by its number, else by its place in the list."""
    found = newest(actions)
    assert (found and found.id) == latest


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*MODEL, "payload"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_anything_can_be_read(value: object) -> None:
    """Whatever stands in the list, what comes out can be shown on one line."""
    for action in read({"data": {"actions": [value]}}):
        assert str(action).isprintable()
