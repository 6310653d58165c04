"""What a check-in tells: the verdict on the agent, and the figures of the machine and of the queue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agent.checkin import Report
from agent.verdict import facts_of, judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.clock import Clock
    from agent.device import Device, DeviceMeter
    from agent.spool.spool import Spool

OLDEST = "SELECT captured_at FROM item WHERE state = 'waiting' ORDER BY id LIMIT 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The queue's figures, over all sources; `share` is how much of its cap is in use, `oldest_s` None if unknown."""

    waiting: int = 0
    quarantined: int = 0
    delivered: int = 0
    dropped: int = 0
    held_bytes: int = 0
    share: float = 0.0
    oldest_s: float | None = None


def metrics(device: Device, queue: Queue) -> dict[str, float]:
    """Return the figures under the platform's names, and the queue's own; what is not known is left out."""
    found = {
        "cpu_usage": device.cpu_percent,
        "memory_usage": device.memory_percent,
        "disk_usage": device.disk_percent,
        "temperature": device.temperature_c,
        "uptime": None if device.uptime_s is None else round(device.uptime_s),
        "queue_items": queue.waiting,
        "queue_bytes": queue.held_bytes,
        "queue_oldest_s": queue.oldest_s,
        "delivered": queue.delivered,
        "quarantined": queue.quarantined,
        "dropped": queue.dropped,
    }
    return {name: value for name, value in found.items() if value is not None}


class Reporter:
    """Looks at everything at once; `facts` are those of the state file."""

    def __init__(
        self,
        spool: Spool,
        meter: DeviceMeter,
        facts: Callable[[], dict[str, Any]],
        *,
        max_bytes: int,
        max_items: int,
        clock: Clock,
    ) -> None:
        self._spool = spool
        self._meter = meter
        self._facts = facts
        self._max_bytes = max_bytes
        self._max_items = max_items
        self._clock = clock

    def __call__(self) -> Report:
        """Make a report; raises `Wait` where the spool cannot be read."""
        device, queue = self._meter.look(), self._queue()
        facts = facts_of(
            {**self._facts(), "clock_synchronised": self._clock.trusted()},
            waiting=queue.waiting,
            quarantined=queue.quarantined,
            spool_share=queue.share,
            device=device,
        )
        return Report(judge(facts).health.value, metrics(device, queue))

    def _queue(self) -> Queue:
        accounts = self._spool.accounts().values()
        usage = self._spool.usage()
        return Queue(
            waiting=sum(account.waiting for account in accounts),
            quarantined=sum(account.quarantined for account in accounts),
            delivered=sum(account.delivered for account in accounts),
            dropped=sum(sum(account.dropped.values()) for account in accounts),
            held_bytes=usage.spool_bytes,
            share=max(usage.spool_bytes / self._max_bytes, usage.spool_items / self._max_items),
            oldest_s=self._oldest_s(),
        )

    def _oldest_s(self) -> float | None:
        """Return the age of the picture that waits longest, by the wall clock where that is right."""
        row = self._spool.reader.one(OLDEST)
        if row is None or not self._clock.trusted():
            return None
        age = self._clock.wall() - datetime.fromisoformat(row["captured_at"])
        return round(max(age.total_seconds(), 0.0), 1)
