"""Words of text formats that stand for numbers, and know where they stand."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from agent.annotations.measured import Measured
from agent.annotations.sidecar import MAX_TEXT, shown

if TYPE_CHECKING:
    from agent.annotations.sidecar import Sidecar

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_LONGEST = 400  # a double has at most 309 digits before its point


@dataclass(frozen=True, slots=True)
class Word(Measured):
    """One word: its line, the name of its field, and itself."""

    sidecar: Sidecar
    line: int
    field: str
    word: str

    def is_blank(self) -> bool:
        """Tell whether nothing is written here."""
        return not self.word

    def text(self) -> str:
        """Return this as text that is not empty."""
        if not self.word:
            raise self.sidecar.bad(self._where(), "is empty")
        if len(self.word) > MAX_TEXT:
            self.fail(f"must have at most {MAX_TEXT} characters")
        return self.word

    def number(self) -> float:
        """Return this as a finite number."""
        if not is_number(self.word):
            self.fail("must be a number")
        number = float(self.word)
        if abs(number) == float("inf"):
            self.fail("must be a finite number")
        return number

    def fail(self, what: str, *, remedy: str = "") -> NoReturn:
        """Raise `BadSidecar` for this place."""
        raise self.sidecar.bad(self._where(), f"{what}, not {shown(self.word)}", remedy=remedy)

    def _where(self) -> str:
        return f"line {self.line}, {self.field}" if self.field else f"line {self.line}"


def is_number(text: str) -> bool:
    """Tell whether a word is a plain decimal number: no `nan`, no `1_0`, no digits of other scripts."""
    return len(text) <= _LONGEST and _NUMBER.fullmatch(text) is not None
