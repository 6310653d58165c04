"""The long form of the fault tests: minutes of everything at once, every system call, fifty power cuts a file system.

    python tests/faults/torture.py [--minutes 3] [--seed 1] [--only house|sweep|cuts]

Prints one table; ends with 1 where anything was lost or damaged. The same seed makes the same choices; where a kill
falls is up to the machine.
"""

from __future__ import annotations

import logging
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "spool"))

import click
import loop_disk
import power
import structlog
import traced
from torture_books import Audit, audit
from torture_house import TortureHouse

from agent.errors import AgentError

Rows = list[tuple[str, object]]
CUTS = 50
AT_ONCE = 2
SHOWN = 20
PARTS = ("house", "sweep", "cuts")


def house(root: Path, rng: random.Random, minutes: float, broken: list[str]) -> Rows:
    """Torture a whole agent, heal it, drain it, and hold it to account."""
    with loop_disk.own_mounts_if_root(), TortureHouse(root, rng) as torture:
        torture.run(60 * minutes)
        torture.heal()
        found = audit(torture.house, torture.feed)
        broken += found.lost + found.damaged
        faults = torture.faults + torture.link_faults()
        rows: Rows = [(f"  {name}", number) for name, number in sorted(faults.items())]
        return [("faults injected", faults.total()), *rows, *_restarts(torture), *_fates(found)]


def _restarts(torture: TortureHouse) -> Rows:
    return [
        ("agent started", len(torture.ready_s)),
        ("agent ended by itself", len(torture.died)),
        ("seconds to ready, median", f"{statistics.median(torture.ready_s):.2f}"),
        ("seconds to ready, longest", f"{max(torture.ready_s):.2f}"),
    ]


def _fates(found: Audit) -> Rows:
    return [
        ("items in", found.captured),
        ("delivered", found.delivered),
        ("  of these known to the platform already", found.duplicates),
        ("quarantined", found.quarantined),
        *((f"dropped: {reason}", number) for reason, number in sorted(found.dropped.items())),
        ("files owed", found.owed),
        ("lost", len(found.lost)),
        ("damaged", len(found.damaged)),
    ]


def sweep(root: Path, broken: list[str]) -> Rows:
    """Fail and kill at every system call there is."""
    if traced.missing():
        return [("system calls failed or killed at", f"skipped: {traced.missing()}")]
    faults = list(traced.all_faults(traced.count_calls(root / "whole")))

    def suffer(number: int) -> None:
        try:
            traced.suffer(root / str(number), faults[number])
        except (AssertionError, OSError, AgentError) as error:
            broken.append(f"{faults[number]}: {error}")
        else:
            shutil.rmtree(root / str(number))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(suffer, range(len(faults))))
    counted = Counter(f"  {fault.call}" for fault in faults)
    return [("system calls failed or killed at", len(faults)), *sorted(counted.items())]


def cuts(root: Path, rng: random.Random, kind: str, broken: list[str]) -> Rows:
    """Cut the power of a file system again and again."""
    if loop_disk.missing(kind):
        return [(f"power cuts on {kind}", f"skipped: {loop_disk.missing(kind)}")]
    promises = 0
    with loop_disk.loop_disk(kind, root / kind) as disk:
        for number in range(CUTS):
            try:
                promises += power.cut(disk, disk.point / str(number), rng)
            except (AssertionError, OSError, AgentError) as error:
                broken.append(f"power cut {number} on {kind}: {error}")
    return [(f"power cuts on {kind}", CUTS), ("  promises made before them", promises)]


@click.command(help=__doc__)
@click.option("--minutes", default=3.0, show_default=True, help="How long the whole agent is tortured.")
@click.option("--seed", default=1, show_default=True)
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Parts to run; all of them by default.")
def main(minutes: float, seed: int, only: tuple[str, ...]) -> None:
    """Run the parts, and print the table."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    parts = only or PARTS
    broken: list[str] = []
    rows: Rows = [("seed", seed)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        root = Path(name)
        if "house" in parts:
            rows += house(root, random.Random(seed), minutes, broken)
        if "sweep" in parts:
            rows += sweep(root / "sweep", broken)
        if "cuts" in parts:
            for kind in loop_disk.KINDS:
                rows += cuts(root, random.Random(seed), kind, broken)
    rows += [("broken promises", len(broken)), ("seconds", round(time.monotonic() - began))]
    width = max(len(label) for label, _ in rows)
    for label, value in rows:
        click.echo(f"{label:<{width}}  {value}")
    for line in broken[:SHOWN]:
        click.echo(line, err=True)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
