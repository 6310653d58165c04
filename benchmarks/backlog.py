"""A spool in which much waits, and how soon the agent sends the first of it after a start.

Only the first picture is put as the agent does it; the others are rows like its own and links to its file.
"""

from __future__ import annotations

import errno
import re
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agents import Agent
from contest import Work
from usage import Contestant

from agent.clock import SystemClock
from agent.spool.budget import Limits
from agent.spool.records import ITEM_COLUMNS, Draft
from agent.spool.schema import INDEX
from agent.spool.spool import Spool

if TYPE_CHECKING:
    from contest import Arena

METADATA = '{"source":"bench","timestamp":"2026-03-14T08:15:02.417Z"}'
TAKEN = datetime(2026, 3, 14, 8, 15, 2, 417000, tzinfo=UTC)
BATCH = 20_000
UPLOAD_S = 60.0
QUIET_S = 0.6


def fill(directory: Path, data: bytes, count: int) -> None:
    """Make a spool in which so many pictures wait."""
    limits = Limits(max_bytes=10**13, min_free_bytes=0, max_items=2 * count)
    with Spool(directory, limits, clock=SystemClock(), owner=True) as spool:
        draft = Draft.of_bytes(data, source="bench", captured_at=TAKEN, media_type="image/jpeg", metadata=METADATA)
        first = spool.inbox.stage(draft)
        spool.inbox.commit([first])
    seed = directory.with_suffix(".seed")
    seed.write_bytes(data)
    with closing(sqlite3.connect(directory / INDEX)) as index:
        columns = [name for name in ITEM_COLUMNS.split(", ") if name not in {"id", "filename", "path"}]
        kept = ", ".join(columns)
        insert = f"INSERT INTO item(id, filename, path, {kept}) SELECT ?, ?, ?, {kept} FROM item WHERE id = ?"  # noqa: S608 (our own names)
        for start in range(1, count, BATCH):
            rows = []
            for number in range(start, min(count, start + BATCH)):
                sequence = first.id + number
                filename = re.sub(r"-\d+\.jpg$", f"-{sequence}.jpg", first.filename)
                path = directory / "items" / f"{sequence // 1000:06d}" / filename
                _link(seed, path, data)
                rows.append((sequence, filename, str(path.relative_to(directory)).encode(), first.id))
            index.executemany(insert, rows)
            index.commit()
        added = count - 1
        index.execute("UPDATE tally SET items = items + ?, bytes = bytes + ?", (added, added * len(data)))
        index.execute("UPDATE meta SET value = ? WHERE key = 'next_sequence'", (str(first.id + count + 1000),))
        index.commit()


def _link(seed: Path, path: Path, data: bytes) -> None:
    """Give a file another name; where it has as many as a file may have, begin with a new one."""
    path.parent.mkdir(exist_ok=True)
    try:
        path.hardlink_to(seed)
    except OSError as error:
        if error.errno != errno.EMLINK:
            raise
        seed.unlink()
        seed.write_bytes(data)
        path.hardlink_to(seed)


class AgentRestarted(Agent):
    """The agent where something waits already; nothing comes."""

    name = "the agent, started again"
    watches = True
    ready = '"started"'

    def __init__(self, count: int) -> None:
        self._count = count

    def more(self) -> str:
        """Let the spool be as large as it is."""
        return f"max_items = {2 * self._count + 1000}\nmax_bytes = {10**13}\n"


def restart(arena: Arena, data: bytes, count: int) -> dict[str, float]:
    """Return seconds from the start to the first upload, and the memory then and at most until a second later."""
    peer = AgentRestarted(count)
    with arena.job(Work(Path(), {}, 0, workers=2), watched=True) as job:
        fill(job.work / "spool", data, count)
        command = [word for word in peer.command(job) if word != "--once"]
        began = time.monotonic()
        contestant = Contestant(command, job.work / "log", peer.environment())
        try:
            arena.sink.await_count(1, UPLOAD_S, contestant.alive)
            time.sleep(1.0)
            status = Path(f"/proc/{contestant.process.pid}/status").read_text(encoding="ascii")
        finally:
            contestant.kill()
        arena.sink.await_quiet(QUIET_S, UPLOAD_S)  # what was under way then is answered only now, and is nobody else's
        first = arena.sink.figures()["first"]
    found = dict(re.findall(r"^(VmHWM|VmRSS):\s+(\d+) kB$", status, re.MULTILINE))
    return {"first_s": first - began, "rss_mb": int(found["VmRSS"]) / 1e3, "peak_mb": int(found["VmHWM"]) / 1e3}
