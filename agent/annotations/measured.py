"""What is asked of a number in a sidecar, whichever kind of sidecar it stands in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NoReturn


class Measured(ABC):
    """A place in a sidecar that should hold a number."""

    __slots__ = ()

    @abstractmethod
    def number(self) -> float:
        """Return this as a finite number."""

    @abstractmethod
    def fail(self, what: str, *, remedy: str = "") -> NoReturn:
        """Raise `BadSidecar` for this place."""

    def within(self, least: float, most: float, *, remedy: str = "") -> float:
        """Return this as a number of the span that stands for 0..1, give or take."""
        number = self.number()
        if not least <= number <= most:
            self.fail("must be within 0..1", remedy=remedy)
        return number

    def whole(self) -> int:
        """Return this as a whole number; some programs write 3.0 for 3."""
        number = self.number()
        if number != int(number):
            self.fail("must be a whole number")
        return int(number)
