"""JSON sidecars: parsed within bounds, and read by fields that know where they stand."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, NoReturn

from agent.annotations.sidecar import Sidecar, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

# A value takes up to 250 bytes once parsed: 50 MB. Ten thousand boxes have half of this.
MAX_VALUES = 200_000
_MAX_TEXT = 200

_KINDS = {bool: "true or false", list: "a list", dict: "an object"}


class Field:
    """One value in a JSON sidecar and the path to it, so that every complaint names the place."""

    __slots__ = ("_sidecar", "path", "value")

    def __init__(self, sidecar: Sidecar, path: str, value: object) -> None:
        self._sidecar = sidecar
        self.path = path
        self.value = value

    def get(self, key: str) -> Field | None:
        """Return a member of this object; None where it is missing or null."""
        if not isinstance(self.value, dict):
            self.fail("must be an object")
        found = self.value.get(key)
        return None if found is None else Field(self._sidecar, self._member(key), found)

    def need(self, key: str) -> Field:
        """Return a member that has to be there."""
        found = self.get(key)
        if found is None:
            raise self._sidecar.bad(self._member(key), "is missing")
        return found

    def items(self) -> Iterator[Field]:
        """Yield the members of this list."""
        if not isinstance(self.value, list):
            self.fail("must be a list")
        self._sidecar.check_count(len(self.value))
        for index, value in enumerate(self.value):
            yield Field(self._sidecar, f"{self.path}[{index}]", value)

    def number(self) -> float:
        """Return this as a finite number; true, false and text are none."""
        if type(self.value) not in (int, float):
            self.fail("must be a number")
        try:
            number = float(self.value)  # type: ignore[arg-type]  # it is one of the two above
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            self.fail("must be a finite number")
        return number

    def text(self) -> str:
        """Return this as text that is not empty and can be sent."""
        if not isinstance(self.value, str) or not self.value:
            self.fail("must be text")
        if len(self.value) > _MAX_TEXT:
            self.fail(f"must have at most {_MAX_TEXT} characters")
        if not self.value.isprintable() and not _encodable(self.value):
            self.fail("must be valid Unicode")
        return self.value

    def fail(self, what: str, *, remedy: str = "") -> NoReturn:
        """Raise `BadSidecar` for this place."""
        found = _KINDS.get(type(self.value), shown(self.value))
        raise self._sidecar.bad(self.path, f"{what}, not {found}", remedy=remedy)

    def _member(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key


def parse(sidecar: Sidecar) -> Field:
    """Return the root of a JSON sidecar; raise `BadSidecar` for what is no JSON, or more of it than a picture needs."""
    text = sidecar.text
    if text.count(",") + text.count("[") + text.count("{") > MAX_VALUES:
        raise sidecar.bad("", f"more than {MAX_VALUES} values")
    try:
        return Field(sidecar, "", json.loads(text))
    except json.JSONDecodeError as error:
        raise sidecar.bad(f"line {error.lineno}, column {error.colno}", f"no JSON ({error.msg})") from None
    except RecursionError:
        raise sidecar.bad("", "nested too deeply") from None
    except ValueError:
        raise sidecar.bad("", "a number with too many digits") from None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
