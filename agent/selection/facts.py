"""What is known of a picture when it is chosen or not, and what became of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.selection.prints import Print

if TYPE_CHECKING:
    from datetime import datetime

    from agent.frame import Annotation

SCHEDULE, SAMPLE = "schedule", "sample"
INTERVAL, MINUTE, HOUR, DAY = "min_interval", "max_per_minute", "max_per_hour", "max_per_day"
DARK, BLUR, CHANGE = "dark", "blur", "change"
LIMITS = (SCHEDULE, SAMPLE, INTERVAL, MINUTE, HOUR, DAY, DARK, BLUR, CHANGE)
"""The names under which the limits count what they skip; no rule may have one of them."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a picture gives: its mean brightness (0..255), its sharpness, and its print."""

    light: float
    sharp: float
    print: Print

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"light": self.light, "sharp": self.sharp, "print": self.print.text()}

    @classmethod
    def of_json(cls, values: dict[str, Any]) -> Look:
        """Read what `as_json` wrote; raises ValueError where it is none."""
        try:
            return cls(float(values["light"]), float(values["sharp"]), Print.of_text(values["print"]))
        except (LookupError, TypeError):
            raise ValueError("no look at a picture") from None


@dataclass(frozen=True, slots=True)
class Facts:
    """A picture as the choice sees it.

    `local` is its time of capture in the device's zone: a folder's backlog is spread over the time that it shows, not
    over the minute in which it is read. `key` tells it from others of that very time. `boxes` is None where nothing
    is known of it, `look` where nobody has looked at it yet.
    """

    local: datetime
    key: str = ""
    boxes: tuple[Annotation, ...] | None = None
    look: Look | None = None

    @property
    def at(self) -> float:
        """Return the time of capture in seconds since the epoch."""
        return self.local.timestamp()


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a picture is kept, and which rule or limit said so; empty where none had anything against it.

    `before_s` and `after_s` say how much of what came around it is kept, too. `barred` marks what a rule said no to:
    it does not go as somebody's neighbour either.
    """

    keep: bool
    rule: str = ""
    priority: int = 0
    before_s: float = 0.0
    after_s: float = 0.0
    barred: bool = False
