"""Where the processor time of a picture goes: by the agent's threads and children, which the kernel counts apart."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from agents import Agent
from contest import check
from usage import Contestant, family

if TYPE_CHECKING:
    from contest import Arena, Work

EVERY_S = 0.01
SHARES = {
    "watch": "taken in",
    "ahead": "read and hashed ahead, by the child",
    "upload": "sent",
    "receipts": "receipts",
}
REST = "the rest, the start left out"
START = "all else"


def shares(arena: Arena, work: Work) -> dict[str, float]:
    """Return the milliseconds that a picture takes in each part of the agent; of the rest, without a run's start."""
    many, none = (_by_part(arena, one) for one in (work, work.few(0, work.folder.with_name("none"))))
    count = len(work.digests)
    found = {text: many.get(part, 0.0) / count * 1e3 for part, text in SHARES.items()}
    found[REST] = max(0.0, many.get(START, 0.0) - none.get(START, 0.0)) / count * 1e3
    return {f"CPU of a picture, ms: {text}": value for text, value in found.items()}


def _by_part(arena: Arena, work: Work) -> dict[str, float]:
    """Run the agent over a folder, and return the seconds of each part up to a hundredth before its end."""
    peer = Agent()
    tasks: dict[str, tuple[str, float]] = {}
    with arena.job(work, watched=False) as job:
        contestant = Contestant(peer.command(job), job.work / "log", peer.environment())
        while contestant.alive():
            tasks |= _tasks(contestant.process.pid)
            time.sleep(EVERY_S)
        contestant.result()
        check(peer, work, arena.sink.figures())
    found: dict[str, float] = {}
    for part, seconds in tasks.values():
        found[part] = found.get(part, 0.0) + seconds
    return found


def _tasks(pid: int) -> dict[str, tuple[str, float]]:
    """Return of each living thread what it is a part of, and the seconds that it has used."""
    found = {}
    for process in family(pid):
        for task in Path(f"/proc/{process}/task").glob("*"):
            with suppress(OSError):
                name = (task / "comm").read_text().strip() if process == pid else "ahead"
                part = next((part for part in SHARES if name.startswith(part)), START)
                found[str(task)] = part, int((task / "schedstat").read_text().split()[0]) / 1e9
    return found
