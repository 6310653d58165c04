"""How long an annotator that failed rests before it is asked again.

Jittered pauses under a ceiling that doubles from half a second to a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from agent.clock import Clock

SHORTEST_S = 0.5
LONGEST_S = 60.0
_DOUBLINGS = 7


def pause_s(failures: int, draw: float) -> float:
    """Return how long to rest after so many failures in a row; `draw` is a random number of 0..1. Pure."""
    ceiling = min(LONGEST_S, SHORTEST_S * 2.0 ** min(failures - 1, _DOUBLINGS))
    return ceiling * (0.2 + 0.8 * draw)


class Rest:
    """Counts failures in a row, and the time until the next try."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self.failures = 0
        self._clock = clock
        self._rng = rng
        self._until = float("-inf")

    def left_s(self) -> float:
        """Return how long it still rests."""
        return max(0.0, self._until - self._clock.boot())

    def lengthen(self, least_s: float = 0.0) -> float:
        """Begin a rest after one more failure; return its length."""
        self.failures += 1
        pause = max(least_s, pause_s(self.failures, self._rng.random()))
        self._until = self._clock.boot() + pause
        return pause

    def resume(self, failures: int, seconds: float) -> None:
        """Go on with a rest that began elsewhere."""
        self.failures, self._until = failures, self._clock.boot() + seconds

    def end(self) -> None:
        """Forget the failures: it answered."""
        self.failures, self._until = 0, float("-inf")
