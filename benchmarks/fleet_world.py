"""A fleet and its server in virtual time: events in a heap, and the agent's own `Link` in every device."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Protocol

from agent.platform.answers import Meaning

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

NETWORK_S = 0.05
LONGEST_QUEUE_S = 1.0  # a server that has more than this before it answers 503 at once


class Heart:
    """The virtual clock, and what is due when."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[[int], None], int]] = []
        self._tickets = count()

    def at(self, when: float, act: Callable[[int], None], who: int) -> None:
        """Call `act(who)` at a time."""
        heapq.heappush(self._due, (when, next(self._tickets), act, who))

    def run(self, until: float) -> None:
        """Let time pass."""
        due = self._due
        while due and due[0][0] <= until:
            self.now, _, act, who = heapq.heappop(due)
            act(who)
        self.now = max(self.now, until)

    def boot(self) -> float:
        """Return the uptime."""
        return self.now

    def wall(self) -> datetime:
        """Return the wall time."""
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.now)

    def trusted(self) -> bool:
        """Tell whether the wall time is right."""
        return True


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the server does to a `share` of the requests between two times."""

    begins: float
    ends: float
    meaning: Meaning
    share: float = 1.0


class Server:
    """Bears `capacity` requests a second, queues a second's worth, and refuses what is beyond with 503."""

    def __init__(self, heart: Heart, capacity: float, troubles: tuple[Trouble, ...], rng: random.Random) -> None:
        self._heart = heart
        self._service_s = 1.0 / capacity
        self._troubles = troubles
        self._rng = rng
        self._free_at = 0.0
        self.offered: dict[int, int] = {}

    def request(self) -> tuple[Meaning, float]:
        """Return what becomes of a request that is sent now, and how long its answer takes."""
        now = self._heart.now
        self.offered[int(now)] = self.offered.get(int(now), 0) + 1
        for trouble in self._troubles:
            if trouble.begins <= now < trouble.ends and (trouble.share >= 1 or self._rng.random() < trouble.share):
                return trouble.meaning, NETWORK_S
        free_at = max(now, self._free_at)
        if free_at - now > max(LONGEST_QUEUE_S, self._service_s):
            return Meaning.BUSY, NETWORK_S
        self._free_at = free_at + self._service_s
        return Meaning.DELIVERED, self._free_at - now + NETWORK_S


class Policy(Protocol):
    """What a device asks before it sends, and tells afterwards; the agent's `Link`, or what others do."""

    def enter(self) -> float | None:
        """Return None where a request may be sent, else the seconds to wait; infinite: until rung for."""
        ...

    def leave(self) -> None:
        """Give the permit back unused."""
        ...

    def told(self, meaning: Meaning) -> None:
        """Hear what became of a request."""
        ...


class Device:
    """One agent: pictures come at even times, and each worker carries one at a time."""

    def __init__(self, heart: Heart, server: Server, *, every_s: float, phase_s: float, workers: int) -> None:
        self._heart = heart
        self._server = server
        self._every_s = every_s
        self._phase_s = phase_s
        self._parked: deque[int] = deque()
        self._under_way = 0
        self._denied = False
        self.caller = 0
        self.delivered = 0
        self.policy: Policy
        self._workers = workers

    def start(self, at: float) -> None:
        """Begin to carry."""
        for worker in range(self._workers):
            self._heart.at(at, self._step, worker)

    def ring(self) -> None:
        """Wake the workers that wait for the link."""
        while self._parked:
            self._heart.at(self._heart.now, self._step, self._parked.popleft())

    def captured(self, now: float) -> int:
        """Return how many pictures came up to now."""
        return max(0, int((now - self._phase_s) / self._every_s) + 1) if now >= self._phase_s else 0

    def _step(self, worker: int) -> None:
        self.caller = worker
        wait_s = self.policy.enter()
        if wait_s is not None:
            if wait_s == float("inf"):
                self._parked.append(worker)
            else:
                self._heart.at(self._heart.now + max(wait_s, 1e-6), self._step, worker)
            return
        now, taken = self._heart.now, self.delivered + self._under_way
        if not self._denied and self.captured(now) <= taken:
            self.policy.leave()
            self._heart.at(self._phase_s + taken * self._every_s + 1e-6, self._step, worker)
            return
        self._under_way += not self._denied
        meaning, answer_s = self._server.request()
        self._heart.at(now + answer_s, self._answered(meaning, probe=self._denied), worker)

    def _answered(self, meaning: Meaning, *, probe: bool) -> Callable[[int], None]:
        def act(worker: int) -> None:
            self.caller = worker
            self._under_way -= not probe
            self._denied = meaning is Meaning.DENIED
            if probe and not self._denied:
                # `GET /device/self` said yes: the permit is still held, and the next picture goes with it.
                self._under_way += 1
                answer, answer_s = self._server.request()
                self._heart.at(self._heart.now + answer_s, self._answered(answer, probe=False), worker)
                return
            self.delivered += meaning is Meaning.DELIVERED
            self.policy.told(meaning)
            self._step(worker)

        return act
