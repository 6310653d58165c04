"""A disk on which every flush takes as long as on an SD card, under a running agent, and what it still takes in."""

from __future__ import annotations

import re
import signal
import subprocess
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from house_rig import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from house_rig import Agent

FLUSH_S = 0.01


@contextmanager
def slow_flushes(agent: Agent, trace: Path) -> Iterator[None]:
    """Have every flush of a running agent take `FLUSH_S` longer."""
    calls = "fsync,fdatasync,syncfs"
    delay = f"inject={calls}:delay_enter={int(FLUSH_S * 1e6)}"
    line = ["strace", "-f", "-qq", "-o", str(trace), "-e", f"trace={calls}", "-e", delay, "-p", str(agent.pid)]
    tracer = subprocess.Popen(line)
    try:
        until(lambda: all(_tracer(task) == tracer.pid for task in Path(f"/proc/{agent.pid}/task").iterdir()))
        yield
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait()


def flushes(trace: Path) -> int:
    """Return how many flushes there were; every one was slowed down."""
    ended = [line for line in trace.read_text(encoding="utf-8").splitlines() if " = " in line]
    assert all("(DELAYED)" in line for line in ended), ended
    return len(ended)


def pictures_a_second(agent: Agent, source: str) -> float:
    """Return how fast a source's pictures became durable, by the agent's own log."""
    events = [event for event in agent.events("item_spooled") if event["source"] == source]
    moments = [datetime.fromisoformat(event["timestamp"]) for event in events]
    return (len(moments) - 1) / (moments[-1] - moments[0]).total_seconds()


def _tracer(task: Path) -> int:
    try:
        found = re.search(r"^TracerPid:\t(\d+)$", (task / "status").read_text(encoding="ascii"), re.MULTILINE)
    except FileNotFoundError:
        return -1
    return int(found[1]) if found else 0
