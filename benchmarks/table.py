"""The agent beside what a user would pick instead, on the same files, in turn on the same machine.

    python benchmarks/table.py [--quick] [--full] [--save] [--check] [--rounds 3] [--count 1000] [--arrive-s 10]

Prints Markdown: medians, with the least and the most. Ratios carry from machine to machine; absolute figures do not.
The start of an interpreter or a daemon is not in the CPU: whoever runs for long pays it once. `--quick` is curl,
http.client, the agent's client and the agent at 200 KB alone. `--save` also measures the inside, and writes
docs/performance.json, with which `--check` compares, and the tables in docs/performance.md. A timing fails nothing; a
picture that is lost, doubled or changed ends this with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the agent of this checkout, wherever another one is installed

import marks  # noqa: E402 (needs the path)
from inside import block, inside  # noqa: E402 (likewise)
from measuring import Measured, Measuring  # noqa: E402 (likewise)
from peers import BATCH, HOW_TO, WATCHING  # noqa: E402 (likewise)
from regressions import regressions  # noqa: E402 (likewise)
from report import AGENT, BARE, CLIENT, CURL, RCLONE, markdown, placed, summary  # noqa: E402 (likewise)
from usage import Failed  # noqa: E402 (likewise)
from workloads import arrivals, batches  # noqa: E402 (likewise)

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT = ROOT / "docs/performance.json"
PAGE = ROOT / "docs/performance.md"
QUICK = {CURL, BARE, CLIENT, AGENT}


def options() -> argparse.ArgumentParser:
    """Return what may be asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=1000, help="pictures of 200 KB; the rest follows")
    parser.add_argument("--arrive-s", type=float, default=10.0, help="how long pictures come at 50 a second")
    parser.add_argument("--quick", action="store_true", help="the agent, its client, curl and http.client at 200 KB")
    parser.add_argument("--delay-ms", type=int, default=0, help="how long the sink waits with --quick")
    parser.add_argument("--full", action="store_true", help="every size, delay and link; a minute of arrivals")
    parser.add_argument("--save", action="store_true", help="also measure the inside, and write docs/performance.json")
    parser.add_argument("--million", action="store_true", help="with --save: start with a million waiting items, too")
    parser.add_argument("--check", action="store_true", help="compare ratios with docs/performance.json")
    return parser


def measure(asked: argparse.Namespace, place: Path) -> Measured:
    """Do what was asked for."""
    measuring = Measuring(place, asked.rounds)
    if measuring.measured.missing:
        print(HOW_TO, file=sys.stderr)
    work = batches(asked.count, full=asked.full)
    if asked.quick:
        measuring.run(replace(work[0], delay_ms=asked.delay_ms), [peer for peer in BATCH if peer.name in QUICK])
        return measuring.measured
    peers = [peer for peer in BATCH if not asked.check or peer.name in {*QUICK, RCLONE}]
    for workload in work:
        measuring.run(workload, peers)
    if not asked.check:
        for workload in arrivals(60.0 if asked.full else asked.arrive_s, full=asked.full):
            measuring.run(workload, WATCHING)
        measuring.durability(asked.count)
    return measuring.measured


def main() -> int:
    """Measure, print, keep or compare."""
    asked = options().parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR"), prefix="bench-") as name:
        try:
            if asked.check:
                print(compared(lambda: summary(measure(asked, Path(name)))["ratios"]))
                return 0
            measured = measure(asked, Path(name))
            kept = summary(measured)
            if asked.save:
                kept["inside"] = inside(Path(name), count=max(3, asked.count // 10), million=asked.million)
        except Failed as failure:
            print(f"failed: {failure}", file=sys.stderr)
            return 1
    blocks = [marks.block(kept), *markdown(kept), block(kept["inside"]) if asked.save else ""]
    text = "\n\n".join(filter(None, blocks))
    print(text)
    if asked.save:
        PAGE.write_text(placed(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
        KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


def compared(measured: Callable[[], dict[str, Any]]) -> str:
    """Return which ratios are worse than what was kept, as text."""
    if not KEPT.exists():
        return f"nothing to compare with: {KEPT.relative_to(ROOT)} is missing; make bench ARGS=--save writes it"
    then = json.loads(KEPT.read_text(encoding="utf-8"))
    now = measured()
    found = regressions(then["ratios"], now, measured)
    known = sum(name in then["ratios"] for name in now)
    head = f"{len(found)} of {known} ratios are worse than noise explains (kept: {then['machine']})"
    return "\n".join([head, *(f"  worse: {line}" for line in found)])


if __name__ == "__main__":
    sys.exit(main())
