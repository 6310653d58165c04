"""Which moments are due: one in each interval, on a grid. Pure.

The grid is anchored at the first moment that was taken, so a late frame does not push the next one back (no drift),
and intervals that passed without a frame are not made up for (no burst).
"""

from __future__ import annotations

import math

LIVE_SLACK_S = 0.02

RETRY_S = 0.5
"""After a bad frame the next one is judged this much later: judging costs a decode."""


class Pace:
    """Picks one moment per interval; an interval of 0 picks every one.

    `slack_s` is how much before its time a moment may come and still count: without it a camera of 30 frames a
    second that jitters by a millisecond would lose every other frame at an interval of 1/30 s.
    """

    def __init__(self, interval_s: float, slack_s: float = 0.0) -> None:
        self._interval_s = interval_s
        self._slack_s = slack_s
        self._anchor: float | None = None
        self._slot = 0

    def due(self, now: float) -> bool:
        """Tell whether a frame of this moment is wanted; changes nothing."""
        return self._anchor is None or self._interval_s <= 0 or self._slot_of(now, self._anchor) > self._slot

    def take(self, now: float) -> None:
        """Mark this moment's interval as served."""
        if self._anchor is None:
            self._anchor = now
        elif self._interval_s > 0:
            self._slot = self._slot_of(now, self._anchor)

    def _slot_of(self, now: float, anchor: float) -> int:
        return math.floor((now - anchor + self._slack_s) / self._interval_s)


def live_pace(interval_s: float) -> Pace:
    """Return the pace of a live source: its frames may come a little early, never by more than a quarter."""
    return Pace(interval_s, min(interval_s / 4, LIVE_SLACK_S))
