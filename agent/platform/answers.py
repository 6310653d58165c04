"""What an answer of the platform means: a pure function from status, headers and body.

The rows are those of the contract. Where it is silent the cautious reading holds: an answer that nobody documented
keeps the item and pauses the link, because only a definitive answer may settle a picture (I6).
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, NamedTuple

RETRY_AFTER_CAP_S = 3600.0
SHOWN_CHARACTERS = 200
DUPLICATE = re.compile(r"duplicate|already[ _-]?exist", re.IGNORECASE)
ORDINARY = re.compile(rf"[!-^`-~]{{0,{SHOWN_CHARACTERS}}}")  # no spaces, and no underscore, which every key has
KEY = re.compile(r"\b(adk|apt)_\w+")  # servers like to repeat the key that they refuse (I7)

SUCCESS = range(200, 300)
REDIRECT = range(300, 400)
SERVER_ERROR = range(500, 600)
REFUSALS = frozenset({400, 415, 422})
DUPLICATE_REFUSALS = frozenset({400, 422})
DENIALS = frozenset({401, 403})
MISDIRECTIONS = frozenset({404, 405})
BUSY = frozenset({408, 425, 429, 503})
TOO_LARGE = 413
CONFLICT = 409


class Meaning(Enum):
    """What is done next about an item and the link."""

    DELIVERED = "delivered"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    TOO_LARGE = "too_large"
    SERVER_ERROR = "server_error"
    BUSY = "busy"
    DENIED = "denied"
    WRONG_URL = "wrong_url"
    UNPROVEN = "unproven"
    OFFLINE = "offline"

    __hash__ = object.__hash__  # each is looked up in sets again and again, and Enum's own is Python


class Answer(NamedTuple):
    """An HTTP answer as it came: header names in lower case, the body cut at a bound."""

    status: int
    headers: dict[str, str]
    body: bytes


class Verdict(NamedTuple):
    """An answer's meaning, with a sentence for people; the ids are set where it is a delivery.

    `approval` is what `device/self` says of the device, None where it was not asked or does not tell.
    """

    meaning: Meaning
    reason: str
    retry_after_s: float | None = None
    image_id: str | None = None
    batch_id: str | None = None
    storage_key: str | None = None
    approval: str | None = None


def read_answer(answer: Answer, now: datetime) -> Verdict:
    """Say what an answer to an upload means; `now` is only used for a `Retry-After` date without a `Date`."""
    status, body = answer.status, json_object(answer.body)
    if status in SUCCESS:
        return _read_success(status, body)
    reason = _reason(status, body, answer)
    if status == CONFLICT or (status in DUPLICATE_REFUSALS and _is_duplicate(body)):
        return Verdict(Meaning.DUPLICATE, reason)
    if status in BUSY:
        return Verdict(Meaning.BUSY, reason, retry_after_s=retry_after_s(answer.headers, now))
    return Verdict(_plain_meaning(status), reason)


def _plain_meaning(status: int) -> Meaning:
    if status in REFUSALS:
        return Meaning.REFUSED
    if status == TOO_LARGE:
        return Meaning.TOO_LARGE
    if status in DENIALS:
        return Meaning.DENIED
    if status in REDIRECT or status in MISDIRECTIONS:
        return Meaning.WRONG_URL
    return Meaning.SERVER_ERROR if status in SERVER_ERROR else Meaning.UNPROVEN


def _read_success(status: int, body: dict[str, Any] | None) -> Verdict:
    if body is None:
        return Verdict(
            Meaning.UNPROVEN,
            f"the answer {status} is not the platform's: a login page of the network or a proxy may stand in between",
        )
    if body.get("success") is False:
        meaning = Meaning.DUPLICATE if _is_duplicate(body) else Meaning.SERVER_ERROR
        said = shown(error_text(body, "code", "message", "details"))
        return Verdict(meaning, f"the platform answered {status} but says that it failed: {said}")
    data = body.get("data")
    ids = data if isinstance(data, dict) else body
    return Verdict(
        Meaning.DELIVERED,
        f"{status}",
        image_id=_id(ids.get("image_id")),
        batch_id=_id(ids.get("batch_id")),
        storage_key=_id(ids.get("storage_key")),
    )


def retry_after_s(headers: dict[str, str], now: datetime) -> float | None:
    """Return the seconds that `Retry-After` asks for, in either form, within 0 and one hour; None without one.

    A date is measured against the answer's own `Date`, since the device's clock may be years off.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text) if text.isascii() and text.isdigit() else _seconds_until(text, headers, now)
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), RETRY_AFTER_CAP_S)


def _seconds_until(text: str, headers: dict[str, str], now: datetime) -> float:
    date = headers.get("date")
    reference = parsedate_to_datetime(date) if date else now
    return (_aware(parsedate_to_datetime(text)) - _aware(reference)).total_seconds()


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a body holds; None where it holds none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_duplicate(body: dict[str, Any] | None) -> bool:
    """Tell whether the platform itself says so: a proxy's page, or a mere detail, is no proof that it has the item."""
    return body is not None and DUPLICATE.search(error_text(body, "code", "message")) is not None


def error_text(body: dict[str, Any], *keys: str) -> str:
    """Return what an error says of itself under those keys of the envelope."""
    error = body.get("error", body)
    values = [error.get(key) for key in keys] if isinstance(error, dict) else [error]
    return " ".join(str(value) for value in values if value and isinstance(value, str | int))


def _reason(status: int, body: dict[str, Any] | None, answer: Answer) -> str:
    if status in REDIRECT:
        return f"redirected ({status}) to {shown(answer.headers.get('location', 'nowhere'))}"
    text = shown(error_text(body, "code", "message", "details")) if body is not None else ""
    return f"the server answered {status}" + (f": {text}" if text else "")


def _id(value: object) -> str | None:
    return shown(str(value)) if isinstance(value, str | int | float) else None


def shown(text: str) -> str:
    """Make a stranger's text fit for one line of a log: no control characters, no key, cut at a bound."""
    if ORDINARY.fullmatch(text):
        return text  # as the ids of every delivery are
    clean = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * SHOWN_CHARACTERS]).split())
    clean = KEY.sub(r"\1_***", clean)
    return clean if len(clean) <= SHOWN_CHARACTERS else f"{clean[:SHOWN_CHARACTERS]}…"
