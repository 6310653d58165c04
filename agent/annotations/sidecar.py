"""A sidecar on its way to a reader."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.errors import BadSidecar

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ANNOTATIONS = 10_000
MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What lies beside a picture, and what a reader may need to know of that picture.

    `width` and `height` are those of the space that the boxes are in; `picture` is the file's name, for formats that
    hold many. `classes` are names by index, empty where none was given. With `envelope` false, what is no upright
    box is left out. `data` is the file as it is, `text` the same as text.
    """

    name: str
    data: bytes
    text: str
    width: int
    height: int
    classes: Sequence[str] = ()
    picture: str = ""
    envelope: bool = True

    def bad(self, where: str, what: str, *, remedy: str = "") -> BadSidecar:
        """Return the error to raise for a place in this file: a line, a field, or both."""
        return BadSidecar(f"{self.name}, {where}: {what}" if where else f"{self.name}: {what}", remedy=remedy)

    def check_count(self, count: int) -> None:
        """Raise where there are more annotations than any picture has."""
        if count > MAX_ANNOTATIONS:
            raise self.bad("", f"more than {MAX_ANNOTATIONS} annotations")

    def class_named(self, index: int) -> str | None:
        """Return the name of a class; without any names that is its index, and None where a list lacks it."""
        if not self.classes:
            return str(index)
        named = self.classes[index] if 0 <= index < len(self.classes) else ""
        return named or None

    def nameless(self, index: int) -> str:
        """Say what is wrong with a class that a list lacks."""
        return f"index {index} has no name, `classes` of this [[watch]] has {len(self.classes)}"


NAMES_REMEDY = "List the names of the model that wrote the file, in its order."


def shown(value: object) -> str:
    """Return a value as a message quotes it: short, whatever it is."""
    return reprlib.repr(value)
