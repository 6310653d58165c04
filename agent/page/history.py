"""Six hours as a chart and as a table: the queue's depth, what was delivered, and when something was out. Pure."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from agent.chronicle import EVERY_S, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.chronicle import Sample

GAP_S = 2.5 * EVERY_S
WORDS = {
    Trouble.LINK_PAUSED: "link down",
    Trouble.PAUSED_BY_HAND: "paused by hand",
    Trouble.RESTING: "uploads rest",
    Trouble.INTAKE_PAUSED: "no room",
}
NOT_RUNNING = "agent not running"
ROW_S = 900.0


def series(samples: Sequence[Sample], *, wall_s: float, boot_s: float) -> dict[str, Any]:
    """Return the figures on the wall clock as it is now: times, queue depths, pictures delivered a minute, bands."""
    offset = wall_s - boot_s
    times: list[float] = []
    depths: list[int | None] = []
    rates: list[float | None] = []
    for before, now in pairwise([None, *samples]):
        assert now is not None  # noqa: S101 (only the first is none)
        if before is not None and now.boot_s - before.boot_s > GAP_S:
            times.append(round(before.boot_s + offset + 1, 1))
            depths.append(None)
            rates.append(None)
        times.append(round(now.boot_s + offset, 1))
        depths.append(now.waiting)
        rates.append(_rate(before, now))
    return {"times": times, "waiting": depths, "delivered_min": rates, "bands": list(bands(samples, offset, boot_s))}


def bands(samples: Sequence[Sample], offset: float, boot_s: float) -> Iterator[dict[str, Any]]:
    """Yield the stretches in which something was out, each with its word; neighbours are one."""
    for trouble, word in WORDS.items():
        begun: float | None = None
        for sample in samples:
            if trouble in sample.trouble and begun is None:
                begun = sample.boot_s - EVERY_S
            if trouble not in sample.trouble and begun is not None:
                yield _band(begun + offset, sample.boot_s - EVERY_S + offset, word)
                begun = None
        if begun is not None:
            yield _band(begun + offset, samples[-1].boot_s + offset, word)
    for before, now in pairwise(samples):
        if now.boot_s - before.boot_s > GAP_S:
            yield _band(before.boot_s + offset, now.boot_s + offset, NOT_RUNNING)
    if samples and boot_s - samples[-1].boot_s > GAP_S:
        yield _band(samples[-1].boot_s + offset, boot_s + offset, NOT_RUNNING)


def quarters(samples: Sequence[Sample]) -> list[tuple[Sample, int, str]]:
    """Return a row for each quarter of an hour, the latest first: its last sample, deliveries, what was out."""
    groups: dict[int, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(int(sample.boot_s // ROW_S), []).append(sample)
    found = []
    before: Sample | None = None
    for group in groups.values():
        first = before or group[0]
        seen = Trouble(0)
        for sample in group:
            seen |= sample.trouble
        words = ", ".join(word for trouble, word in WORDS.items() if trouble in seen)
        found.append((group[-1], max(0, group[-1].delivered - first.delivered), words))
        before = group[-1]
    return found[::-1]


def _rate(before: Sample | None, now: Sample) -> float | None:
    if before is None or now.boot_s - before.boot_s > GAP_S or now.delivered < before.delivered:
        return None
    return round(60 * (now.delivered - before.delivered) / max(1.0, now.boot_s - before.boot_s), 2)


def _band(begin: float, end: float, word: str) -> dict[str, Any]:
    return {"from": round(begin, 1), "to": round(end, 1), "what": word}
