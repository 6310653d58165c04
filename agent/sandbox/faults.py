r"""What the sandbox does wrong, and when: a script of rules, and the rule that holds for a request.

A script is TOML, or JSON of the same shape. Its rules are tried in order and the first that covers a request holds:

    [[fault]]
    route = "upload"       # upload (default), self, checkin, heartbeat, provision, model, other, any
    from = 3               # the first request it covers; requests are numbered per route since the script
                           # was loaded ("any": over all routes); default 1
    count = 2              # how many requests it covers; default: all that follow

    status = 503           # answer this, and store nothing
    code = "BUSY"          # ... with this error code
    message = "Come back"  # ... and this message
    body = { a = 1 }       # ... or with this JSON instead; a string is sent as it is, so "" is an empty page
    retry_after = 5        # ... and `Retry-After`: seconds, or an HTTP date as a string; status 503 unless given
    delay_s = 0.5          # wait before answering; alone: the picture is stored, its answer comes late
    drop = "before"        # reset the connection without an answer: "before" or "after" the picture is stored
    portal = true          # a captive portal's HTML page; status 200 unless given
    redirect = "http://x/" # `Location`; status 302 unless given
    duplicate = true       # refuse as a duplicate; status 409 unless given

    device_status = "pending"  # what `device/self` says: approved (default), pending, rejected; else no upload is taken

    [[actions]]            # what every check-in is told to do, passed on as it is
    id = 1

Of `drop`, `portal`, `redirect` and `duplicate` a rule has at most one; `delay_s` goes with everything, and `drop`
with nothing else. Unknown keys are errors.
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from agent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Route = Literal["upload", "self", "checkin", "provision", "heartbeat", "model", "other"]
HeaderText = Annotated[str, Field(pattern=r"^[!-~]([ -~]*[!-~])?$")]
MAX_SCRIPT_BYTES = 1_000_000


class Fault(BaseModel):
    """One rule: which requests it covers, and what becomes of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    route: Literal[Route, "any"] = "upload"
    first: int = Field(1, alias="from", ge=1)
    count: int | None = Field(None, ge=1)
    status: int | None = Field(None, ge=200, le=599)
    code: str | None = None
    message: str | None = None
    body: JsonValue = None
    retry_after: Annotated[int, Field(ge=0)] | HeaderText | None = None
    delay_s: float = Field(0.0, ge=0, le=3600)
    drop: Literal["before", "after"] | None = None
    portal: bool = False
    redirect: HeaderText | None = None
    duplicate: bool = False

    @model_validator(mode="after")
    def _is_one_effect(self) -> Self:
        kinds = [name for name in ("drop", "portal", "redirect", "duplicate") if getattr(self, name)]
        if len(kinds) > 1:
            raise ValueError(f"{' and '.join(kinds)} exclude each other")
        if self.drop and self.answer_status is not None:
            raise ValueError("a dropped connection has no answer: drop goes with delay_s only")
        details = {"code", "message", "body"} & self.model_fields_set
        if details and self.answer_status is None:
            raise ValueError(f"{min(details)} needs a status")
        if not (kinds or self.delay_s or self.answer_status is not None):
            raise ValueError("the rule has no effect: give it a status, delay_s, drop, portal, redirect or duplicate")
        return self

    @property
    def answer_status(self) -> int | None:
        """The status that stands in for the platform's own answer; None: the request goes through."""
        if self.status is not None:
            return self.status
        implied = {200: self.portal, 302: self.redirect, 409: self.duplicate, 503: self.retry_after is not None}
        return next((status for status, given in implied.items() if given), None)

    def covers(self, number: int) -> bool:
        """Tell whether the `number`th request (from 1) is one of those that the rule is for."""
        return self.first <= number and (self.count is None or number < self.first + self.count)


class Script(BaseModel):
    """A whole script: the rules in order, and the actions that a check-in is answered with."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    fault: list[Fault] = []
    actions: list[dict[str, JsonValue]] = []
    device_status: Literal["approved", "pending", "rejected"] = "approved"

    def as_json(self) -> dict[str, JsonValue]:
        """Return what `parse` would read back as the same script, defaults left out."""
        plain: dict[str, JsonValue] = self.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return plain


class Faults:
    """The script in force, and how far each route has come in it."""

    def __init__(self, script: Script) -> None:
        self.load(script)

    def load(self, script: Script) -> None:
        """Put another script in force; its requests are numbered from 1."""
        self.script = script
        self._seen: Counter[str] = Counter()

    def ask(self, action: dict[str, JsonValue]) -> None:
        """Have check-ins ask for one more action; the rules go on as they were."""
        self.script = self.script.model_copy(update={"actions": [*self.script.actions, action]})

    def next(self, route: Route) -> Fault | None:
        """Count one more request on `route` and return the rule that covers it."""
        self._seen[route] += 1
        return choose(self.script.fault, route, self._seen)


def choose(faults: Iterable[Fault], route: Route, seen: Mapping[str, int]) -> Fault | None:
    """Return the first rule that covers the latest request on `route`; `seen` counts it already."""
    number = {route: seen[route], "any": sum(seen.values())}
    return next((fault for fault in faults if fault.covers(number.get(fault.route, 0))), None)


def read(path: Path) -> Script:
    """Return the script of a file; a file that cannot be read or understood is a UsageError."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SCRIPT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"the fault script {path} cannot be read: {error.strerror}") from error
    return parse(raw, where=str(path))


def parse(raw: bytes, where: str = "the fault script") -> Script:
    """Return the script that TOML or JSON text says; an error names `where`, the rule and the key."""
    if len(raw) > MAX_SCRIPT_BYTES:
        raise UsageError(f"{where} is longer than {MAX_SCRIPT_BYTES} bytes")
    try:
        text = raw.decode()
        plain = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
        return Script.model_validate(plain)
    except ValidationError as error:
        raise UsageError(f"{where}: {_complaint(error)}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is neither TOML nor JSON: {error}") from error


def _complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    table, *inside = first["loc"]
    rule = f"{table} {int(inside[0]) + 1}" if inside else str(table)
    if first["type"] == "extra_forbidden":
        return f'{rule + ": " if inside else ""}unknown key "{first["loc"][-1]}"'
    key = f": {inside[1]}" if len(inside) > 1 else ""
    return f"{rule}{key}: {first['msg'].removeprefix('Value error, ')}"
