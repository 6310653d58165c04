"""Provisioning as the platform speaks it: what is asked, what an answer means, and where the API may be. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from agent.platform.answers import BUSY, MISDIRECTIONS, REDIRECT, SERVER_ERROR, SUCCESS, error_text, json_object, shown

if TYPE_CHECKING:
    from agent.platform.answers import Answer

PATH = "/devices/provision"
API = "/api"
DENIED = 401
INVALID = 400
EXISTS = 409


class Outcome(Enum):
    """What came of asking for a key."""

    GRANTED = "granted"
    INVALID = "invalid"
    TOKEN_UNKNOWN = "token_unknown"  # noqa: S105 (a word)
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 (a word)
    DEVICE_EXISTS = "device_exists"
    ELSEWHERE = "elsewhere"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Grant:
    """An answer's meaning, with what the server said; the key is in no `repr`."""

    outcome: Outcome
    said: str
    key: str = ""
    api_endpoint: str = ""
    device_id: str = ""

    def __repr__(self) -> str:
        """Show all but the key."""
        return f"Grant({self.outcome}, {self.said!r}, device_id={self.device_id!r})"


def request(token: str, device_id: str, *, name: str, version: str) -> dict[str, Any]:
    """Return what to post."""
    info = {"device_id": device_id, "name": name, "agent_version": version}
    return {"token": token, "device_info": {key: value for key, value in info.items() if value}}


def read_grant(answer: Answer) -> Grant:
    """Say what came of it. A 2xx without a key is no answer of this API: a page, or a proxy's."""
    body = json_object(answer.body)
    if answer.status in SUCCESS:
        return _granted(body)
    if answer.status in REDIRECT:
        where = shown(answer.headers.get("location", "nowhere"))
        return Grant(Outcome.ELSEWHERE, f"it redirects ({answer.status}) to {where}")
    text = shown(error_text(body, "code", "message", "details")) if body is not None else ""
    said = f"the server answered {answer.status}" + (f": {text}" if text else "")
    code = error_text(body, "code") if body is not None else ""
    return Grant(_outcome(answer.status, code), said)


def _granted(body: dict[str, Any] | None) -> Grant:
    if body is None:
        return Grant(Outcome.ELSEWHERE, "what answers there is not the platform's API")
    if body.get("success") is False:
        return Grant(Outcome.LATER, f"the platform failed: {shown(error_text(body, 'code', 'message', 'details'))}")
    data = body.get("data")
    fields = data if isinstance(data, dict) else body
    key, endpoint = fields.get("api_key"), fields.get("api_endpoint")
    if not isinstance(key, str) or not key.strip():
        return Grant(Outcome.ELSEWHERE, "what answers there gives no key")
    device_id = fields.get("device_id") or fields.get("endpoint_id") or ""
    return Grant(
        Outcome.GRANTED,
        "granted",
        key=key.strip(),
        api_endpoint=endpoint if isinstance(endpoint, str) else "",
        device_id=shown(str(device_id)) if isinstance(device_id, str | int) else "",
    )


def _outcome(status: int, code: str) -> Outcome:
    if code == "TOKEN_EXPIRED":
        return Outcome.TOKEN_EXPIRED
    if code == "INVALID_TOKEN" or status in {DENIED, 403}:
        return Outcome.TOKEN_UNKNOWN
    if status == EXISTS:
        return Outcome.DEVICE_EXISTS
    if status in MISDIRECTIONS:
        return Outcome.ELSEWHERE
    if status in BUSY or status in SERVER_ERROR:
        return Outcome.LATER
    return Outcome.INVALID


def bases(url: str) -> tuple[str, ...]:
    """Return where the API of a server may begin, as written first: with `/api` at the end, and without."""
    base = url.rstrip("/")
    other = base.removesuffix(API) if base.endswith(API) else base + API
    return base, other


def places(answered: str, endpoint: str) -> tuple[str, ...]:
    """Return where to prove a new key, the likeliest first.

    First what answered already; then where the platform says that its API is, which by its documents lacks the
    `/api`. Never from https to http: a key that went once in the clear is spent.
    """
    found = [*bases(answered)]
    if endpoint and not (answered.lower().startswith("https:") and not endpoint.lower().startswith("https:")):
        found += reversed(bases(endpoint)) if not endpoint.rstrip("/").endswith(API) else bases(endpoint)
    return tuple(dict.fromkeys(found))
