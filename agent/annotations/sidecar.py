"""A sidecar on its way to a reader."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.errors import BadSidecar

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ANNOTATIONS = 10_000


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The text of a sidecar, and what a reader may need to know of the picture: class names and size as stored."""

    name: str
    text: str
    classes: Sequence[str]
    width: int
    height: int

    def bad(self, where: str, what: str, *, remedy: str = "") -> BadSidecar:
        """Return the error to raise for a place in this file: a line, a field, or both."""
        return BadSidecar(f"{self.name}, {where}: {what}" if where else f"{self.name}: {what}", remedy=remedy)

    def check_count(self, count: int) -> None:
        """Raise where there are more annotations than any picture has."""
        if count > MAX_ANNOTATIONS:
            raise self.bad("", f"more than {MAX_ANNOTATIONS} annotations")


def shown(value: object) -> str:
    """Return a value as a message quotes it: short, whatever it is."""
    return reprlib.repr(value)
