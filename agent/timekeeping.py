"""The watch for the moment when the clock becomes right: then what it labelled before is put right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from agent.errors import SpoolDamaged, Wait

if TYPE_CHECKING:
    from agent.clock import Clock
    from agent.spool.retiming import Retiming
    from agent.workers import Stop

log = structlog.get_logger(__name__)

SETTLED_S = 60.0  # a clock that is right may still be set wrong: then labels are counted as untrusted from there on
EVERY_S = 2.0  # a link and a time service come up together: the sooner, the fewer pictures leave with a wrong time


class Timekeeping:
    """One thread: looks at the clock, and corrects in bounded batches while it can be trusted."""

    def __init__(self, retiming: Retiming, *, clock: Clock, stop: Stop) -> None:
        self._retiming = retiming
        self._clock = clock
        self._stop = stop

    def run(self) -> None:
        """Work until the stop is set."""
        while not self._stop.is_set():
            self.look()
            self._stop.wait(SETTLED_S if self._clock.trusted() else EVERY_S)

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
