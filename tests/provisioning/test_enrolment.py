from __future__ import annotations

import json

import pytest

from agent.platform.answers import Answer
from agent.platform.enrolment import Outcome, bases, places, read_grant, request
from agent.platform.identity import Identity, read_identity

KEY = "adk_0badc0de"


def answer(status: int, body: object = None, **headers: str) -> Answer:
    """Make an answer of a JSON value, or of bytes as they are."""
    return Answer(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def refusal(code: str) -> dict[str, object]:
    """Make the envelope of an error."""
    return {"success": False, "error": {"code": code, "message": f"no, apt_01 {KEY}", "details": "why"}}


GRANTED = {"success": True, "data": {"api_key": KEY, "api_endpoint": "https://h", "device_id": 7}}


@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_2xx_with_a_key_is_a_grant(status: int) -> None:
    """The success status is published nowhere; the key decides, and no `repr` shows it."""
    grant = read_grant(answer(status, GRANTED))
    assert (grant.outcome, grant.key, grant.api_endpoint, grant.device_id) == (Outcome.GRANTED, KEY, "https://h", "7")
    assert KEY not in repr(grant)


def test_a_grant_without_its_envelope_is_read_too() -> None:
    """An older release may answer with the data alone."""
    assert read_grant(answer(200, GRANTED["data"])).key == KEY


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        (answer(400, refusal("VALIDATION_ERROR")), Outcome.INVALID),
        (answer(401, refusal("INVALID_TOKEN")), Outcome.TOKEN_UNKNOWN),
        (answer(401, refusal("TOKEN_EXPIRED")), Outcome.TOKEN_EXPIRED),
        (answer(401, b""), Outcome.TOKEN_UNKNOWN),
        (answer(403, b"<html>"), Outcome.TOKEN_UNKNOWN),
        (answer(409, refusal("DEVICE_EXISTS")), Outcome.DEVICE_EXISTS),
        (answer(404, refusal("NOT_FOUND")), Outcome.ELSEWHERE),
        (answer(405, b""), Outcome.ELSEWHERE),
        (answer(301, b"", location="https://h/x"), Outcome.ELSEWHERE),
        (answer(200, b"<!doctype html>"), Outcome.ELSEWHERE),
        (answer(200, {"success": True, "data": {}}), Outcome.ELSEWHERE),
        (answer(200, {"success": True, "data": {"api_key": 3}}), Outcome.ELSEWHERE),
        (answer(200, {"success": False, "error": "down"}), Outcome.LATER),
        (answer(429, b""), Outcome.LATER),
        (answer(503, b""), Outcome.LATER),
        (answer(418, b""), Outcome.INVALID),
    ],
)
def test_every_answer_has_an_outcome(given: Answer, outcome: Outcome) -> None:
    """Documented or not, an answer says what to do next, without key or token in its words."""
    grant = read_grant(given)
    assert grant.outcome is outcome
    assert not grant.key
    assert "apt_01" not in grant.said
    assert KEY not in grant.said


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h", ("https://h", "https://h/api")),
        ("https://h/api", ("https://h/api", "https://h")),
        ("http://10.0.0.7:8080/api/", ("http://10.0.0.7:8080/api", "http://10.0.0.7:8080")),
        ("https://h/tenant", ("https://h/tenant", "https://h/tenant/api")),
    ],
)
def test_an_api_may_begin_with_api_or_without(url: str, expected: tuple[str, ...]) -> None:
    """What was written comes first."""
    assert bases(url) == expected


@pytest.mark.parametrize(
    ("answered", "endpoint", "expected"),
    [
        ("https://h", "", ("https://h", "https://h/api")),
        ("https://h/api", "https://h", ("https://h/api", "https://h")),
        ("https://h/api", "https://e", ("https://h/api", "https://h", "https://e/api", "https://e")),
        ("https://h/api", "https://e/api", ("https://h/api", "https://h", "https://e/api", "https://e")),
        ("https://h/api", "http://e", ("https://h/api", "https://h")),
        ("http://h", "http://e", ("http://h", "http://h/api", "http://e/api", "http://e")),
    ],
)
def test_a_new_key_is_tried_where_it_may_go(answered: str, endpoint: str, expected: tuple[str, ...]) -> None:
    """What answered comes first, then what the platform names; never from https to http (I7)."""
    assert places(answered, endpoint) == expected


def test_a_request_says_what_is_known() -> None:
    """What there is no value for is left out."""
    assert request("apt_1", "d", name="", version="1") == {
        "token": "apt_1",
        "device_info": {"device_id": "d", "agent_version": "1"},
    }


@pytest.mark.parametrize(
    ("body", "identity"),
    [
        ({"data": {"device_id": 7, "status": "pending", "name": "dock"}}, Identity("7", "pending", "dock")),
        ({"data": {"endpoint_id": "e"}}, Identity("e")),
        ({"data": {"device_id": True, "status": ["pending"]}}, Identity()),
        ({"data": None}, Identity()),
        ({"success": False}, None),
        ([], None),
    ],
)
def test_who_the_device_is(body: object, identity: Identity | None) -> None:
    """Ids are strings or numbers, and what makes no sense is not told."""
    assert read_identity(json.dumps(body).encode()) == identity
