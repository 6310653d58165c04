"""The two levels of retry at work: whole days of trouble in virtual time, with no I/O and no sleep."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.platform.answers import Meaning
from agent.retry import (
    ATTEMPTS,
    SETTLED,
    Absolve,
    Defer,
    Deliver,
    LinkState,
    Quarantine,
    Release,
    Shrink,
    after,
    decide,
)

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3600.0
UPLOAD_S = 0.2
GOOD = Meaning.DELIVERED


@dataclass
class Waiting:
    """An item as the spool keeps it."""

    due: float = 0.0
    attempts: int = 0
    reencoded: bool = False


@dataclass
class World:
    """One uploader, a queue that behaves like the outbox, and a server that is a function of item and time."""

    server: Callable[[int, float], Meaning]
    waiting: dict[int, Waiting]
    seed: int = 0
    now: float = 0.0
    link: LinkState = field(default_factory=LinkState)
    quarantined: dict[int, Waiting] = field(default_factory=dict)
    delivered: dict[int, float] = field(default_factory=dict)
    tries: list[tuple[float, int, Meaning]] = field(default_factory=list)

    def run(self, until: float) -> World:
        """Let time pass."""
        rng = random.Random(self.seed)
        while self.waiting and self.now < until:
            if self.now < self.link.open_at:
                self.now = self.link.open_at
            elif (item_id := self.pick()) is None:
                self.now = min(item.due for item in self.waiting.values())
            else:
                self.attempt(item_id, rng)
            assert len(self.tries) < 20_000, "a tight loop"
        return self

    def pick(self) -> int | None:
        """Choose as `Outbox.claim` does: what is due, then the oldest; from the other end while in doubt."""
        due = sorted((item.due, item_id) for item_id, item in self.waiting.items() if 0 < item.due <= self.now)
        ready = sorted(item_id for item_id, item in self.waiting.items() if item.due == 0)
        order = [*reversed(ready), *(key for _, key in due)] if self.link.doubtful else [*(k for _, k in due), *ready]
        return order[0] if order else None

    def attempt(self, item_id: int, rng: random.Random) -> None:
        """Send one item and do what is decided."""
        item = self.waiting[item_id]
        self.now += UPLOAD_S
        meaning = self.server(item_id, self.now)
        self.tries.append((self.now, item_id, meaning))
        self.link = after(self.link, meaning, "why", item_id=item_id, now=self.now, rng=rng)
        may_shrink = not item.reencoded
        match decide(meaning, "why", self.link, attempts=item.attempts, may_shrink=may_shrink, rng=rng):
            case Deliver():
                self.delivered[item_id] = self.now
                del self.waiting[item_id]
            case Release():
                pass
            case Defer(delay_s, spend):
                item.due, item.attempts = self.now + delay_s, item.attempts + spend
            case Quarantine():
                self.quarantined[item_id] = self.waiting.pop(item_id)
            case Shrink():
                item.reencoded = True
            case Absolve(items, delay_s):
                for absolved in items:
                    if absolved in self.quarantined:
                        self.waiting[absolved] = self.quarantined.pop(absolved)
                        self.waiting[absolved].due = 0.0
                item.due = self.now + delay_s


def queue(count: int) -> dict[int, Waiting]:
    """Return so many items that wait."""
    return {number: Waiting() for number in range(1, count + 1)}


def unless(poison: Callable[[int], bool], bad: Meaning) -> Callable[[int, float], Meaning]:
    """Return a server that fails for some items always, and takes all others."""
    return lambda item_id, _: bad if poison(item_id) else GOOD


def down(until: float, bad: Meaning) -> Callable[[int, float], Meaning]:
    """Return a server that fails for everybody until then."""
    return lambda _, now: bad if now < until else GOOD


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("position", [1, 50, 100])
def test_one_poison_item_blocks_nobody(seed: int, position: int) -> None:
    """A picture that always gets a 500 is tried eight times and set aside; the others do not wait for it."""
    world = World(unless(lambda item_id: item_id == position, Meaning.SERVER_ERROR), queue(100), seed)
    world.run(30)
    assert len(world.delivered) == 99
    # A picture a minute comes in, as a camera's would: the proof that the server is well.
    for number in range(101, 400):
        world.waiting[number] = Waiting()
        world.run(world.now + 60)
        world.now += 60
    assert set(world.quarantined) == {position}
    # While it is alone in the queue nobody can tell that it is to blame: such tries are not charged.
    assert ATTEMPTS <= Counter(item_id for _, item_id, _ in world.tries)[position] <= ATTEMPTS + 4
    assert not world.waiting


@pytest.mark.parametrize("bad", [Meaning.SERVER_ERROR, Meaning.REFUSED])
@pytest.mark.parametrize("cluster", [6, 40])
@pytest.mark.parametrize("first", [1, 80, 201])
def test_a_cluster_of_poison_blocks_nobody(bad: Meaning, cluster: int, first: int) -> None:
    """Bad pictures come in clusters; wherever theirs is, the good ones go past it, and only they are delivered."""
    poison = range(first, first + cluster)
    world = World(unless(lambda item_id: item_id in poison, bad), queue(200 + cluster)).run(0.25 * HOUR)
    assert len(world.delivered) == 200
    assert not set(poison) & set(world.delivered)
    assert not set(world.quarantined) - set(poison)


@pytest.mark.parametrize("bad", [Meaning.SERVER_ERROR, Meaning.REFUSED])
def test_a_cluster_of_poison_is_set_aside(bad: Meaning) -> None:
    """While good pictures keep coming in, each bad one meets its end: none stays in the queue for ever."""
    poison = range(1, 31)
    world = World(unless(lambda item_id: item_id in poison, bad), queue(60))
    for number in range(100, 1500):
        world.waiting[number] = Waiting()
        world.run(world.now + 60)
        world.now += 60
    assert set(world.quarantined) == set(poison)


@pytest.mark.parametrize(
    ("bad", "most_tries"),
    [
        (Meaning.SERVER_ERROR, 60),
        (Meaning.REFUSED, 30),
        (Meaning.DENIED, 26),
        (Meaning.WRONG_URL, 25),
        (Meaning.UNPROVEN, 60),
        (Meaning.BUSY, 60),
        (Meaning.OFFLINE, 80),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_i6_an_hour_of_trouble_costs_no_item_anything(bad: Meaning, most_tries: int, seed: int) -> None:
    """When everybody fails, nobody is to blame: after an hour all are delivered, with few tries and no attempt lost."""
    world = World(down(HOUR, bad), queue(50), seed).run(HOUR)
    assert len(world.tries) <= most_tries
    spent = sum(item.attempts for item in world.waiting.values())
    assert spent <= (2 if bad is Meaning.SERVER_ERROR else 0)
    world.run(4 * HOUR)
    assert len(world.delivered) == 50
    assert not world.quarantined


def test_a_week_of_trouble_ends_within_a_pause() -> None:
    """However long it lasted, the way back takes one pause and no longer: at most 300 s and a bit offline.

    From there on it goes slowly, for a whole fleet comes back: ten pictures in a quarter of an hour.
    """
    week = 7 * 24 * HOUR
    for seed in range(10):
        world = World(down(week, Meaning.OFFLINE), queue(10), seed).run(2 * week)
        assert week < min(world.delivered.values()) < week + 302
        assert max(world.delivered.values()) - min(world.delivered.values()) < 900


def test_a_fleet_does_not_come_back_in_step() -> None:
    """A hundred devices that lost the same server at the same moment return spread over minutes."""
    first = [
        min(World(down(HOUR, Meaning.OFFLINE), queue(1), seed).run(3 * HOUR).delivered.values()) for seed in range(100)
    ]
    seconds = Counter(int(moment) for moment in first)
    assert max(seconds.values()) <= 6
    assert max(first) - min(first) > 120


@pytest.mark.parametrize("bad", [Meaning.SERVER_ERROR, Meaning.REFUSED])
def test_a_flapping_server_costs_little(bad: Meaning) -> None:
    """Up ten minutes, down ten minutes, for a day, with pictures coming in: every one is delivered in the end."""
    world = World(lambda _, now: bad if now < 24 * HOUR and now % 1200 >= 600 else GOOD, queue(20))
    for number in range(100, 2900):
        world.waiting[number] = Waiting()
        world.run(world.now + 30)
        world.now += 30
    world.run(world.now + 4 * HOUR)
    assert not world.waiting
    assert not world.quarantined


def test_too_large_is_tried_twice() -> None:
    """A server that refuses every size gets each picture once as it is and once made smaller, without a loop."""
    world = World(lambda *_: Meaning.TOO_LARGE, queue(20)).run(HOUR)
    assert len(world.tries) == 40
    assert len(world.quarantined) == 20


PLANS = st.lists(st.tuples(st.sampled_from(Meaning), st.floats(1, 2 * HOUR)), max_size=8)


@settings(max_examples=150, deadline=None)
@given(plan=PLANS, poison=st.sets(st.integers(1, 30), max_size=12), seed=st.integers(0, 2**16))
def test_whatever_the_server_does_the_good_arrive_in_the_end(
    plan: list[tuple[Meaning, float]], poison: set[int], seed: int
) -> None:
    """After any sequence of outages each item is in one place, and every good one that was not refused arrives."""

    def server(item_id: int, now: float) -> Meaning:
        for meaning, lasts in plan:
            now -= lasts
            if now < 0:
                return meaning
        return Meaning.SERVER_ERROR if item_id in poison else GOOD

    total = sum(lasts for _, lasts in plan)
    world = World(server, queue(30), seed).run(total + 4 * HOUR)
    assert not set(world.waiting) & set(world.quarantined)
    assert sorted([*world.waiting, *world.quarantined, *world.delivered]) == list(range(1, 31))
    assert set(world.waiting) <= poison
    refused = {item_id for _, item_id, meaning in world.tries if meaning in {Meaning.REFUSED, Meaning.TOO_LARGE}}
    assert set(world.quarantined) <= refused | poison


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**16), chances=st.lists(st.floats(0, 1), min_size=10, max_size=10))
def test_no_chance_makes_a_tight_loop(seed: int, chances: list[float]) -> None:
    """With any mixture of failures by chance, an hour of them is a few hundred tries, not thousands."""
    dice = random.Random(seed)
    failing = [meaning for meaning in Meaning if meaning not in SETTLED | {Meaning.TOO_LARGE}]

    def server(_item: int, _now: float) -> Meaning:
        return dice.choices(failing, chances[: len(failing)] if any(chances[: len(failing)]) else None)[0]

    world = World(server, queue(30), seed).run(HOUR)
    assert not world.delivered
    assert len(world.tries) < 2000
    assert len(world.quarantined) <= 4
