from __future__ import annotations

import random
from typing import TYPE_CHECKING

import loop_disk
import power
import pytest
from structlog.testing import capture_logs

if TYPE_CHECKING:
    from pathlib import Path

    from loop_disk import LoopDisk

pytestmark = pytest.mark.timeout(150)

CUTS = 6  # of each file system; `make torture` has fifty
CONTROL_CUTS = 12
SEED = 20260314

on_each_disk = pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            kind, marks=pytest.mark.skipif(bool(loop_disk.missing(kind)), reason=f"{kind}: {loop_disk.missing(kind)}")
        )
        for kind in loop_disk.KINDS
    ],
)


def cut(disk: LoopDisk, times: int, breakage: str = "") -> list[int]:
    """Cut the power so often, at moments that a seed decides; return how many promises were made before each cut."""
    rng = random.Random(SEED)
    return [power.cut(disk, disk.point / str(number), rng, breakage) for number in range(times)]


@on_each_disk
def test_i1_i2_i3_a_power_cut_takes_nothing_that_was_promised(tmp_path: Path, kind: str) -> None:
    """On a real file system whose power is cut at random moments, every acknowledged picture has its bytes."""
    with loop_disk.loop_disk(kind, tmp_path) as disk, capture_logs():
        promises = cut(disk, CUTS)
    assert max(promises) > 30, "hardly anything was promised"


@on_each_disk
@pytest.mark.parametrize(
    ("breakage", "complaint"),
    [
        ("no-file-fsync", "does not hold its bytes|No such file"),
        ("no-directory-fsync", "No such file"),
        ("no-syncfs", "does not hold its bytes|No such file"),
        ("synchronous-normal", "promised and lost|receipts lost|was damaged|No such file"),
        ("synchronous-off", "promised and lost|receipts lost|was damaged|No such file"),
    ],
)
def test_the_power_cut_finds_what_is_not_flushed(tmp_path: Path, kind: str, breakage: str, complaint: str) -> None:
    """The same cuts and the same oracle fail where one flush is left out, whichever it is."""
    with loop_disk.loop_disk(kind, tmp_path) as disk, capture_logs():
        with pytest.raises((AssertionError, FileNotFoundError), match=complaint):
            cut(disk, CONTROL_CUTS, breakage)
