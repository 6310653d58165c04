"""Where the queue is going: how fast it drains, and whether the disk is full before that. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.chronicle import Sample

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from agent.spool.ledger import Account

WINDOW_S = 300.0
SHORTEST_S = 5.0


@dataclass(frozen=True, slots=True)
class Rates:
    """What comes and goes a second, over the last `seconds`; all 0 where nothing is known yet."""

    seconds: float = 0.0
    captured_s: float = 0.0
    captured_bytes_s: float = 0.0
    delivered_s: float = 0.0
    delivered_bytes_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """`drained_s` is None where the queue does not shrink, `full_s` where it does not grow."""

    rates: Rates = Rates()
    room_bytes: int = 0
    drained_s: float | None = None
    full_s: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "over_s": round(self.rates.seconds),
            "captured_s": round(self.rates.captured_s, 4),
            "captured_bytes_s": round(self.rates.captured_bytes_s),
            "delivered_s": round(self.rates.delivered_s, 4),
            "delivered_bytes_s": round(self.rates.delivered_bytes_s),
            "room_bytes": self.room_bytes,
            "drained_in_s": None if self.drained_s is None else round(self.drained_s),
            "full_in_s": None if self.full_s is None else round(self.full_s),
        }


def rates(samples: Sequence[Sample], now: Sample, window_s: float = WINDOW_S) -> Rates:
    """Return the rates since the oldest sample within the window; totals that fell are those of another spool."""
    within = [one for one in samples if SHORTEST_S <= now.boot_s - one.boot_s <= window_s]
    if not within:
        return Rates()
    first = within[0]
    if first.captured > now.captured or first.delivered > now.delivered:
        return Rates()
    seconds = now.boot_s - first.boot_s
    return Rates(
        seconds,
        (now.captured - first.captured) / seconds,
        max(0, now.captured_bytes - first.captured_bytes) / seconds,
        (now.delivered - first.delivered) / seconds,
        max(0, now.delivered_bytes - first.delivered_bytes) / seconds,
    )


def outlook(rates_now: Rates, *, waiting: int, room_bytes: int) -> Outlook:
    """Say when nothing waits any more, or when there is no more room, if all goes on as it does now."""
    shrinks_s = rates_now.delivered_s - rates_now.captured_s
    grows_bytes_s = rates_now.captured_bytes_s - rates_now.delivered_bytes_s
    drained_s = 0.0 if waiting == 0 else waiting / shrinks_s if shrinks_s > 0 else None
    full_s = 0.0 if room_bytes <= 0 else room_bytes / grows_bytes_s if grows_bytes_s > 0 else None
    return Outlook(rates_now, max(0, room_bytes), drained_s, full_s)


def sample_of(accounts: Mapping[str, Account], boot_s: float, *, written_bytes: int = 0) -> Sample:
    """Make a sample of the ledger's totals."""
    totals = accounts.values()
    held = sum(one.held_bytes for one in totals)
    delivered = sum(one.delivered_bytes for one in totals)
    return Sample(
        boot_s,
        waiting=sum(one.waiting for one in totals),
        held_bytes=held,
        captured=sum(one.captured for one in totals),
        captured_bytes=sum(one.captured_bytes for one in totals),
        delivered=sum(one.delivered for one in totals),
        delivered_bytes=delivered,
        written_bytes=written_bytes,
    )


def share_of(accounts: Collection[Account], max_bytes: int, max_items: int) -> float:
    """Return how much of the spool's caps is in use, of bytes or of items, whichever is more."""
    items = sum(one.waiting + one.quarantined for one in accounts)
    return max(sum(one.held_bytes for one in accounts) / max_bytes, items / max_items)
