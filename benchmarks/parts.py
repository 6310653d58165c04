"""What the parts of an upload cost: encoding, the spool, system calls; and how the agent rests."""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
from agents import Agent, AgentClient, AgentDaemon
from backlog import METADATA, TAKEN
from contest import Work, check, percentile
from usage import Contestant, calls_in, traced

from agent.clock import SystemClock
from agent.frame import Receipt
from agent.sandbox.scene import draw
from agent.spool.budget import Limits
from agent.spool.records import Draft
from agent.spool.spool import Spool

if TYPE_CHECKING:
    from contest import Arena
    from peer import Peer

QUALITY = 90
SETTLED_S = 13.0  # it rests longer once nothing has moved for ten
REST_S = 10.0


def encoding(rounds: int) -> dict[str, float]:
    """Return the milliseconds of one core that a JPEG takes."""
    found = {}
    cv2.setNumThreads(1)
    for name, width, height in (("1080p", 1920, 1080), ("4K", 3840, 2160)):
        pixels, _ = draw(40, width, height)
        took = []
        for _ in range(rounds):
            began = time.thread_time()
            cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            took.append((time.thread_time() - began) * 1e3)
        found[f"encode {name}, ms of CPU"] = statistics.median(took)
    return found


def spooling(place: Path, picture: bytes, count: int) -> dict[str, float]:
    """Return how long one picture takes to become durable, and how long a receipt does, one after another."""
    put, delivered = [], []
    with Spool(place, Limits(10**12, 0), clock=SystemClock(), owner=True) as spool:
        for number in range(count):
            data = picture + number.to_bytes(4, "big")
            draft = Draft.of_bytes(data, source="bench", captured_at=TAKEN, media_type="image/jpeg", metadata=METADATA)
            began = time.perf_counter()
            spool.inbox.commit([spool.inbox.stage(draft)])
            put.append((time.perf_counter() - began) * 1e3)
        for _ in range(count):
            began = time.perf_counter()
            item = spool.outbox.claim()
            assert item is not None
            spool.outbox.deliver(item, Receipt(item.id, "delivered"))
            delivered.append((time.perf_counter() - began) * 1e3)
    return {
        f"{what} a picture, ms, {name}": percentile(took, share)
        for what, took in (("put", put), ("deliver", delivered))
        for name, share in (("p50", 50), ("p99", 99))
    }


def calls(arena: Arena, work: Work) -> dict[str, float]:
    """Return the system calls per upload, less those of a run without a picture; and the commonest ones."""
    found = {}
    for peer in (AgentClient(), Agent()):
        many, none = (_calls(arena, peer, one) for one in (work, work.few(0, work.folder.with_name("nothing"))))
        each = {name: (count - none.get(name, 0)) / len(work.digests) for name, count in many.items()}
        found[f"system calls an upload, {peer.name}"] = sum(each.values())
        for name, count in sorted(each.items(), key=lambda pair: -pair[1])[:6]:
            found[f"of them {name}, {peer.name}"] = count
    return found


def _calls(arena: Arena, peer: Peer, work: Work) -> dict[str, int]:
    with arena.job(work, watched=False) as job:
        out = job.work / "calls"
        Contestant(traced(peer.command(job), out, ""), job.work / "log", peer.environment()).result()
        arena.sink.figures()
        return calls_in(out)


def slow_disk(arena: Arena, work: Work) -> dict[str, float]:
    """Return how many pictures a second come through where every flush takes 10 ms longer, as on an SD card.

    From the start to the end, less what a run without a picture takes on that disk.
    """
    many, none = (_slowed_s(arena, one) for one in (work, work.few(0, work.folder.with_name("nothing"))))
    return {"pictures/s, each flush 10 ms longer": len(work.digests) / (many - none)}


def _slowed_s(arena: Arena, work: Work) -> float:
    flushes = "fsync,fdatasync,syncfs"
    delay = ["-e", f"trace={flushes}", "-e", f"inject={flushes}:delay_enter=10000"]
    peer = Agent()
    with arena.job(work, watched=False) as job:
        command = ["strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", *delay, *peer.command(job)]
        began = time.monotonic()
        Contestant(command, job.work / "log", peer.environment()).result()
        took = time.monotonic() - began
        check(peer, work, arena.sink.figures())
        return took


def rest(arena: Arena, work: Work) -> dict[str, float]:
    """Return what the daemon does when nothing is to do."""
    peer = AgentDaemon()
    with arena.job(work, watched=True) as job:
        contestant = Contestant(peer.command(job), job.work / "log", peer.environment())
        contestant.await_said(peer.ready)
        time.sleep(SETTLED_S)
        pid = contestant.process.pid
        before = _switches(pid), _cpu_s(pid)
        time.sleep(REST_S)
        woken, used = _switches(pid) - before[0], _cpu_s(pid) - before[1]
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        contestant.end()
        contestant.result()
    kilobytes = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert kilobytes
    return {
        "idle: wake-ups/s": woken / REST_S,
        "idle: CPU, ms/s": used / REST_S * 1e3,
        "idle: memory, MB": int(kilobytes[1]) / 1e3,
    }


def _switches(pid: int) -> int:
    """Return how often a process's threads went to sleep; that others interrupted them is not their doing."""
    tasks = Path(f"/proc/{pid}/task").glob("*/status")
    count = re.compile(r"^voluntary_ctxt_switches:\s+(\d+)", re.MULTILINE)
    return sum(int(number) for task in tasks for number in count.findall(task.read_text(encoding="ascii")))


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9
