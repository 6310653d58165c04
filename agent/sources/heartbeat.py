"""What a grabber says of its source while it gives frames: that it lives, and what became of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from agent.sources.wire import Record

if TYPE_CHECKING:
    from agent.clock import Clock
    from agent.sources.outbox import Outbox


class Heartbeat:
    """Counts what a source gives and says so, four times in a stall timeout and at most once a second.

    `bad` counts refused frames by kind, `skipped` those that were not worth it by limit or rule, `passed` those for
    which no annotator was to be had, by reason.
    """

    def __init__(self, outbox: Outbox, clock: Clock, stall_timeout_s: float) -> None:
        self.seen = 0
        self.bad: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.passed: Counter[str] = Counter()
        self.every_s = min(1.0, stall_timeout_s / 4)
        self._outbox = outbox
        self._clock = clock
        self._next = 0.0

    def beat(self) -> None:
        """Count one frame that the device gave."""
        self.seen += 1
        self.tell()

    def tell(self) -> None:
        """Say that the source is there, if it is time: also while one of its frames takes long."""
        if (now := self._clock.boot()) >= self._next:
            self._next = now + self.every_s
            self._outbox.offer(Record("alive", self.facts()))

    def facts(self) -> dict[str, Any]:
        """Return the counts, as a record tells them."""
        counts = {"skipped": self.skipped, "passed": self.passed}
        told = {name: dict(count) for name, count in counts.items() if count}
        return {"seen": self.seen, "bad": dict(self.bad), **told}
