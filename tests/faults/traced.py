"""A driver under strace: one chosen system call fails, or kills it; and the proof that it did."""

from __future__ import annotations

import math
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from spool_driver import ANOTHER, WATCHED, picture
from verdict import Listener, judge, originals

from agent.spool.filenames import parse_filename

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

    from verdict import Told

DRIVER = Path(__file__).with_name("spool_driver.py")
CALLS = (
    *("fsync", "fdatasync", "syncfs", "write", "pwrite64", "ftruncate", "mkdir", "mkdirat"),
    *("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat"),
)
KILL = "signal=SIGKILL"
FAULTS = ("error=EIO", "error=ENOSPC", "error=EDQUOT", "error=EROFS", KILL)
ROUNDS = 7


@cache
def missing() -> str:
    """Say why nothing can be traced here; empty where it can."""
    if shutil.which("strace") is None:
        return "needs strace"
    tried = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "needs the right to trace processes"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: which system call, what becomes of it, and which one from the first on."""

    call: str
    effect: str
    when: str

    def __str__(self) -> str:
        return f"{self.call}:{self.effect}:when={self.when}"


class Scene:
    """A folder with watched files, and a driver that works on it."""

    def __init__(self, root: Path, breakage: str = "") -> None:
        self.root = root
        self._breakage = breakage
        (root / WATCHED).mkdir(parents=True)
        for number in (*range(ROUNDS), *range(ANOTHER, ANOTHER + ROUNDS)):
            (root / WATCHED / f"{number}.jpg").write_bytes(picture(number))
            if number % 2:
                (root / WATCHED / f"{number}.txt").write_text("0 0.5 0.5 0.1 0.1\n", encoding="ascii")
        self.before = originals(root)

    def run(self, *options: str) -> tuple[Told, int, str]:
        """Run the driver under strace; return what it told, how it ended, and the trace."""
        ours, theirs = socket.socketpair()
        trace = self.root / "trace"
        line = ["strace", "-f", "-qq", "-y", "-o", str(trace), *options, sys.executable, "-B", str(DRIVER)]
        line += [str(self.root), str(theirs.fileno()), "--rounds", str(ROUNDS), "--breakage", self._breakage]
        with ours, (self.root / "said").open("wb") as said:
            with theirs:
                child = subprocess.Popen(line, pass_fds=[theirs.fileno()], stdout=said, stderr=said)
            told = Listener(ours).hear()
            ended = child.wait()
        return told, ended, trace.read_text(encoding="utf-8", errors="replace")

    def said(self) -> str:
        """Return what the driver printed."""
        return (self.root / "said").read_text(encoding="utf-8", errors="replace")


def count_calls(root: Path) -> Counter[str]:
    """Run the driver without a fault, and count what it asks of the file system."""
    scene = Scene(root)
    told, ended, trace = scene.run("-e", f"trace={','.join('?' + call for call in CALLS)}")
    assert ended == 0, scene.said()
    judge(root, told, scene.before)
    return Counter(re.findall(r"^\d+ +(\w+)\(", trace, re.MULTILINE))


def all_faults(calls: Counter[str]) -> Iterator[Fault]:
    """Yield every fault of every call; and from every fifth write on, a disk that stays full."""
    for call, number in sorted(calls.items()):
        for when in range(1, number + 1):
            yield from (Fault(call, effect, str(when)) for effect in FAULTS)
            if when % 5 == 0:
                yield Fault(call, "error=ENOSPC", f"{when}+")


def sample(calls: Counter[str], rng: random.Random, each: int) -> list[Fault]:
    """Choose a few faults of every call."""
    by_call: dict[str, list[Fault]] = {}
    for fault in all_faults(calls):
        by_call.setdefault(fault.call, []).append(fault)
    return [fault for faults in by_call.values() for fault in rng.sample(faults, min(each, len(faults)))]


def suffer(root: Path, fault: Fault, breakage: str = "") -> None:
    """Run the driver into a fault, prove that it fired, and judge what is left."""
    scene = Scene(root, breakage)
    told, ended, trace = scene.run("-e", f"trace={fault.call}", "-e", f"inject={fault}")
    if fault.effect == KILL:
        assert ended == -9, f"{fault} did not fire: {scene.said()}"
    else:
        assert "(INJECTED)" in trace, f"{fault} did not fire"
        assert ended == 0, scene.said()
    judge(root, told, scene.before)
    _check_flushes(told, trace)


def _check_flushes(told: Told, trace: str) -> None:
    """Hold that no item lies in a file whose flush failed: the next flush may succeed while the disk has old bytes."""
    for name in re.findall(r"fsync\(\d+<[^>]*/([^/>]+)>\).*\(INJECTED\)", trace):
        assert name not in told.put, f"{name} was not flushed, and yet it was put"
        condemned = told.staged.get(name)
        linked = [put for put, (_, inode) in told.put.items() if condemned and inode == condemned]
        assert not linked, f"{name} was not flushed, and yet its file was put by a link: {linked}"

    if re.search(r"syncfs\(.*\(INJECTED\)", trace):
        # An inode that was freed names another file later on, so only what was put afterwards counts.
        given_up = {inode: _sequence(name) for name, inode in told.staged.items() if inode and name not in told.put}
        linked = [name for name, (_, inode) in told.put.items() if given_up.get(inode, math.inf) < _sequence(name)]
        assert not linked, f"nothing was flushed, and yet their files were put by links: {linked}"


def _sequence(name: str) -> int:
    parsed = parse_filename(name)
    assert parsed
    return parsed[2]
