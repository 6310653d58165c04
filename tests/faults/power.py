"""A driver on a disk whose power is cut at a random moment, and what the disk then holds of its promises."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from spool_driver import WATCHED, picture
from traced import DRIVER
from verdict import Listener, judge, originals

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from loop_disk import LoopDisk

LINES = 150  # of the driver, after which the power is cut at the latest: about a second
TRIES = 4
DURABLE = 60  # watched files that were there, and flushed, before the driver came


class NotCut(AssertionError):
    """The fault did not fire: what nobody flushed is still there."""


def cut(disk: LoopDisk, root: Path, rng: random.Random, breakage: str = "") -> int:
    """Cut the power, and once more, `TRIES` times at most, where the driver's own flush saved the witness in time.

    Then the cut took nothing with it, and says nothing.
    """
    for _ in range(TRIES - 1):
        with suppress(NotCut):
            return _cut_once(disk, root, rng, breakage)
        shutil.rmtree(root)
    return _cut_once(disk, root, rng, breakage)


def _cut_once(disk: LoopDisk, root: Path, rng: random.Random, breakage: str = "") -> int:
    """Cut the power under a working driver and judge what is left; return how many promises it had made.

    The disk stays mounted and `root` on it is removed.
    """
    (root / WATCHED).mkdir(parents=True)
    for number in range(0, DURABLE, 2):
        (root / WATCHED / f"{number}.jpg").write_bytes(picture(number))
    disk.flush()
    before = originals(root)
    ours, theirs = socket.socketpair()
    line = [sys.executable, "-B", str(DRIVER), str(root), str(theirs.fileno()), "--breakage", breakage, "--warm-up"]
    with ours:
        with theirs:
            # What it says of a disk that is gone is no news.
            child = subprocess.Popen(line, pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL)
        try:
            listener = Listener(ours)
            listener.hear(rng.randrange(1, LINES))
            witness = root / "witness"
            witness.write_bytes(os.urandom(50_000))
            disk.cut()
        finally:
            child.kill()
            child.wait()
            disk.unmount()
            disk.mount()
        told = listener.hear()
    assert told.ready, "the driver did not come to work"
    if witness.exists() and witness.stat().st_size > 0:
        raise NotCut(f"{witness} survived")
    judge(root, told, before)
    shutil.rmtree(root)
    return listener.lines
