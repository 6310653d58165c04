"""JSON sidecars: parsed within bounds, and read by fields that know where they stand."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from agent.annotations.measured import Measured
from agent.annotations.sidecar import MAX_TEXT, Sidecar, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.errors import BadSidecar

Key: TypeAlias = "str | int"

# A value takes up to 250 bytes once parsed: 50 MB. Ten thousand boxes have half of this.
MAX_VALUES = 200_000

_KINDS = {bool: "true or false", dict: "an object"}
_DECODER = json.JSONDecoder()
_BLANKS = " \t\r\n"


class Field(Measured):
    """One value in a JSON sidecar and the way to it, so that every complaint names the place."""

    __slots__ = ("_key", "_parent", "_sidecar", "value")

    def __init__(self, sidecar: Sidecar, value: object, parent: Field | None = None, key: Key = "") -> None:
        self._sidecar = sidecar
        self._parent = parent
        self._key = key
        self.value = value

    @property
    def path(self) -> str:
        """The place of this value, as `annotations[3].geometry[0]`."""
        return _path(self._keys())

    def get(self, key: str) -> Field | None:
        """Return a member of this object; None where it is missing or null."""
        if not isinstance(self.value, dict):
            self.fail("must be an object")
        found = self.value.get(key)
        return None if found is None else Field(self._sidecar, found, self, key)

    def need(self, key: str) -> Field:
        """Return a member that has to be there."""
        found = self.get(key)
        if found is None:
            raise self._bad([*self._keys(), key], "is missing")
        return found

    def has(self, key: str) -> bool:
        """Tell whether this is an object with such a member, be it null."""
        return isinstance(self.value, dict) and key in self.value

    def is_blank(self) -> bool:
        """Tell whether this is an empty text, which some programs write for what they do not know."""
        return self.value == ""

    def first(self) -> Field | None:
        """Return the first member of a list; None where it is empty, or no list."""
        found = isinstance(self.value, list) and self.value
        return Field(self._sidecar, found[0], self, 0) if found else None

    def items(self) -> Iterator[Field]:
        """Yield the members of this list, which are a picture's."""
        if isinstance(self.value, list):
            self._sidecar.check_count(len(self.value))
        return self.entries()

    def entries(self) -> Iterator[Field]:
        """Yield the members of this list, however many."""
        if not isinstance(self.value, list):
            self.fail("must be a list")
        return (Field(self._sidecar, value, self, index) for index, value in enumerate(self.value))

    def members(self) -> Iterator[tuple[str, Field]]:
        """Yield the names and members of this object."""
        if not isinstance(self.value, dict):
            self.fail("must be an object")
        return ((name, Field(self._sidecar, value, self, name)) for name, value in self.value.items())

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
        if len(self.value) > MAX_TEXT:
            self.fail(f"must have at most {MAX_TEXT} characters")
        if not self.value.isprintable() and not _encodable(self.value):
            self.fail("must be valid Unicode")
        return self.value

    def fail(self, what: str, *, remedy: str = "") -> NoReturn:
        """Raise `BadSidecar` for this place."""
        found = _KINDS.get(type(self.value), shown(self.value))
        if isinstance(self.value, list):
            found = f"a list of {len(self.value)}"
        raise self._bad(self._keys(), f"{what}, not {found}", remedy=remedy)

    def _bad(self, keys: list[Key], what: str, *, remedy: str = "") -> BadSidecar:
        line = f"line {line_of(self._sidecar.text, keys)}"
        path = _path(keys)
        return self._sidecar.bad(f"{line}, {path}" if path else line, what, remedy=remedy)

    def _keys(self) -> list[Key]:
        keys: list[Key] = []
        here: Field = self
        while here._parent is not None:
            keys.append(here._key)
            here = here._parent
        return keys[::-1]


def parse(sidecar: Sidecar) -> Field:
    """Return the root of a JSON sidecar; raise `BadSidecar` for what is no JSON, or more of it than a picture needs."""
    text = sidecar.text
    if text.count(",") + text.count("[") + text.count("{") > MAX_VALUES:
        raise sidecar.bad("", f"more than {MAX_VALUES} values")
    try:
        return Field(sidecar, json.loads(text))
    except json.JSONDecodeError as error:
        raise sidecar.bad(f"line {error.lineno}, column {error.colno}", f"no JSON ({error.msg})") from None
    except RecursionError:
        raise sidecar.bad("", "nested too deeply") from None
    except ValueError:
        raise sidecar.bad("", "a number with too many digits") from None


def line_of(text: str, keys: list[Key]) -> int:
    """Return the line of a value in a text that parses; where a member is missing, that of what should hold it."""
    at = _after_blanks(text, 0)
    for key in keys:
        found = next((place for name, place in _members(text, at) if name == key), None)
        if found is None:
            break
        at = found
    return text.count("\n", 0, at) + 1


def _members(text: str, at: int) -> Iterator[tuple[Key, int]]:
    """Yield the keys of the object or list that begins at `at`, and where their values begin."""
    named = text[at] == "{"
    if not named and text[at] != "[":
        return
    at, key = _after_blanks(text, at + 1), 0
    while text[at] not in "]}":
        name: Key = key
        if named:
            name, at = _DECODER.raw_decode(text, at)
            at = _after_blanks(text, _after_blanks(text, at) + 1)
        yield name, at
        at = _after_blanks(text, _DECODER.raw_decode(text, at)[1])
        at, key = _after_blanks(text, at + 1) if text[at] == "," else at, key + 1


def _after_blanks(text: str, at: int) -> int:
    while text[at] in _BLANKS:
        at += 1
    return at


def _path(keys: list[Key]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
