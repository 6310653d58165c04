from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.sources.settle import LONGEST_WAIT_S, SLACK, SettleTracker, Sighting

ONE, TWO = Sighting(1, 10, 100), Sighting(1, 20, 200)


@pytest.mark.parametrize(
    ("sightings", "due_at"),
    [
        ([(0.0, ONE)], 1.0),
        ([(0.0, ONE), (0.7, ONE)], 1.0),
        ([(0.0, ONE), (0.7, TWO)], 1.7),
        ([(0.0, ONE), (0.7, TWO), (0.9, ONE)], 1.9),
        ([(0.0, ONE), (5.0, ONE)], 1.0),
        ([(0.0, ONE), (0.5, Sighting(2, 10, 100))], 1.5),
        ([(0.0, ONE), (0.5, Sighting(1, 10, 99))], 1.5),
    ],
    ids=["seen once", "the same again", "grown", "changed back", "seen late again", "another inode", "set back"],
)
def test_quiet_time_runs_from_the_last_change(sightings: list[tuple[float, Sighting]], due_at: float) -> None:
    """A file is due when it has been the same for the settle time, measured from the sighting that changed it."""
    tracker = SettleTracker(1.0)
    for now, sighting in sightings:
        tracker.see("a", sighting, now)
    assert tracker.next_due() == due_at
    assert tracker.due(due_at - 0.01, 10) == []
    assert tracker.due(due_at, 10) == [("a", sightings[-1][1])]


def test_a_change_is_told_from_the_same_state() -> None:
    """`see` tells whether the quiet time began, so that whoever waits for something else begins anew as well."""
    tracker = SettleTracker(1.0)
    assert [tracker.see("a", sighting, 0.0) for sighting in (ONE, ONE, TWO, TWO)] == [True, False, True, False]


def test_what_is_due_together_comes_by_its_own_time() -> None:
    """Of files that are due, the oldest comes first, whatever order they were seen in."""
    tracker = SettleTracker(1.0)
    for number, name in enumerate("dbeac"):
        tracker.see(name, Sighting(number, 1, ord(name)), number / 10)
    assert [name for name, _ in tracker.due(9.0, 3)] == ["a", "b", "c"]
    assert [name for name, _ in tracker.due(9.0, 3)] == ["d", "e"]


def test_a_due_file_is_handed_out_once() -> None:
    """What is due is returned once, and again only when it was postponed or has changed."""
    tracker = SettleTracker(1.0)
    tracker.see("a", ONE, 0.0)
    tracker.see("a", TWO, 0.0)
    assert tracker.due(1.0, 0) == []
    assert tracker.upcoming(10) == [("a", TWO)]
    assert tracker.due(1.0, 10) == [("a", TWO)]
    assert tracker.upcoming(10) == []
    assert tracker.due(2.0, 10) == []
    assert tracker.next_due() is None
    tracker.postpone("a", 2.0, until=3.0)
    tracker.postpone("a", 2.0, until=3.0)
    assert tracker.due(3.0, 10) == [("a", TWO)]
    tracker.see("a", ONE, 3.0)
    assert tracker.due(4.0, 10) == [("a", ONE)]


def test_postponements_double_up_to_a_minute() -> None:
    """A file that is not ready is looked into after 1, 2, 4 … s, at most every minute, however long it stays so."""
    tracker = SettleTracker(1.0)
    tracker.see("a", ONE, 0.0)
    waits = [tracker.postpone("a", 100.0) for _ in range(2000)]
    assert waits[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert set(waits[8:]) == {LONGEST_WAIT_S}
    assert tracker.next_due() == 160.0
    tracker.see("a", TWO, 200.0)
    assert tracker.postpone("a", 201.0) == 1.0


def test_without_a_settle_time_postponements_still_wait() -> None:
    """With a settle time of 0 a file is due at once, but an unfinished one does not spin."""
    tracker = SettleTracker(0.0)
    tracker.see("a", ONE, 5.0)
    assert tracker.due(5.0, 1) == [("a", ONE)]
    assert tracker.postpone("a", 5.0) == pytest.approx(0.1)


def test_hastening_never_delays() -> None:
    """A file can be asked for sooner, not later, and a lost one not at all."""
    tracker = SettleTracker(1.0)
    tracker.see("a", ONE, 0.0)
    tracker.hasten("a", 5.0)
    assert tracker.next_due() == 1.0
    tracker.postpone("a", 1.0, until=9.0)
    tracker.hasten("a", 5.0)
    assert tracker.next_due() == 5.0
    tracker.lose("a")
    tracker.hasten("a", 2.0)
    assert tracker.postpone("a", 2.0) == 0.0
    assert (tracker.next_due(), len(tracker), "a" in tracker) == (None, 0, False)


def test_a_file_that_never_rests_leaves_no_trail() -> None:
    """Ten thousand changes of one file cost no more memory than a few."""
    tracker = SettleTracker(60.0)
    for number in range(10_000):
        tracker.see("latest.jpg", Sighting(1, number, number), number / 1000)
    assert len(tracker._waiting) <= SLACK + 3
    assert tracker.due(100.0, 10) == [("latest.jpg", Sighting(1, 9999, 9999))]


class Settling(RuleBasedStateMachine):
    """A tracker beside the plainest description of what it has to do: when each file is to be looked into."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.tracker = SettleTracker(1.0)
        self.changed: dict[str, tuple[Sighting, float]] = {}
        self.due: dict[str, float | None] = {}

    names = st.sampled_from("abcd")
    sightings = st.builds(Sighting, st.integers(1, 2), st.integers(1, 3), st.integers(1, 3))

    @rule(name=names, sighting=sightings)
    def see(self, name: str, sighting: Sighting) -> None:
        """See a file in some state."""
        self.tracker.see(name, sighting, self.now)
        if name not in self.changed or self.changed[name][0] != sighting:
            self.changed[name] = sighting, self.now
            self.due[name] = self.now + 1.0

    @rule(seconds=st.sampled_from([0.0, 0.25, 0.5, 1.0, 7.0]))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.now += seconds

    @rule(limit=st.integers(1, 3))
    def look(self, limit: int) -> None:
        """Take what is due: the oldest first, each once, none before it was quiet."""
        found = self.tracker.due(self.now, limit)
        expected = sorted(name for name, at in self.due.items() if at is not None and at <= self.now)
        assert len(found) == min(limit, len(expected))
        times = [sighting.mtime_ns for _, sighting in found]
        assert times == sorted(times)
        for name, sighting in found:
            assert name in expected
            assert self.changed[name][0] == sighting
            assert self.now >= self.changed[name][1] + 1.0
            self.due[name] = None
        coming = self.tracker.upcoming(limit)
        left = [name for name in expected if self.due[name] is not None]
        assert len(coming) == min(limit, len(left))
        assert {name for name, _ in coming} <= set(left)
        assert self.tracker.upcoming(limit) == coming

    @precondition(lambda self: self.changed)
    @rule(data=st.data(), until=st.sampled_from([None, 0.5, 3.0]))
    def postpone(self, data: st.DataObject, until: float | None) -> None:
        """Find that a file which was handed out is not ready."""
        handed = sorted(name for name, at in self.due.items() if at is None)
        if handed:
            name = data.draw(st.sampled_from(handed))
            wait = self.tracker.postpone(name, self.now, until=None if until is None else self.now + until)
            assert until is None or wait == pytest.approx(until)
            assert 0 < wait <= LONGEST_WAIT_S
            self.due[name] = self.now + wait

    @rule(name=names)
    def lose(self, name: str) -> None:
        """Lose a file: it is taken, or gone."""
        self.tracker.lose(name)
        self.changed.pop(name, None)
        self.due.pop(name, None)

    @invariant()
    def it_wakes_for_the_first(self) -> None:
        """Whoever sleeps until `next_due` misses nothing, and does not wake in vain."""
        times = [at for at in self.due.values() if at is not None]
        found = self.tracker.next_due()
        assert (found is None) == (not times)
        assert found is None or found <= self.now or found == pytest.approx(min(times))
        assert len(self.tracker) == len(self.changed)
        assert len(self.tracker._waiting) <= 2 * len(self.changed) + SLACK + 1


TestSettling = Settling.TestCase
TestSettling.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
