"""A fleet and its server in virtual time: events in a heap, and the agent's own `Link` in every device."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Protocol

from agent.platform.answers import Meaning

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

NETWORK_S = 0.05
NEVER = float("inf")
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

    shared: bool
    """Whether what one worker is told holds for all of them."""

    def enter(self) -> float | None:
        """Return None where a request may be sent, else the seconds to wait; infinite: until an answer came."""
        ...

    def probes(self) -> bool:
        """Tell whether the next request is the question whether the key is good again, without a picture."""
        ...

    def told(self, meaning: Meaning) -> None:
        """Hear what became of a request."""
        ...


class Device:
    """One agent: pictures come at even times, and each worker carries one at a time.

    What a worker that finds nothing to send would do is left out, and workers at rest are looked at together: after
    every answer, when the next picture is due, and when the wait is over that they were told.
    """

    __slots__ = (
        "_coming", "_every_s", "_heart", "_looks_at", "_phase_s", "_prober", "_resting", "_server", "_under_way",
        "caller", "delivered", "policy",
    )  # fmt: skip

    def __init__(self, heart: Heart, server: Server, *, every_s: float, phase_s: float, workers: int) -> None:
        self._heart = heart
        self._server = server
        self._every_s = every_s
        self._phase_s = phase_s
        self._resting = list(range(workers))
        self._coming = [Meaning.OFFLINE] * workers
        self._prober: int | None = None
        self._under_way = 0
        self._looks_at = NEVER
        self.caller = 0
        self.delivered = 0
        self.policy: Policy

    def start(self, at: float) -> None:
        """Begin to carry."""
        self._look_at(at)

    def ring(self) -> None:
        """Wake the workers that wait for the link: all that rest look after every answer anyway."""

    def captured(self, now: float) -> int:
        """Return how many pictures came up to now."""
        return max(0, int((now - self._phase_s) / self._every_s) + 1) if now >= self._phase_s else 0

    def _look_at(self, when: float) -> None:
        if when < self._looks_at:
            self._looks_at = when
            self._heart.at(when, self._look, 0)

    def _look(self, _: int) -> None:
        if self._heart.now == self._looks_at:  # else it was looked at earlier, and is due at another time
            self._looks_at = NEVER
            self._go_on()

    def _go_on(self) -> None:
        """Let those who rest send what they may."""
        now, policy = self._heart.now, self.policy
        for worker in tuple(self._resting):
            due = self._phase_s + (self.delivered + self._under_way) * self._every_s
            if due > now:
                self._look_at(due)
                return
            self.caller = worker
            wait_s = policy.enter()
            if wait_s is None:
                self._resting.remove(worker)
                self._send(worker)
                continue
            if wait_s != NEVER:
                self._look_at(now + max(wait_s, 1e-6))
            if policy.shared:
                return

    def _send(self, worker: int) -> None:
        if self.policy.probes():
            self._prober = worker
        self._under_way += 1
        self._request(worker)

    def _request(self, worker: int) -> None:
        meaning, answer_s = self._server.request()
        self._coming[worker] = meaning
        self._heart.at(self._heart.now + answer_s, self._answered, worker)

    def _answered(self, worker: int) -> None:
        meaning = self._coming[worker]
        self.caller = worker
        if self._prober == worker:
            self._prober = None
            if meaning is Meaning.DELIVERED:
                self._request(worker)  # `GET /device/self` said yes: with the same permit the next picture goes
                return
            meaning = Meaning.DENIED  # as `drain` has it: whatever else comes of the question is no yes
        self._under_way -= 1
        self.delivered += meaning is Meaning.DELIVERED
        self.policy.told(meaning)
        self._resting.append(worker)
        self._go_on()
