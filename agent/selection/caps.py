"""How often: the least time between two kept pictures, and caps per minute, hour and day. Pure.

Minutes, hours and days are those of the calendar and of the device's zone, counted by the pictures' own times. Some
are remembered at once, because a folder's files do not come in the order of their times, and a clock may jump.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.selection.facts import DAY, HOUR, INTERVAL, MINUTE

if TYPE_CHECKING:
    from datetime import datetime

    from agent.selection.plan import SelectPlan

REMEMBERED = 16


@dataclass(slots=True)
class Caps:
    """What was kept lately: the time of the last one, and counts by window, the one used last at the end."""

    last: float | None = None
    counts: dict[str, dict[int, int]] = field(default_factory=dict)

    def refusal(self, plan: SelectPlan, local: datetime) -> str | None:
        """Name the limit that one more picture of this moment would break, or None."""
        # Without regard to the direction: a clock that was set back must not silence a source for years.
        if self.last is not None and abs(local.timestamp() - self.last) < plan.min_interval_s:
            return INTERVAL
        limits = ((MINUTE, plan.max_per_minute), (HOUR, plan.max_per_hour), (DAY, plan.max_per_day))
        for name, most in limits:
            if most and self.counts.get(name, {}).get(_window(name, local), 0) >= most:
                return name
        return None

    def count(self, plan: SelectPlan, local: datetime) -> None:
        """Count a picture that is kept, in the windows that have a cap."""
        self.last = local.timestamp()
        for name, most in ((MINUTE, plan.max_per_minute), (HOUR, plan.max_per_hour), (DAY, plan.max_per_day)):
            if most:
                windows = self.counts.setdefault(name, {})
                window = _window(name, local)
                windows[window] = windows.pop(window, 0) + 1
                while len(windows) > REMEMBERED:
                    del windows[next(iter(windows))]

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"last": self.last, "counts": {name: list(map(list, one.items())) for name, one in self.counts.items()}}

    @classmethod
    def of_json(cls, values: dict[str, Any]) -> Caps:
        """Read what `as_json` wrote."""
        counts = {name: {int(at): int(n) for at, n in one[-REMEMBERED:]} for name, one in values["counts"].items()}
        last = values["last"]
        return cls(None if last is None else float(last), counts)


def _window(name: str, local: datetime) -> int:
    """Return the number of the minute, hour or day of the calendar in which a moment lies."""
    day = local.toordinal()
    if name == DAY:
        return day
    hour = day * 24 + local.hour
    return hour if name == HOUR else hour * 60 + local.minute
