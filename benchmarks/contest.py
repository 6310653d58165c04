"""One peer on one piece of work, checked to the last byte, and what that cost."""

from __future__ import annotations

import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents import SETTLE_S, AgentDaemon
from peer import HERE, Job
from usage import Contestant, Failed, Usage, calls_in, traced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opponent import Sink
    from peer import Peer

Figures = dict[str, float]
QUIET_S = 2.0
DOWN_S = 0.5
PATIENCE_S = 120.0
SLOWEST_S = 0.15  # a picture: what starts a program for each takes half of that, behind a link of 50 ms
STARTS = 3


@dataclass(frozen=True, slots=True)
class Work:
    """Pictures to send: a folder of them with their digests, and how many may be under way at once."""

    folder: Path
    digests: Mapping[str, str]
    size: int
    workers: int

    def few(self, count: int, place: Path) -> Work:
        """Return the first of them, linked into another folder."""
        names = sorted(self.digests)[:count]
        if not place.exists():
            place.mkdir()
            for name in names:
                (place / name).hardlink_to(self.folder / name)
        return replace(self, folder=place, digests={name: self.digests[name] for name in names})


class Arena:
    """A sink, and a fresh folder for each run in it; so many `starts` without work tell what a start costs."""

    def __init__(self, sink: Sink, place: Path, *, starts: int = STARTS) -> None:
        self.sink, self._place, self._starts = sink, place, starts

    def batch(self, peer: Peer, work: Work) -> Figures:
        """Let a peer send a folder of files; one that watches finds them copied there while it runs."""
        start = self._start_cpu(peer, work.workers)
        with self.job(work, watched=peer.watches) as job:
            if not peer.watches:
                usage = self._started(peer, job).result()
                came = self.sink.figures()
            else:
                usage, came, _ = self._watch(peer, job, work, 0.0)
        check(peer, work, came)
        count, took = len(work.digests), came["last"] - came["first"]
        return {
            "pictures_s": count / took,
            "mb_s": count * work.size / took / 1e6,
            "cpu_s_1000": max(0.0, usage.cpu_s - start) / count * 1e3,
            "start_cpu_s": start,
            "peak_mb": usage.peak_mb,
            "device_bytes": usage.written / (count * work.size),
            "sink_cpu": came["cpu"] / took,
        }

    def arrivals(self, peer: Peer, work: Work, per_second: float) -> Figures:
        """Let files come at a pace, and return how long after it was in place each one's first and last byte came."""
        start = self._start_cpu(peer, work.workers)
        with self.job(work, watched=True) as job:
            usage, came, placed = self._watch(peer, job, work, per_second)
        check(peer, work, came)
        # The agent waits until a file has settled, as it was told to.
        settled = SETTLE_S if isinstance(peer, AgentDaemon) else 0.0
        first, last = (
            [(came["seen"][work.digests[name]][at] - moment - settled) * 1e3 for name, moment in placed.items()]
            for at in (0, 1)
        )
        return {
            "first_p50_ms": statistics.median(first),
            "first_p99_ms": percentile(first, 99),
            "sent_p50_ms": statistics.median(last),
            "sent_p99_ms": percentile(last, 99),
            "cpu_s_1000": max(0.0, usage.cpu_s - start) / len(placed) * 1e3,
            "peak_mb": usage.peak_mb,
        }

    def flushes(self, peer: Peer, work: Work) -> float | None:
        """Return how often a peer flushes per picture, or None where nothing counts that here."""
        if shutil.which("strace") is None:
            return None
        with self.job(work, watched=False) as job:
            out = job.work / "calls"
            command = traced(peer.command(job), out)
            Contestant(command, job.work / "log", peer.environment()).result()
            check(peer, work, self.sink.figures())
            return sum(calls_in(out).values()) / len(work.digests)

    def killed(self, peer: Peer, work: Work, per_second: float) -> Figures:
        """Kill a peer in the middle, start it again as its user would; count what never came and what came twice."""
        with self.job(work, watched=peer.watches) as job:
            contestant = self._started(peer, job)
            producer = _producer(work.folder, job.folder, per_second) if peer.watches else None
            self.sink.await_count(len(work.digests) // 2, 60, contestant.alive)
            contestant.kill()
            time.sleep(DOWN_S)
            again = self._started(peer, job, "again")
            if producer is not None:
                producer.communicate()
                self.sink.await_quiet(QUIET_S, 60)
                again.end(peer.ends)
            again.result(sound=not peer.watches)
            came = self.sink.figures()
        return losses(peer, work, came)

    def _watch(
        self, peer: Peer, job: Job, work: Work, per_second: float
    ) -> tuple[Usage, dict[str, Any], dict[str, float]]:
        contestant = self._started(peer, job)
        producer = _producer(work.folder, job.folder, per_second)
        self.sink.await_count(len(work.digests), PATIENCE_S + SLOWEST_S * len(work.digests), contestant.alive)
        contestant.end(peer.ends)
        usage = contestant.result(sound=False)
        placed = json.loads(producer.communicate()[0])
        return usage, self.sink.figures(), placed

    def _started(self, peer: Peer, job: Job, log: str = "log") -> Contestant:
        contestant = Contestant(peer.command(job), job.work / log, peer.environment())
        if peer.watches:
            contestant.await_said(peer.ready)
        return contestant

    def _start_cpu(self, peer: Peer, workers: int) -> float:
        """Return the CPU seconds of a run without a picture: whoever runs for long pays them once.

        Anew for each turn: on cores that others use too they differ by half within minutes, as all else does.
        """
        took = []
        for _ in range(self._starts):
            with self.job(Work(Path(), {}, 0, workers), watched=True) as job:
                contestant = self._started(peer, job)
                if peer.watches:
                    contestant.end(peer.ends)
                took.append(contestant.result(sound=not peer.watches).cpu_s)
        return statistics.median(took) if took else 0.0

    def job(self, work: Work, *, watched: bool) -> Jobs:
        """Return a job to enter."""
        return Jobs(self._place, self.sink, work, watched=watched)


class Jobs:
    """A job in a folder of its own, which goes when the job is done."""

    def __init__(self, place: Path, sink: Sink, work: Work, *, watched: bool) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=place, prefix="run")
        own = Path(self._folder.name)
        (own / "captures").mkdir()
        manifest = own / "manifest.json"
        manifest.write_text(json.dumps(dict(work.digests)))
        folder = own / "captures" if watched else work.folder
        self._job = Job(sink.url, folder, own, work.workers, sink.ca, manifest)

    def __enter__(self) -> Job:
        return self._job

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


def _producer(source: Path, target: Path, per_second: float) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / "pictures.py"), str(source), str(target), str(per_second)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def percentile(values: list[float], share: float) -> float:
    """Return the least value that this share of them, in percent, does not exceed."""
    return sorted(values)[math.ceil(len(values) * share / 100) - 1]


def losses(peer: Peer, work: Work, came: Mapping[str, Any]) -> Figures:
    """Return how many pictures never came and how many came again; a byte that is not the picture's is a failure."""
    wanted, got = set(work.digests.values()), set(came["seen"])
    if got - wanted:
        raise Failed(f"{peer.name}: {len(got - wanted)} pictures came that are none of those sent")
    return {"lost": len(wanted - got), "twice": came["count"] - len(got)}


def check(peer: Peer, work: Work, came: Mapping[str, Any]) -> None:
    """Fail unless each picture came once, whole."""
    found = losses(peer, work, came)
    if any(found.values()):
        raise Failed(f"{peer.name}: of {len(work.digests)} pictures {found['lost']} never came, {found['twice']} twice")
