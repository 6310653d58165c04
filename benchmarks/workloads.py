"""What the contestants are given to do."""

from __future__ import annotations

from dataclasses import dataclass, replace

KB = 1000
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Workload:
    """So many pictures of a size, over a link; `per_second` where they come at a pace instead of lying there."""

    key: str
    size: int
    count: int
    tls: bool = False
    delay_ms: int = 0
    per_second: float = 0.0
    few: int = 10_000

    @property
    def workers(self) -> int:
        """Return how many uploads may be under way: two, and four where each has to wait."""
        return 4 if self.delay_ms else 2

    @property
    def title(self) -> str:
        """Return it in words."""
        size = f"{self.size // KB} KB" if self.size < MB else f"{self.size // MB} MB"
        link = f"{'TLS' if self.tls else 'plain'}, {self.delay_ms} ms of delay, {self.workers} at once"
        if self.per_second:
            return f"{self.per_second:g} pictures of {size} a second for {self.count / self.per_second:g} s, {link}"
        return f"{self.count} pictures of {size}, {link}"


def batches(count: int, *, full: bool) -> list[Workload]:
    """Return the work that lies there when the contestants begin."""
    small = Workload("200KB", 200 * KB, count)
    large = Workload("2MB", 2 * MB, max(3, count // 5))
    waiting = replace(small, key="200KB-50ms", delay_ms=50, count=max(3, count // 5), few=max(3, count // 20))
    chosen = [small, large, replace(small, key="200KB-tls", tls=True, count=max(3, count // 2)), waiting]
    if full:
        chosen += [
            replace(large, key="2MB-tls", tls=True),
            replace(waiting, key="200KB-tls-50ms", tls=True),
            replace(waiting, key="200KB-200ms", delay_ms=200),
            replace(waiting, key="200KB-tls-200ms", delay_ms=200, tls=True),
            replace(waiting, key="2MB-50ms", size=2 * MB),
        ]
    return chosen


def arrivals(seconds: float, *, full: bool) -> list[Workload]:
    """Return the work that comes while they run."""
    count = max(3, round(50 * seconds))
    first = Workload("arrivals-50ms", 200 * KB, count, delay_ms=50, per_second=50)
    if not full:
        return [first]
    others = [(False, 0), (True, 0), (True, 50), (False, 200), (True, 200)]
    more = [
        replace(first, key=f"arrivals{'-tls' if tls else ''}-{delay}ms", tls=tls, delay_ms=delay)
        for tls, delay in others
    ]
    return [first, *more]


LOSSES = Workload("losses", 200 * KB, 100, delay_ms=20, per_second=25)
FLUSHES = Workload("flushes", 200 * KB, 200)
