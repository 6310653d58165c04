"""A pause of one source's intake: its files stay where they are while the spool takes none."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from agent.errors import SpoolFull, SpoolUnavailable
    from agent.health import Pulse

log = structlog.get_logger(__name__)

PAUSE_S = 2.0


class Pause:
    """Lasts until `until` on the boot clock; a reason that goes on is said again every ten minutes only."""

    def __init__(self, source: str, pulse: Pulse) -> None:
        self.until = -math.inf
        self._source = source
        self._pulse = pulse

    def begin(self, error: SpoolFull | SpoolUnavailable, now: float) -> None:
        """Pause for two seconds."""
        self.until = now + PAUSE_S
        if self._pulse.pause(self._source, str(error)):
            log.warning("intake_paused", source=self._source, reason=str(error))

    def end(self) -> None:
        """Go on: the spool took what there was."""
        self._pulse.resume(self._source)
