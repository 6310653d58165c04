from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import pytest
import traced
from structlog.testing import capture_logs
from traced import KILL, Fault

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

pytestmark = [
    pytest.mark.skipif(bool(traced.missing()), reason=traced.missing()),
    pytest.mark.timeout(150),
]

EACH = 3  # of the faults of each system call; `make torture` has all of them
SEED = 20260314
CONTROLS = [
    ("removes-first", "pwrite64", KILL, 51, "No such file|went before its receipt"),
    ("answers-first", "pwrite64", KILL, 31, "promised and lost"),
    ("fsync-errors-ignored", "fsync", "error=EIO", 5, "was not flushed, and yet it was put"),
    ("links-tried-again", "syncfs", "error=EIO", 1, "nothing was flushed, and yet"),
]


def sweep(root: Path, faults: Iterable[Fault], breakage: str = "") -> None:
    """Suffer one fault after the other, each on a spool of its own."""
    with capture_logs():
        for number, fault in enumerate(faults):
            traced.suffer(root / str(number), fault, breakage)


def test_i1_i2_i3_a_system_call_that_fails_or_kills_costs_nothing(tmp_path: Path) -> None:
    """Whichever fsync, write, rename, link or unlink fails, or is the last one ever, every promise is kept."""
    calls = traced.count_calls(tmp_path / "whole")
    assert calls.keys() >= {"fsync", "fdatasync", "syncfs", "pwrite64", "write", "linkat"}
    sweep(tmp_path, traced.sample(calls, random.Random(SEED), EACH))


def test_a_file_whose_flush_failed_is_written_anew(tmp_path: Path) -> None:
    """A second flush may succeed while the disk has old bytes, so a watched file is copied, not linked again."""
    scene = traced.Scene(tmp_path / "whole")
    _, _, trace = scene.run("-e", "trace=fsync")
    flushed = re.findall(r"^\d+ +fsync\(\d+<([^>]*)>", trace, re.MULTILINE)
    first = next(when for when, path in enumerate(flushed, 1) if "/items/000000/door-" in path)
    faults = (("fsync", "error=EIO", first), ("fsync", "error=ENOSPC", first), ("syncfs", "error=EIO", 1))
    sweep(tmp_path, [Fault(call, effect, str(when)) for call, effect, when in faults])


@pytest.mark.parametrize(("breakage", "call", "effect", "first", "complaint"), CONTROLS)
def test_the_sweep_fails_on_a_spool_broken_on_purpose(
    tmp_path: Path, breakage: str, call: str, effect: str, first: int, complaint: str
) -> None:
    """The same faults and the same oracle find each defect that they are there for."""
    with pytest.raises((AssertionError, FileNotFoundError), match=complaint):
        sweep(tmp_path, [Fault(call, effect, str(when)) for when in range(first, first + 100, 2)], breakage)
