from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.platform.answers import (
    KEY,
    ORDINARY,
    RETRY_AFTER_CAP_S,
    SHOWN_CHARACTERS,
    Answer,
    Meaning,
    read_answer,
    retry_after_s,
    shown,
)

NOW = datetime(2026, 3, 14, 8, 0, tzinfo=UTC)
HTML = b"<!DOCTYPE html><html><body>duplicate: this picture already exists</body></html>"
ENVELOPE: dict[str, object] = {"success": False, "data": None, "meta": {}}


def error(**said: object) -> bytes:
    """Build the platform's error envelope."""
    return json.dumps({**ENVELOPE, "error": said}).encode()


def meaning(status: int, body: bytes = b"", **headers: str) -> Meaning:
    """Return what an answer means."""
    return read_answer(Answer(status, headers, body), NOW).meaning


ROWS = [
    # 2xx whose JSON is an object and does not say `success: false`
    *((status, b'{"success": true, "data": {}}', Meaning.DELIVERED) for status in (200, 201, 202, 299)),
    (201, b"{}", Meaning.DELIVERED),
    (201, b'{"success": null}', Meaning.DELIVERED),
    (201, b'\xef\xbb\xbf{"data": {}}', Meaning.DELIVERED),
    # 2xx that is no JSON object
    *((status, HTML, Meaning.UNPROVEN) for status in (200, 201, 204, 299)),
    *(
        (201, body, Meaning.UNPROVEN)
        for body in (b"", b" ", b"null", b"true", b"7", b'"ok"', b"[]", b"[{}]", b"{", b'{"a": 1} trailing', b"\xff")
    ),
    (200, b"[" * 60_000, Meaning.UNPROVEN),
    (200, b'{"a":' * 10_000 + b"1" + b"}" * 10_000, Meaning.UNPROVEN),
    (200, b'{"a": ' + b"9" * 5000 + b"}", Meaning.UNPROVEN),
    # 409, or 400/422 whose code or message says duplicate / already exists
    *((409, body, Meaning.DUPLICATE) for body in (b"", HTML, error(code="DEVICE_EXISTS"))),
    *((status, error(code="DUPLICATE_IMAGE"), Meaning.DUPLICATE) for status in (400, 422)),
    *((status, error(message="Duplicate image"), Meaning.DUPLICATE) for status in (400, 422)),
    *((status, error(code="X", message="The image already exists."), Meaning.DUPLICATE) for status in (400, 422)),
    (400, error(code="ALREADY_EXISTS"), Meaning.DUPLICATE),
    (400, error(code="already-existing"), Meaning.DUPLICATE),
    (400, b'{"code": "DUPLICATE"}', Meaning.DUPLICATE),
    (400, b'{"error": "image already exists"}', Meaning.DUPLICATE),
    # other 400, 415, 422
    *((status, error(code="VALIDATION_ERROR", message="no image"), Meaning.REFUSED) for status in (400, 415, 422)),
    *((status, body, Meaning.REFUSED) for status in (400, 415, 422) for body in (b"", b"[]", b"oops")),
    (415, error(code="DUPLICATE"), Meaning.REFUSED),
    (400, HTML, Meaning.REFUSED),
    (422, error(code="VALIDATION_ERROR", details="duplicate_of: unknown field"), Meaning.REFUSED),
    (400, error(code={"duplicate": 1}, message=["duplicate"]), Meaning.REFUSED),
    (413, b"", Meaning.TOO_LARGE),
    (413, error(message="duplicate"), Meaning.TOO_LARGE),
    *((status, body, Meaning.DENIED) for status in (401, 403) for body in (b"", HTML, error(code="INVALID_TOKEN"))),
    *((status, HTML, Meaning.WRONG_URL) for status in (300, 301, 302, 303, 304, 307, 308, 399, 404, 405)),
    *((status, b"", Meaning.BUSY) for status in (408, 425, 429, 503)),
    *((status, HTML, Meaning.SERVER_ERROR) for status in (500, 501, 502, 504, 507, 520, 599)),
    # A 2xx that says that it failed is no delivery, and no fault of the link.
    (200, b'{"success": false}', Meaning.SERVER_ERROR),
    (200, error(code="INTERNAL"), Meaning.SERVER_ERROR),
    (200, error(code="DUPLICATE"), Meaning.DUPLICATE),
    # What nobody documented settles nothing.
    *((status, b"{}", Meaning.UNPROVEN) for status in (100, 101, 199, 402, 406, 407, 410, 418, 431, 451, 600, 999)),
]


@pytest.mark.parametrize(("status", "body", "expected"), ROWS)
def test_every_row_of_the_contract(status: int, body: bytes, expected: Meaning) -> None:
    """Status and body have the meaning that the contract's table gives them."""
    assert meaning(status, body) is expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"image_id": "img-1", "batch_id": "b-2", "storage_key": "o/k.jpg"}, ("img-1", "b-2", "o/k.jpg")),
        ({"image_id": 17, "batch_id": 0, "storage_key": None}, ("17", "0", None)),
        ({"image_id": {"a": 1}, "batch_id": ["b"], "storage_key": "two\nlines"}, (None, None, "two lines")),
        ({"image_id": "\ud800", "batch_id": "b" * 5000}, ("", "b" * SHOWN_CHARACTERS + "…", None)),
        ([], (None, None, None)),
    ],
)
def test_ids_are_opaque_and_may_be_missing(data: object, expected: tuple[str | None, ...]) -> None:
    """A receipt holds text that every database takes: one line, bounded, no lone surrogates."""
    verdict = read_answer(Answer(201, {}, json.dumps({"success": True, "data": data}).encode()), NOW)
    assert (verdict.image_id, verdict.batch_id, verdict.storage_key) == expected


def test_ids_without_an_envelope_are_read_too() -> None:
    """An answer that is the data itself is a delivery with its ids."""
    assert read_answer(Answer(201, {}, b'{"image_id": "img-1"}'), NOW).image_id == "img-1"


@pytest.mark.parametrize(
    ("status", "body", "headers", "reason"),
    [
        (400, error(code="VALIDATION_ERROR", message="no image part", details="image"), {}, "no image part image"),
        (500, b"", {}, "the server answered 500"),
        (500, HTML, {}, "the server answered 500"),
        (302, b"", {"location": "http://portal/login\r\nX: 1"}, "redirected (302) to http://portal/login X: 1"),
        (301, b"", {}, "redirected (301) to nowhere"),
        (200, HTML, {}, "login page"),
        (200, error(message="queue down"), {}, "queue down"),
        (401, error(message="unknown key adk_00C0FFEE, bye"), {}, "unknown key adk_***, bye"),
        (302, b"", {"location": "http://x/?k=adk_00C0FFEE"}, "k=adk_***"),
    ],
)
def test_the_reason_is_for_people(status: int, body: bytes, headers: dict[str, str], reason: str) -> None:
    """A reason says what the server said, and never repeats a key that it sent back (I7)."""
    verdict = read_answer(Answer(status, headers, body), NOW)
    assert reason in verdict.reason
    assert "C0FFEE" not in verdict.reason


DATE = "Sat, 14 Mar 2026 08:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": "86400"}, RETRY_AFTER_CAP_S),
        ({"retry-after": "9" * 400}, RETRY_AFTER_CAP_S),
        ({"retry-after": "Sat, 14 Mar 2026 08:02:00 GMT"}, 120.0),
        ({"retry-after": "Sat, 14 Mar 2026 07:00:00 GMT"}, 0.0),
        ({"retry-after": "Sat, 14 Mar 2026 10:02:00 +0200"}, 120.0),
        ({"retry-after": "Sat, 14 Mar 2026 08:02:00 -0000"}, 120.0),
        ({"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}, RETRY_AFTER_CAP_S),
        # Measured against the answer's own Date, whatever this device believes.
        ({"retry-after": "Thu, 01 Jan 1970 00:01:30 GMT", "date": "Thu, 01 Jan 1970 00:00:00 GMT"}, 90.0),
        ({"retry-after": "Sat, 14 Mar 2026 08:02:00 GMT", "date": "rubbish"}, None),
        *(
            ({"retry-after": text}, None)
            for text in ("soon", "-5", "1.5", "1e3", "inf", "nan", "0x10", "٣", "5, 10", "Sat, 99 Foo 2026", "{}")
        ),
        ({"retry-after": "Sat, 14 Mar 2026 08:02:00 +99999999999"}, None),
    ],
)
def test_retry_after_in_both_forms(headers: dict[str, str], expected: float | None) -> None:
    """Seconds or a date, never negative, never beyond an hour; what is neither counts as absent."""
    assert retry_after_s(headers, NOW) == expected


@pytest.mark.parametrize("status", [408, 425, 429, 503])
def test_busy_carries_retry_after(status: int) -> None:
    """The statuses that mean busy, and only those, hand on how long to wait."""
    assert read_answer(Answer(status, {"retry-after": "7"}, b""), NOW).retry_after_s == 7.0
    assert read_answer(Answer(500, {"retry-after": "7"}, b""), NOW).retry_after_s is None


TEXT = st.text(st.characters(), max_size=40)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "code", "message", "details", "data", "success", "image_id", "x"]), inner
        )
    ),
    max_leaves=12,
)
BODIES = st.binary(max_size=80) | JSON.map(lambda value: json.dumps(value).encode())
HEADERS = st.dictionaries(st.sampled_from(["retry-after", "date", "location"]), TEXT | st.just(DATE))


@settings(max_examples=400, deadline=None)
@given(status=st.integers(0, 1000), headers=HEADERS, body=BODIES)
@example(status=400, headers={}, body=b'{"error":{"message":' + b"[" * 900 + b"]" * 900 + b"}}")
@example(status=400, headers={}, body=b'{"error":' + b"[" * 900 + b"]" * 900 + b"}")
@example(status=429, headers={"retry-after": "Mon, 1 Jan 0000 00:00:00 GMT"}, body=b"")
@example(status=302, headers={"location": "\u2028" * 9000}, body=b"")
def test_any_answer_has_a_meaning(status: int, headers: dict[str, str], body: bytes) -> None:
    """Whatever a server sends, there is a verdict with a reason on one bounded line, and no exception (I9)."""
    verdict = read_answer(Answer(status, headers, body), NOW)
    assert verdict.reason.isprintable()
    assert 0 < len(verdict.reason) < SHOWN_CHARACTERS + 100
    assert verdict.retry_after_s is None or 0 <= verdict.retry_after_s <= RETRY_AFTER_CAP_S
    for value in (verdict.image_id, verdict.batch_id, verdict.storage_key):
        assert value is None or (value.isprintable() and len(value) <= SHOWN_CHARACTERS + 1)
    if verdict.meaning is Meaning.DELIVERED:
        assert 200 <= status < 300
        assert isinstance(json.loads(body), dict)


@given(text=st.text(alphabet=st.sampled_from("aZ9-/^_` ~.\u00e4\n") | st.characters(), max_size=30))
def test_an_ordinary_id_is_shown_as_the_long_way_would(text: str) -> None:
    """The short way for ordinary ids changes nothing: what it lets through is printable, of one word, and no key."""
    if ORDINARY.fullmatch(text):
        assert text.isprintable()
        assert text.split() in ([text], [])
        assert KEY.search(text) is None


@pytest.mark.parametrize("key", ["adk_c0ffee", "apt_0"])
def test_no_key_is_ordinary(key: str) -> None:
    """A text that is or holds a key never goes the short way (I7)."""
    assert ORDINARY.fullmatch(key) is None
    assert key[4:] not in shown(f"x/{key}")


@pytest.mark.parametrize("told", ["7" * 1000, 10**999, "a b\n" * 400])
def test_an_id_is_bounded_whatever_its_kind(told: object) -> None:
    """An id goes into the index and the log; a number can be as long as a text."""
    body = json.dumps({"success": True, "data": {"image_id": told}}).encode()
    verdict = read_answer(Answer(200, {}, body), datetime(2026, 3, 14, tzinfo=UTC))
    assert verdict.image_id is not None
    assert len(verdict.image_id) <= SHOWN_CHARACTERS + 1
    assert "\n" not in verdict.image_id
