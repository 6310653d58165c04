"""The watch for the moment when the clock becomes right: then what it labelled before is put right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from agent.clock_watch import ClockWatch
from agent.errors import SpoolDamaged, Wait

if TYPE_CHECKING:
    from agent.clock import Clock
    from agent.spool.retiming import Retiming
    from agent.workers import Stop

log = structlog.get_logger(__name__)

LONG_S = 60.0
"""What is urgent is told: a set clock by the kernel, one that is trusted since by the main thread. What is left is a
clock that is right and was set wrong in between: labels are counted as untrusted from there on."""

SOON_S = 2.0
FRESH_S = 10.0
"""A time service says that the clock is right a moment after it has set it, and what was labelled before comes into the
spool a moment later too: all of that leaves with a wrong time meanwhile.

A clock that is slewed and never set is in no such hurry: with systemd-timesyncd it is off by 0.4 s at most then, and a
label that is off by less than `TOLERANCE_S` is left alone."""


class Timekeeping:
    """One thread: looks at the clock, and corrects in bounded batches while it can be trusted."""

    def __init__(self, retiming: Retiming, *, clock: Clock, stop: Stop) -> None:
        self._retiming = retiming
        self._clock = clock
        self._stop = stop
        self._watch = ClockWatch(stop)
        self._trusts = False

    def run(self) -> None:
        """Work until the stop is set."""
        with self._watch:
            set_at = self._clock.boot()  # it may have been just before the start
            while not self._stop.is_set():
                self._trusts = self._clock.trusted()  # before the look: what comes about in between is not missed
                self.look()
                since_set_s = self._clock.boot() - set_at
                if self._watch.wait(rest_s(since_set_s, trusted=self._trusts, told=self._watch.tells)):
                    set_at = self._clock.boot()

    def hear(self, *, trusted: bool) -> None:
        """Take the word of a thread that looks at the clock anyway; that it has become right ends a rest."""
        if trusted and not self._trusts:
            self._watch.wake()

    def look(self) -> int:
        """Correct what there is to correct now; return how many capture times changed."""
        corrected, after = 0, 0
        try:
            while self._clock.trusted() and not self._stop.is_set():
                count, following = self._retiming.batch(after)
                corrected += count
                if following is None:
                    break
                after = following
        except SpoolDamaged:
            raise
        except Wait as error:
            log.warning("capture_times_not_corrected", reason=str(error))
        if corrected:
            log.info("capture_times_corrected", count=corrected)
        return corrected


def rest_s(since_set_s: float, *, trusted: bool, told: bool) -> float:
    """Return how long to leave the clock alone that was set so long ago; `told` is whether a set clock is told of."""
    return LONG_S if since_set_s >= FRESH_S and (trusted or told) else SOON_S
