"""Which pictures of a source to give up: the oldest, or so that the rest stays spread evenly over time. Pure.

To thin, the one goes whose absence leaves the smallest gap: bursts are thinned first, then the oldest of what is
dense, and what is left after a long outage still shows all of it. To look through a hundred thousand items for each
frame would take too long, so one look names an eighth of them.
"""

from __future__ import annotations

from heapq import nsmallest
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SHARE = 8  # of a source's items, one in so many is named by one look
MOST = 4096  # named by one look, which bounds its memory
FEWEST = 4  # items that a source keeps in any case


def sparest(moments: Sequence[float]) -> list[int]:
    """Return the positions to give up, an eighth or so of them, in that order: which leave the smallest gaps.

    `moments` are times of capture in any order. The first and the last are never among them, nor two neighbours: so
    each gap is what it was thought to be, however many of the positions are used.
    """
    count = len(moments)
    if count <= FEWEST:
        return []
    order = _in_time(moments)
    wanted = _wanted(count)
    gaps = ((moments[order[at + 1]] - moments[order[at - 1]], at) for at in range(1, count - 1))
    chosen: dict[int, None] = {}
    for _, at in nsmallest(2 * wanted, gaps):
        if at - 1 not in chosen and at + 1 not in chosen:
            chosen[at] = None
        if len(chosen) == wanted:
            break
    return [order[at] for at in chosen]


def oldest(moments: Sequence[float]) -> list[int]:
    """Return the positions to give up, an eighth or so of them, in that order: the oldest."""
    return list(_in_time(moments)[: _wanted(len(moments))])


def lowest(
    moments: Sequence[float], priorities: Sequence[int], choose: Callable[[Sequence[float]], list[int]]
) -> list[int]:
    """Return the positions that `choose` gives up among those of the lowest priority.

    A few of a low priority do not outlast what is more important: where `choose` would keep them all, all of them go.
    """
    least = min(priorities, default=0)
    if all(priority == least for priority in priorities):
        return choose(moments)
    low = [at for at, priority in enumerate(priorities) if priority == least]
    return [low[at] for at in choose([moments[at] for at in low])] or low


def _wanted(count: int) -> int:
    return max(1, min(count // SHARE, MOST))


def _in_time(moments: Sequence[float]) -> Sequence[int]:
    """Return the positions in the order of their times; a camera's are in order already, which saves the memory."""
    positions = range(len(moments))
    if all(one <= other for one, other in pairwise(moments)):
        return positions
    return sorted(positions, key=moments.__getitem__)
