"""The figures as people and later runs read them: medians with least and most, ratios, Markdown, JSON."""

from __future__ import annotations

import os
import platform
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from measuring import Measured

CURL, RCLONE, BARE = "curl --parallel", "rclone copy (S3)", "http.client"
CLIENT, AGENT, DAEMON = "the agent's client alone", "the agent", "the agent, as a daemon"
COLUMNS = {
    "pictures_s": "pictures/s",
    "mb_s": "MB/s",
    "cpu_s_1000": "CPU s per 1,000",
    "start_cpu_s": "CPU s to start",
    "peak_mb": "peak MB",
    "device_bytes": "device bytes a byte",
    "first_p50_ms": "first byte ms, p50",
    "first_p99_ms": "p99",
    "sent_p50_ms": "answered ms, p50",
    "sent_p99_ms": "p99",
}
DURABLE = {"flushes": "flushes a picture", "lost": "lost", "twice": "sent twice"}
Spread = tuple[float, float, float]
"""Median, least, most."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One figure of one contestant over another's, round by round, so that both met the same machine."""

    name: str
    key: str
    figure: str
    over: tuple[str, str]

    @property
    def more_is_better(self) -> bool:
        """Tell which way is better."""
        return self.figure == "pictures_s"


def _ratios() -> Iterator[Ratio]:
    for key in ("200KB", "2MB", "200KB-tls", "200KB-50ms"):
        for other in (CURL, RCLONE, BARE):
            yield Ratio(f"pictures/s, {AGENT} / {other}, {key}", key, "pictures_s", (AGENT, other))
        # Of the few that slow contestants send over a slow link, the processor time is less than that of a start.
        costs = () if key.endswith("ms") else ((AGENT, RCLONE), (AGENT, BARE), (CLIENT, BARE), (BARE, CURL))
        for mine, other in costs:
            yield Ratio(f"CPU, {mine} / {other}, {key}", key, "cpu_s_1000", (mine, other))


RATIOS = tuple(_ratios())


def spread(values: Iterable[float]) -> Spread:
    """Return median, least and most."""
    found = list(values)
    return statistics.median(found), min(found), max(found)


def ratios(measured: Measured) -> dict[str, Spread]:
    """Return the ratios of what was measured."""
    found = {}
    for ratio in RATIOS:
        mine, other = (measured.series(ratio.key, peer, ratio.figure) for peer in ratio.over)
        pairs = [one / another for one, another in zip(mine, other, strict=False) if another]
        if pairs:
            found[ratio.name] = spread(pairs)
    return found


def summary(measured: Measured) -> dict[str, Any]:
    """Return all of it, as it is kept."""
    return {
        "machine": machine(),
        "work": {
            key: {
                "title": measured.titles[key],
                "ceiling": measured.ceilings[key],
                "missing": {peer: measured.missing[peer] for peer in measured.absent.get(key, ())},
                "peers": {
                    peer: {figure: spread(one[figure] for one in runs) for figure in runs[0]}
                    for peer, runs in peers.items()
                },
            }
            for key, peers in measured.rounds.items()
        },
        "durability": measured.durability,
        "missing": measured.missing,
        "ratios": ratios(measured),
    }


def machine() -> str:
    """Describe what this was measured on."""
    cpu = next((line for line in _read("/proc/cpuinfo").splitlines() if line.startswith("model name")), "")
    name = cpu.partition(":")[2].strip() or platform.processor() or platform.machine()
    place = os.environ.get("BENCH_DIR", "/tmp")  # noqa: S108 (where temporary files are by default)
    mounts = [line.split() for line in _read("/proc/mounts").splitlines()]
    below = [(len(where), kind) for _, where, kind, *_ in mounts if Path(place).resolve().is_relative_to(where)]
    disk = max(below)[1] if below else "an unknown file system"
    return f"{os.cpu_count()} cores ({name}), Linux {platform.release()}, Python {platform.python_version()}, {disk}"


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def told(value: float) -> str:
    """Return a figure with three digits that mean something."""
    if value >= 100:  # noqa: PLR2004 (three digits)
        return f"{value:,.0f}"
    return f"{value:.3g}"


def spread_told(figures: Sequence[float]) -> str:
    """Return a median with least and most."""
    middle, least, most = figures
    if told(least) == told(most):
        return told(middle)
    return f"{told(middle)} ({told(least)}..{told(most)})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown(kept: dict[str, Any]) -> Iterator[str]:
    """Yield the blocks of a report."""
    yield f"Measured on {kept['machine']}. Medians, with least and most in brackets."
    for work in kept["work"].values():
        peers = work["peers"]
        columns = [figure for figure in COLUMNS if any(figure in found for found in peers.values())]
        rows = [[name, *(spread_told(found[figure]) for figure in columns)] for name, found in peers.items()]
        rows += [[name, why, *[""] * (len(columns) - 1)] for name, why in work["missing"].items()]
        yield f"**{work['title']}**"
        yield table(["", *(COLUMNS[figure] for figure in columns)], rows)
        yield _foot(work)
    if kept["durability"]:
        rows = [
            [name, *(told(found[figure]) if figure in found else "" for figure in DURABLE)]
            for name, found in kept["durability"].items()
        ]
        rows += [[name, why, *[""] * (len(DURABLE) - 1)] for name, why in kept["missing"].items()]
        yield "**Killed in the middle and started again as its user would**"
        yield table(["", *DURABLE.values()], rows)
    yield "**Ratios, round by round**"
    yield table(["", "median (least..most)"], [[name, spread_told(found)] for name, found in kept["ratios"].items()])


BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def placed(page: str, text: str) -> str:
    """Return a page with a report in the place that is marked for it."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _foot(work: dict[str, Any]) -> str:
    shares = [found["sink_cpu"] for found in work["peers"].values() if "sink_cpu" in found]
    most = max((share[0] for share in shares), default=0.0)
    share = f"; in these runs it used at most {told(most)} of a core" if shares else ""
    return f"The sink takes {told(work['ceiling'])} pictures/s of a request that was made beforehand{share}."
