"""How far apart one device's uploads go while the server refuses some for load: a pure decision.

A pause and a window cannot slow a device below one upload after the other, and a hundred thousand devices that each do
that are too many by far. So a refusal doubles a distance in time, each success eases it a little, and it outlives both:
the fleet settles where about one request in ten is refused. The figures were chosen with `benchmarks/fleet.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

FIRST_S = 4.0
MOST_S = 150.0
LEAST_S = 0.5  # what is closer than this is no distance
EASE = 0.92
RUN = 14  # successes in a row after which the server plainly bears more
LEAP = 0.9
OUTAGE_SHARE = 15  # a fleet that was cut off for an hour comes back over four minutes
LONGEST_SPREAD_S = 240.0


@dataclass(frozen=True, slots=True)
class Spacing:
    """The mean distance between two uploads in seconds, and the successes since the last refusal.

    `spread_s` is what a refusal makes of it at least, soon after an outage: then the whole fleet is there at once.
    """

    seconds: float = 0.0
    successes: int = 0
    spread_s: float = 0.0

    def refused(self) -> Spacing:
        """Return the distance after a refusal for load: twice as far."""
        return Spacing(min(MOST_S, max(2 * self.seconds, FIRST_S, self.spread_s)), 0, self.spread_s)

    def restored(self, outage_s: float) -> Spacing:
        """Return the distance to begin with after an outage of so many seconds; after a short one there is none."""
        spread_s = min(LONGEST_SPREAD_S, outage_s / OUTAGE_SHARE)
        seconds = max(self.seconds, spread_s / 2)
        return Spacing(seconds if seconds >= LEAST_S else 0.0, 0, spread_s)

    def taken(self) -> Spacing:
        """Return the distance after a success: a little closer, and closer still after many in a row."""
        successes = self.successes + 1
        closer = self.seconds * (EASE if successes < RUN else LEAP)
        spread_s = self.spread_s * EASE
        if closer < LEAST_S and spread_s < LEAST_S:
            return Spacing()
        return Spacing(closer if closer >= LEAST_S else 0.0, successes, spread_s if spread_s >= LEAST_S else 0.0)

    def wait_s(self, rng: random.Random) -> float:
        """Return the seconds until the next upload: half to one and a half times the distance, so that none march."""
        return self.seconds * rng.uniform(0.5, 1.5)


CLOSE = Spacing()
