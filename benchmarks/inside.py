"""What goes on inside: the parts of an upload, the start, the rest, and how soon what came is on its way.

    python benchmarks/inside.py [--million] [--count 100]

Prints Markdown. `--million` fills a spool with 1,000,000 waiting items first, which takes a minute or two. System calls
are counted with strace; where it is missing they are left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the agent of this checkout, wherever another one is installed

import backlog  # noqa: E402 (needs the path)
import filming  # noqa: E402 (likewise)
import parts  # noqa: E402 (likewise)
import shares  # noqa: E402 (likewise)
from agents import AgentDaemon  # noqa: E402 (likewise)
from contest import Arena, Work  # noqa: E402 (likewise)
from opponent import Sink  # noqa: E402 (likewise)
from pictures import make_pictures  # noqa: E402 (likewise)
from report import table, told  # noqa: E402 (likewise)
from usage import Failed  # noqa: E402 (likewise)

SIZE = 200_000
MILLION = 1_000_000


def inside(place: Path, *, count: int, million: bool) -> dict[str, float]:
    """Measure all of it, in a folder."""
    folder = place / "inside"
    dropped = Work(folder, make_pictures(folder, 2 * count, SIZE), SIZE, workers=2)
    work = dropped.few(count, place / "fewer")
    picture = next(folder.iterdir()).read_bytes()
    with Sink() as sink:
        arena = Arena(sink, place, starts=0)
        found = parts.encoding(count // 3) | parts.spooling(place / "spool", picture, 2 * count)
        many = Work(place / "many", make_pictures(place / "many", 5 * count, SIZE), SIZE, workers=2)
        found |= shares.shares(arena, many)
        if shutil.which("strace"):
            found |= parts.calls(arena, work)
            found |= parts.slow_disk(arena, many)
        found |= parts.rest(arena, work)
        arrivals = arena.arrivals(AgentDaemon(), dropped, per_second=40)
        for share in ("p50", "p99"):
            found[f"dropped file: in place to first byte, ms above settle_s, {share}"] = arrivals[f"first_{share}_ms"]
        found |= filming.latency(arena)
        found |= filming.cost(arena, place, count, rounds=3)
    with Sink(delay_s=0.2) as sink:
        arena = Arena(sink, place, starts=0)
        for waiting in (10, 10_000, *([MILLION] if million else [])):
            for name, figure in backlog.restart(arena, picture[:SIZE], waiting).items():
                found[f"{waiting:,} waiting: {RESTART[name]}"] = figure
    return found


RESTART = {"first_s": "start to first upload, s", "rss_mb": "memory, MB", "peak_mb": "most memory, MB"}


def block(found: dict[str, float]) -> str:
    """Return the figures as Markdown."""
    return table(["inside", ""], [[name, told(value)] for name, value in found.items()])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--million", action="store_true", help="also start with a million waiting items")
    parser.add_argument("--count", type=int, default=100)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR"), prefix="bench-") as name:
        try:
            print(block(inside(Path(name), count=asked.count, million=asked.million)))
        except Failed as failure:
            print(f"failed: {failure}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
