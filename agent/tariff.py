"""What the link may be used for: rates and pauses by the hour, and bytes by day and month.

The day is the device's own, from midnight to midnight local time, and wall time is taken as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agent.timetable import Line, line_at, opening

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from agent.clock import Clock
    from agent.spool.traffic import Traffic


@dataclass(frozen=True, slots=True)
class Tariff:
    """What was configured: a rate (0 for no cap), a timetable that goes before it, and budgets (0 for none)."""

    rate_bytes_s: int = 0
    timetable: tuple[Line, ...] = ()
    max_bytes_day: int = 0
    max_bytes_month: int = 0

    @property
    def counts(self) -> bool:
        """Tell whether bytes have to be counted."""
        return bool(self.max_bytes_day or self.max_bytes_month)


@dataclass(frozen=True, slots=True)
class Budget:
    """How a budget stands: bytes in all and used, and when the next one begins."""

    max_bytes: int
    used_bytes: int
    renewed_at: datetime

    @property
    def left_bytes(self) -> int:
        """Return what may still be sent."""
        return max(0, self.max_bytes - self.used_bytes)


@dataclass(frozen=True, slots=True)
class Closed:
    """Uploads rest until `opens_at`, for a reason that says so."""

    reason: str
    opens_at: datetime


def day_of(local: datetime) -> str:
    """Return the name under which a day's bytes are counted."""
    return local.date().isoformat()


def budgets(tariff: Tariff, sent: Mapping[str, int], local: datetime) -> dict[str, Budget]:
    """Return how the configured budgets stand, by `day` and `month`; `sent` are the bytes of each day."""
    day, found = day_of(local), dict[str, Budget]()
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if tariff.max_bytes_day:
        found["day"] = Budget(tariff.max_bytes_day, sent.get(day, 0), midnight + timedelta(days=1))
    if tariff.max_bytes_month:
        used = sum(count for name, count in sent.items() if name[:7] == day[:7])
        following = (midnight.replace(day=28) + timedelta(days=4)).replace(day=1)
        found["month"] = Budget(tariff.max_bytes_month, used, following)
    return found


def closed(tariff: Tariff, sent: Mapping[str, int], local: datetime) -> Closed | None:
    """Say why uploads rest now and until when; None where they may go."""
    spent = {name: budget for name, budget in budgets(tariff, sent, local).items() if not budget.left_bytes}
    renewed = max((budget.renewed_at for budget in spent.values()), default=local)
    opens_at = opening(tariff.timetable, renewed) or renewed
    if spent:
        name, budget = max(spent.items(), key=lambda pair: pair[1].renewed_at)
        return Closed(_sentence(f"the {name}'s budget of {budget.max_bytes} bytes is spent", opens_at), opens_at)
    if opens_at > local:
        return Closed(_sentence("the timetable pauses uploads now", opens_at), opens_at)
    return None


def rate_at(tariff: Tariff, local: datetime) -> int:
    """Return the cap that holds now, in bytes a second, 0 for none; what a pause finds under way is finished."""
    line = line_at(tariff.timetable, local)
    return tariff.rate_bytes_s if line is None or line.pause else line.rate_bytes_s


def facts(tariff: Tariff, sent: Mapping[str, int], local: datetime) -> dict[str, Any]:
    """Return all of it as plain values."""
    rest = closed(tariff, sent, local)
    return {
        "resting": {"reason": rest.reason, "opens_at": _text(rest.opens_at)} if rest else None,
        "rate_bytes_s": rate_at(tariff, local),
        "budgets": {
            name: {
                "max_bytes": budget.max_bytes,
                "used_bytes": budget.used_bytes,
                "left_bytes": budget.left_bytes,
                "renewed_at": _text(budget.renewed_at),
            }
            for name, budget in budgets(tariff, sent, local).items()
        },
    }


class Meter:
    """The tariff at work: what may be sent now, by the clock and by what was counted."""

    def __init__(self, tariff: Tariff, traffic: Traffic, *, clock: Clock) -> None:
        self._tariff = tariff
        self._traffic = traffic
        self._clock = clock

    def rest(self) -> tuple[Closed, float] | None:
        """Return why uploads rest and for how many seconds; None where they may go."""
        if not (self._tariff.counts or self._tariff.timetable):
            return None
        local = self._local()
        rest = closed(self._tariff, self._traffic.sent, local)
        return None if rest is None else (rest, (rest.opens_at - local).total_seconds())

    def rate(self) -> int:
        """Return the cap that holds now, in bytes a second; 0 for none."""
        return rate_at(self._tariff, self._local()) if self._tariff.timetable else self._tariff.rate_bytes_s

    def count(self, size: int) -> None:
        """Count bytes that went out, whatever becomes of them."""
        if self._tariff.counts:
            self._traffic.add(day_of(self._local()), size)

    def _local(self) -> datetime:
        return self._clock.wall().astimezone()


def _sentence(what: str, opens_at: datetime) -> str:
    return f"{what}; uploads go on at {opens_at:%Y-%m-%d %H:%M}"


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
