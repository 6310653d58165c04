from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import UsageError
from agent.sandbox.faults import MAX_SCRIPT_BYTES, Faults, Route, Script, choose, parse, read

if TYPE_CHECKING:
    from pathlib import Path


BUSY_TWICE = {"from": 3, "count": 2, "status": 503}


def script(*faults: dict[str, Any]) -> Script:
    """Return a script of these rules."""
    return parse(json.dumps({"fault": faults}).encode())


@pytest.mark.parametrize(
    ("rules", "route", "number", "hit"),
    [
        ([BUSY_TWICE], "upload", 2, None),
        ([BUSY_TWICE], "upload", 3, 0),
        ([BUSY_TWICE], "upload", 4, 0),
        ([BUSY_TWICE], "upload", 5, None),
        ([BUSY_TWICE], "self", 3, None),
        ([{"status": 500}], "upload", 1, 0),
        ([{"status": 500}], "upload", 10**9, 0),
        ([{"count": 1, "status": 500}, {"status": 503}], "upload", 1, 0),
        ([{"count": 1, "status": 500}, {"status": 503}], "upload", 2, 1),
        ([{"route": "self", "status": 401}, {"route": "any", "drop": "before"}], "self", 1, 0),
        ([{"route": "self", "status": 401}, {"route": "any", "drop": "before"}], "checkin", 1, 1),
        ([], "upload", 1, None),
    ],
)
def test_the_first_rule_that_covers_a_request_holds(
    rules: list[dict[str, Any]], route: Route, number: int, hit: int | None
) -> None:
    """A rule covers `count` requests of its route, the `from`th onwards; an earlier rule wins."""
    faults = script(*rules).fault
    assert choose(faults, route, {route: number}) == (None if hit is None else faults[hit])


def test_a_rule_for_any_route_counts_all_of_them() -> None:
    """With route "any", requests are numbered over all routes together."""
    faults = Faults(script({"route": "any", "from": 3, "count": 1, "status": 502}))
    routes: list[Route] = ["upload", "self", "upload", "self"]
    assert [faults.next(route) is not None for route in routes] == [False, False, True, False]


def test_a_loaded_script_counts_from_one() -> None:
    """Loading a script numbers the requests anew."""
    faults = Faults(script({"count": 1, "status": 500}))
    assert faults.next("upload") is not None
    assert faults.next("upload") is None
    faults.load(faults.script)
    assert faults.next("upload") is not None


@given(first=st.integers(1, 50), count=st.integers(1, 50), requests=st.integers(0, 120))
def test_a_rule_fires_as_often_as_it_says(first: int, count: int, requests: int) -> None:
    """Of n requests, those from `from` on are met, and never more than `count`."""
    faults = Faults(script({"from": first, "count": count, "status": 503}))
    fired = sum(faults.next("upload") is not None for _ in range(requests))
    assert fired == max(0, min(count, requests - first + 1))


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ({"status": 418}, 418),
        ({"portal": True}, 200),
        ({"portal": True, "status": 511}, 511),
        ({"redirect": "http://x/"}, 302),
        ({"redirect": "http://x/", "status": 308}, 308),
        ({"duplicate": True}, 409),
        ({"duplicate": True, "status": 422}, 422),
        ({"retry_after": 5}, 503),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT", "status": 429}, 429),
        ({"delay_s": 1}, None),
        ({"drop": "after", "delay_s": 0.5}, None),
    ],
)
def test_each_effect_has_its_status(rule: dict[str, Any], status: int | None) -> None:
    """An effect implies a status, a given one replaces it; a delay and a drop leave the platform to answer or not."""
    assert script(rule).fault[0].answer_status == status


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        ({"statsu": 500}, 'fault 1: unknown key "statsu"'),
        ({"status": 100}, "fault 1: status: "),
        ({"status": "500"}, "fault 1: status: "),
        ({"status": 500, "from": 0}, "fault 1: from: "),
        ({"status": 500, "count": 0}, "fault 1: count: "),
        ({"status": 500, "route": "uplaod"}, "fault 1: route: "),
        ({"drop": "during"}, "fault 1: drop: "),
        ({"delay_s": -1}, "fault 1: delay_s: "),
        ({"retry_after": "5\r\nX-Evil: 1"}, "fault 1: retry_after: "),
        ({"redirect": "http://x/\nSet-Cookie: a"}, "fault 1: redirect: "),
        ({"drop": "before", "status": 500}, "fault 1: a dropped connection has no answer"),
        ({"portal": True, "duplicate": True}, "fault 1: portal and duplicate exclude each other"),
        ({"delay_s": 1, "code": "BUSY"}, "fault 1: code needs a status"),
        ({"count": 3}, "fault 1: the rule has no effect"),
    ],
)
def test_a_bad_rule_is_named(rule: dict[str, Any], complaint: str) -> None:
    """An error in a script says in one line which rule and which key."""
    with pytest.raises(UsageError) as caught:
        script(rule)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (b"[[faults]]\nstatus = 500", 'unknown key "faults"'),
        (b"fault = 3", "fault: "),
        (b"not = = toml", "neither TOML nor JSON"),
        (b'{"fault": ', "neither TOML nor JSON"),
        (b"\xff\xfe", "neither TOML nor JSON"),
        (b'{"fault":' + b"[" * 100_000, "neither TOML nor JSON"),
        (b"#" * (MAX_SCRIPT_BYTES + 1), "longer than"),
    ],
)
def test_a_script_that_is_none_is_refused(text: bytes, complaint: str) -> None:
    """What is no script, however hostile, is a UsageError."""
    with pytest.raises(UsageError, match=complaint):
        parse(text)


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    """A script may be TOML or JSON, and reads back as it was written."""
    toml = tmp_path / "faults.toml"
    toml.write_text("[[fault]]\nfrom = 2\nstatus = 400\nbody = { a = [1] }\n[[actions]]\nid = 7\n", encoding="utf-8")
    loaded = read(toml)
    plain = {"fault": [{"from": 2, "status": 400, "body": {"a": [1]}}], "actions": [{"id": 7}]}
    assert loaded.as_json() == plain
    assert parse(json.dumps(plain).encode()) == loaded


def test_a_missing_script_is_named(tmp_path: Path) -> None:
    """A script file that cannot be read is a UsageError with its path."""
    with pytest.raises(UsageError, match=r"nowhere\.toml cannot be read"):
        read(tmp_path / "nowhere.toml")
