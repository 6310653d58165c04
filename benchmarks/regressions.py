"""What has become worse than what was kept, beyond the noise of both: ratios alone, as machines differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from report import AGENT, CLIENT, RATIOS, spread_told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Ratios = Mapping[str, Sequence[float]]

LEAST = 0.1
"""A smaller change is none, however small the spread: the rounds of one run know little of another hour."""


def regressions(then: Ratios, now: Ratios, again: Callable[[], Ratios]) -> list[str]:
    """Return a line for each ratio that is worse than what was kept, and is so when measured `again`.

    Cores that are shared with others change by half within minutes: once, unchanged code was worse in 3 of 24 ratios.
    """
    found = list(worse(then, now))
    if not found:
        return []
    second = again()
    return [
        f"{name}: {spread_told(now[name])}, then {spread_told(second[name])}, was {spread_told(then[name])}"
        for name in worse(then, second)
        if name in found
    ]


def worse(then: Ratios, now: Ratios) -> Iterator[str]:
    """Yield each ratio whose best round is worse than the worst one that was kept."""
    for ratio in RATIOS:
        ours = ratio.over[0] in {AGENT, CLIENT}  # what others became among themselves is no regression
        if ours and ratio.name in then and ratio.name in now:
            before, after = then[ratio.name], now[ratio.name]
            if _worse(before, after, more_is_better=ratio.more_is_better):
                yield ratio.name


def _worse(before: Sequence[float], after: Sequence[float], *, more_is_better: bool) -> bool:
    (middle, least, most), (middle_now, least_now, most_now) = before, after
    if more_is_better:
        return most_now < least and middle_now < middle * (1 - LEAST)
    return least_now > most and middle_now > middle * (1 + LEAST)
