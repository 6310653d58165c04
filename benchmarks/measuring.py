"""The whole matrix: every peer on every piece of work, in turn, several rounds."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from agents import AgentClient
from contest import Arena, Work
from opponent import Authority, Sink
from peer import HERE
from peers import BATCH, WATCHING
from pictures import make_pictures
from workloads import FLUSHES, LOSSES, Workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from contest import Figures
    from peer import Peer

BLAST_S = 0.5


@dataclass
class Measured:
    """The figures of every round: by piece of work, peer and figure; and of what is measured once, by peer.

    `missing` has why a peer cannot run here, `absent` who of them would have done a piece of work.
    """

    rounds: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    ceilings: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    absent: dict[str, list[str]] = field(default_factory=dict)
    durability: dict[str, Figures] = field(default_factory=dict)

    def series(self, key: str, peer: str, figure: str) -> list[float]:
        """Return a figure of every round, or nothing where that was not measured."""
        return [one[figure] for one in self.rounds.get(key, {}).get(peer, []) if figure in one]


class Measuring:
    """Does the work in a folder, and remembers what came of it."""

    def __init__(self, place: Path, rounds: int) -> None:
        self.measured = Measured()
        self._place, self._rounds = place, rounds
        self._authority = Authority.made(place)
        self._pictures: dict[int, tuple[Path, dict[str, str]]] = {}
        for peer in (*BATCH, *WATCHING):
            if reason := peer.missing():
                self.measured.missing[peer.name] = reason

    def run(self, workload: Workload, peers: Sequence[Peer]) -> None:
        """Interleave the contestants, so that a drift of the machine meets all alike; slow ones have one turn."""
        whole = self._work(workload)
        found = self.measured.rounds.setdefault(workload.key, {})
        self.measured.titles[workload.key] = workload.title
        self.measured.absent[workload.key] = [peer.name for peer in peers if peer.name in self.measured.missing]
        with self._arena(workload) as arena:
            self.measured.ceilings[workload.key] = _ceiling(arena.sink, workload)
            for turn in range(self._rounds):
                for peer in self._present(peers):
                    if turn and peer.most:
                        continue
                    bound = workload.count if peer.parallel else workload.few
                    work = self._bounded(whole, min(bound, peer.most or workload.count))
                    began = time.monotonic()
                    if workload.per_second:
                        figures = arena.arrivals(peer, whole, workload.per_second)
                    else:
                        figures = arena.batch(peer, work)
                    found.setdefault(peer.name, []).append(figures)
                    _tell(f"{workload.key}: {peer.name}, {time.monotonic() - began:.1f} s")

    def durability(self, count: int) -> None:
        """Count flushes, and what is lost by a kill."""
        flushing, losing = self._work(FLUSHES), self._work(LOSSES)
        flushing, losing = self._bounded(flushing, count), self._bounded(losing, min(count, LOSSES.count))
        peers = {peer.name: peer for peer in chain(BATCH, WATCHING) if not isinstance(peer, AgentClient)}
        present = list(self._present(list(peers.values())))
        with self._arena(FLUSHES) as arena:
            for peer in present:
                flushes = None if peer.watches else arena.flushes(peer, flushing)
                if flushes is not None:
                    self.measured.durability.setdefault(peer.name, {})["flushes"] = flushes
        with self._arena(LOSSES) as arena:
            for peer in present:
                found = arena.killed(peer, losing, LOSSES.per_second)
                self.measured.durability.setdefault(peer.name, {}).update(found)
                _tell(f"killed: {peer.name}")

    def _present(self, peers: Sequence[Peer]) -> Iterator[Peer]:
        return (peer for peer in peers if peer.name not in self.measured.missing)

    def _work(self, workload: Workload) -> Work:
        """Return the pictures for a piece of work; those of one size are made once, as many as the largest needs."""
        folder, digests = self._pictures.get(workload.size, (self._place / "none", {}))
        if len(digests) < workload.count:
            folder = self._place / f"{workload.size}-{workload.count}"
            digests = make_pictures(folder, workload.count, workload.size)
            self._pictures[workload.size] = folder, digests
        return self._bounded(Work(folder, digests, workload.size, workload.workers), workload.count)

    def _bounded(self, work: Work, count: int) -> Work:
        if count >= len(work.digests):
            return work
        place = self._place / f"{work.folder.name}-first{count}"
        return work.few(count, place)

    @contextmanager
    def _arena(self, workload: Workload) -> Iterator[Arena]:
        with Sink(workload.delay_ms / 1e3, self._authority if workload.tls else None) as sink:
            yield Arena(sink, self._place)


def _ceiling(sink: Sink, workload: Workload) -> float:
    """Return how many such pictures a second the sink takes from a sender that does nothing else, the better of two."""
    numbers = map(str, (workload.size, workload.workers, BLAST_S))
    command = [sys.executable, str(HERE / "blaster.py"), sink.url, *numbers, *([str(sink.ca)] if sink.ca else [])]
    said = [subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout for _ in range(2)]
    sink.figures()
    return max(map(float, said))


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
