"""How far apart one device's uploads go while the server refuses some for load: a pure decision.

A pause and a window cannot slow a device below one upload after the other, and a hundred thousand devices that each do
that are too many by far. So a refusal lengthens a distance in time, each success shortens it, and it outlives both: the
fleet settles where about one request in ten is refused. Far apart, a success adds to the rate rather than
multiplies it: who is slowest gains most, and the devices of a fleet become alike. The figures were chosen with
`benchmarks/fleet.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

FIRST_S = 4.0
MOST_S = 200.0
LEAST_S = 0.5  # what is closer than this is no distance
FURTHER = 6.0  # refused after a success: the server is at its limit
AGAIN = 2.0  # refused after a refusal: it may as well be down for a moment, which must not cost a quarter of an hour
EASE = 0.9
RISE = 3.5e-5  # uploads a second that are gained in each second, at least
OUTAGE_SHARE = 1 / 30  # cut off for an hour, each device of a fleet begins two minutes apart
LONGEST_START_S = 120.0


@dataclass(frozen=True, slots=True)
class Spacing:
    """The mean distance between two uploads in seconds; at 0 they go as the window has it."""

    seconds: float = 0.0

    def refused(self, *, again: bool) -> Spacing:
        """Return the distance after a refusal for load; `again` says that the upload before was refused, too."""
        return Spacing(min(MOST_S, max(FIRST_S, self.seconds * (AGAIN if again else FURTHER))))

    def restored(self, outage_s: float) -> Spacing:
        """Return the distance to begin with after an outage of so many seconds; after a short one there is none."""
        seconds = max(self.seconds, min(LONGEST_START_S, outage_s * OUTAGE_SHARE))
        return Spacing(seconds) if seconds >= LEAST_S else CLOSE

    def taken(self) -> Spacing:
        """Return the distance after a success: a tenth closer, and from far away closer than that."""
        # Each adds RISE * s to the rate of 1 / s, once in s seconds: RISE a second, however far apart.
        closer = min(EASE * self.seconds, self.seconds / (1.0 + RISE * self.seconds**2))
        return Spacing(closer) if closer >= LEAST_S else CLOSE

    def wait_s(self, rng: random.Random) -> float:
        """Return the seconds until the next upload: half to one and a half times the distance, so that none march."""
        return self.seconds * rng.uniform(0.5, 1.5)


CLOSE = Spacing()
