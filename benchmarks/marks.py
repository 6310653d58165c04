"""The marks that were set, each with where its figure is found in what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from report import AGENT, BARE, CLIENT, CURL, DAEMON, RCLONE, table, told

Kept = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mark:
    """A figure and its limit; `at` is the way to it, `less` the way to what is taken off."""

    text: str
    limit: float
    at: tuple[str, ...]
    at_least: bool = False
    less: tuple[str, ...] = ()
    less_ms: float = 0.0

    def value(self, kept: Kept) -> float | None:
        """Return the figure, or None where it was not measured."""
        value, less = _at(kept, self.at), _at(kept, self.less) if self.less else 0.0
        return None if value is None or less is None else value - less - self.less_ms

    def met(self, value: float) -> bool:
        """Tell whether a figure is good enough."""
        return value >= self.limit if self.at_least else value <= self.limit


def _at(kept: Kept, way: tuple[str, ...]) -> float | None:
    found: Any = kept
    for step in way:
        found = found.get(step) if isinstance(found, dict) else None
    if isinstance(found, (list, tuple)):
        found = found[0]
    return found if isinstance(found, float | int) else None


def _speed(other: str, key: str) -> tuple[str, ...]:
    return ("ratios", f"pictures/s, {AGENT} / {other}, {key}")


def _cpu(mine: str, other: str, key: str) -> tuple[str, ...]:
    return ("ratios", f"CPU, {mine} / {other}, {key}")


def _waiting(count: str, what: str) -> tuple[str, ...]:
    return ("inside", f"{count} waiting: {what}")


FIRST, MEMORY = "start to first upload, s", "memory, MB"
MARKS = (
    Mark("pictures/s over curl --parallel, 200 KB", 0.5, _speed(CURL, "200KB"), at_least=True),
    Mark("pictures/s over rclone copy, 200 KB", 1.0, _speed(RCLONE, "200KB"), at_least=True),
    Mark("CPU over rclone copy, 200 KB", 0.5, _cpu(AGENT, RCLONE, "200KB")),
    Mark("pictures/s over curl --parallel, 50 ms of delay", 0.95, _speed(CURL, "200KB-50ms"), at_least=True),
    Mark("CPU of an upload over http.client, plain", 1.8, _cpu(CLIENT, BARE, "200KB")),
    Mark("CPU of an upload over http.client, TLS", 1.4, _cpu(CLIENT, BARE, "200KB-tls")),
    Mark("device bytes a byte, watched", 0.06, ("work", "200KB", "peers", AGENT, "device_bytes")),
    Mark("device bytes a byte, camera", 1.1, ("inside", "camera, device bytes a byte")),
    Mark("flushes a picture under load", 2.0, ("durability", AGENT, "flushes")),
    Mark("pictures/s, each flush 10 ms longer", 60.0, ("inside", "pictures/s, each flush 10 ms longer"), at_least=True),
    Mark("first upload with 1,000,000 waiting, s later", 1.0, _waiting("1,000,000", FIRST), less=_waiting("10", FIRST)),
    Mark("memory with 1,000,000 waiting, MB more", 10.0, _waiting("1,000,000", MEMORY), less=_waiting("10", MEMORY)),
    Mark("idle: memory, MB", 45.0, ("inside", "idle: memory, MB")),
    Mark("idle: wake-ups/s", 0.5, ("inside", "idle: wake-ups/s")),
    Mark(
        "dropped file to first byte, ms above settle_s, p99",
        20.0,
        ("inside", "dropped file: in place to first byte, ms above settle_s, p99"),
    ),
    Mark(
        "50 pictures/s against 50 ms: answered, ms above that, p99",
        60.0,
        ("work", "arrivals-50ms", "peers", DAEMON, "sent_p99_ms"),
        less_ms=50.0,
    ),
    Mark(
        "camera: CPU over VideoCapture + imencode",
        1.35,
        ("inside", "camera at 1080p, CPU over VideoCapture + imencode"),
    ),
)


def block(kept: Kept) -> str:
    """Return the marks beside what was measured, as Markdown."""
    rows = []
    for mark in MARKS:
        value = mark.value(kept)
        if value is not None:
            limit = f"{'at least' if mark.at_least else 'at most'} {told(mark.limit)}"
            rows.append([mark.text, limit, told(value), "yes" if mark.met(value) else "no"])
    return table(["the agent's", "mark", "measured", "met"], rows)
