from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.platform.answers import Meaning
from agent.retry import (
    ATTEMPTS,
    ERRORS_IN_A_ROW,
    ITEM,
    LINK,
    REFUSALS_IN_A_ROW,
    RETRY_AFTER_SPREAD,
    SETTLED,
    Absolve,
    Backoff,
    Defer,
    Deliver,
    LinkState,
    Quarantine,
    Release,
    Shrink,
    after,
    decide,
)
from agent.spacing import Spacing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.retry import Decision

NOW = 1000.0
PAUSING = sorted(LINK, key=lambda meaning: meaning.value)
ENDS = [Meaning.DELIVERED, Meaning.DUPLICATE]
BLAMELESS = [Meaning.OFFLINE, Meaning.BUSY, Meaning.DENIED, Meaning.WRONG_URL, Meaning.UNPROVEN]


class Edge(random.Random):
    """Randomness at its edge: always the least (0.0) or the most (1.0) that may come."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self._share = share

    def uniform(self, a: float, b: float) -> float:
        """Return the point at `share` between the ends."""
        return a + (b - a) * self._share


LEAST, MOST = Edge(0.0), Edge(1.0)


def states(meanings: Iterable[Meaning], *, rng: random.Random = LEAST, state: LinkState | None = None) -> LinkState:
    """Return the state after results that come one after another, each of another item, each when the link is open."""
    state, now = state or LinkState(), NOW
    for item_id, meaning in enumerate(meanings, 1):
        now = max(now, state.open_at)
        state = after(state, meaning, "why", item_id=item_id, now=now, rng=rng)
    return state


def decided(meaning: Meaning, link: LinkState | None = None, *, attempts: int = 0, may_shrink: bool = True) -> Decision:
    """Return what becomes of an item, with the least jitter."""
    return decide(meaning, "why", link or LinkState(), attempts=attempts, may_shrink=may_shrink, rng=LEAST)


@pytest.mark.parametrize("backoff", [*LINK.values(), ITEM])
def test_a_wait_doubles_up_to_its_cap(backoff: Backoff) -> None:
    """The ceiling doubles with each failure until the cap; the floor comes on top, always."""
    ceilings = [backoff.delay(failures, MOST) - backoff.floor_s for failures in range(1, 40)]
    assert ceilings[0] == backoff.base_s
    assert all(late in (early * 2, backoff.cap_s) for early, late in pairwise(ceilings))
    assert ceilings[-1] == backoff.cap_s
    assert {backoff.delay(failures, LEAST) for failures in range(40)} == {backoff.floor_s}


@given(failures=st.integers(-5, 10**9), seed=st.integers(0, 2**32))
def test_a_wait_is_always_within_its_bounds(failures: int, seed: int) -> None:
    """After weeks offline the power does not overflow, and no wait is below the floor or above cap and floor."""
    for backoff in (*LINK.values(), ITEM):
        assert backoff.floor_s <= backoff.delay(failures, random.Random(seed)) <= backoff.floor_s + backoff.cap_s


def test_attempt_1024_is_an_attempt_like_another() -> None:
    """2.0 ** 1023 is the last power that a float holds; the exponent stops long before."""
    assert ITEM.delay(1024, MOST) == ITEM.delay(1025, MOST) == ITEM.floor_s + ITEM.cap_s


@pytest.mark.parametrize("meaning", PAUSING)
def test_jitter_comes_after_the_cap(meaning: Meaning) -> None:
    """A fleet that has long been at the cap is still spread over all of it: no clamp eats the jitter."""
    backoff = LINK[meaning]
    delays = sorted(backoff.delay(1000, random.Random(seed)) for seed in range(500))
    assert delays[50] < backoff.floor_s + 0.2 * backoff.cap_s
    assert delays[-50] > backoff.floor_s + 0.8 * backoff.cap_s
    assert len(set(delays)) == 500


@pytest.mark.parametrize("meaning", [meaning for meaning in PAUSING if meaning in BLAMELESS])
def test_what_no_item_is_to_blame_for_pauses_at_once(meaning: Meaning) -> None:
    """The first such result pauses the link for its own back-off, and each further one lengthens that."""
    backoff = LINK[meaning]
    state = states([meaning], rng=MOST)
    assert (state.cause, state.reason, state.failures) == (meaning, "why", 1)
    assert state.open_at == NOW + backoff.floor_s + backoff.base_s
    assert states([meaning] * 5).failures == 5
    assert state.paused
    assert not state.doubtful


def well(state: LinkState) -> LinkState:
    """Return a state without the distance between uploads, which outlives trouble."""
    return replace(state, open_at=0.0, spacing=Spacing())


@pytest.mark.parametrize("settled", ENDS)
@given(before=st.lists(st.sampled_from(Meaning), max_size=12))
@settings(max_examples=50)
def test_one_success_ends_all_trouble(settled: Meaning, before: list[Meaning]) -> None:
    """Whatever came before, a delivery or a duplicate leaves nothing of it but a distance: no pause, no streak."""
    assert well(states([*before, settled])) == LinkState()


@pytest.mark.parametrize("settled", ENDS)
@pytest.mark.parametrize("open_at", [0.0, 7.0])
def test_a_success_after_a_success_changes_nothing(settled: Meaning, open_at: float) -> None:
    """The state stays the very same, until when it may rest included: nearly every upload ends like that."""
    state = LinkState(open_at=open_at)
    assert after(state, settled, "", item_id=1, now=NOW, rng=random.Random(1)) is state


@pytest.mark.parametrize(
    ("meaning", "most"), [(Meaning.REFUSED, REFUSALS_IN_A_ROW), (Meaning.SERVER_ERROR, ERRORS_IN_A_ROW)]
)
def test_a_few_failing_items_do_not_pause(meaning: Meaning, most: int) -> None:
    """Up to N-1 in a row may be the items' own fault: the others go on at once. The Nth is the platform's."""
    for count in range(1, most):
        state = states([meaning] * count)
        assert (state.paused, state.open_at, state.doubtful) == (False, 0.0, True)
    state = states([meaning] * most)
    assert (state.cause, state.failures) == (meaning, 1)
    assert states([meaning] * (most + 3)).failures == 4


def test_a_streak_outlives_a_pause_for_another_reason() -> None:
    """Only a success ends a streak: an outage in the middle does not make five refused pictures of two and three."""
    mixed = [Meaning.REFUSED, Meaning.REFUSED, Meaning.OFFLINE, Meaning.BUSY, Meaning.REFUSED, Meaning.REFUSED]
    assert states(mixed).refused == (1, 2, 5, 6)
    assert states([*mixed, Meaning.REFUSED]).cause is Meaning.REFUSED


def test_an_item_is_counted_once_in_a_streak() -> None:
    """One picture that is refused again and again, after each retry by hand, is one picture."""
    state = LinkState()
    for _ in range(20):
        state = after(state, Meaning.REFUSED, "why", item_id=4, now=NOW, rng=LEAST)
    assert state.refused == (4,)
    assert not state.paused


def test_what_is_too_large_says_that_the_link_is_well() -> None:
    """The server answered, so a pause is over; that nothing was delivered yet is not forgotten."""
    state = states([Meaning.SERVER_ERROR, Meaning.REFUSED, Meaning.BUSY, Meaning.TOO_LARGE])
    assert well(state) == LinkState(server_errors=1, refused=(2,))


@pytest.mark.parametrize("meaning", PAUSING)
def test_a_change_of_cause_starts_the_wait_anew(meaning: Meaning) -> None:
    """From offline for a week to a wrong key: that wait is its own."""
    other = Meaning.BUSY if meaning is not Meaning.BUSY else Meaning.OFFLINE
    state = after(states([other] * 9), meaning, "why", item_id=1, now=10**6, rng=LEAST)
    assert state.failures <= 1


@pytest.mark.parametrize("meaning", [meaning for meaning in PAUSING if meaning in BLAMELESS])
def test_uploads_that_fail_together_are_one_failure(meaning: Meaning) -> None:
    """Four uploaders that lose the same server in the same second have not failed four times in a row."""
    first = after(LinkState(), meaning, "first", item_id=1, now=NOW, rng=MOST)
    rest = first
    for item_id in (2, 3, 4):
        rest = after(rest, meaning, "another", item_id=item_id, now=NOW + 0.1, rng=MOST)
    assert rest == first
    assert after(rest, meaning, "next", item_id=1, now=rest.open_at, rng=MOST).failures == 2


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [(0.0, 1.0, 2.0), (0.2, 1.0, 2.02), (10.0, 10.0, 12.0), (3600.0, 3600.0, 3961.0)],
)
def test_retry_after_is_honoured_and_spread(asked: float, least: float, most: float) -> None:
    """Never earlier than asked, a little later by chance, and never a tight loop even where 0 is asked."""
    assert RETRY_AFTER_SPREAD == 0.1
    for rng, expected in ((LEAST, least), (MOST, most)):
        state = after(LinkState(), Meaning.BUSY, "why", item_id=1, now=NOW, rng=rng, retry_after_s=asked)
        assert state.open_at - NOW == pytest.approx(expected)


def test_the_longest_retry_after_wins() -> None:
    """Two uploaders that are told to wait wait for the later of the two."""
    state = after(LinkState(), Meaning.BUSY, "why", item_id=1, now=NOW, rng=LEAST, retry_after_s=100.0)
    shorter = after(state, Meaning.BUSY, "why", item_id=2, now=NOW + 1, rng=LEAST, retry_after_s=5.0)
    longer = after(state, Meaning.BUSY, "why", item_id=2, now=NOW + 1, rng=LEAST, retry_after_s=500.0)
    assert (shorter.open_at, longer.open_at) == (NOW + 100, NOW + 501)
    assert shorter.failures == longer.failures == 1


FAILING = st.sampled_from([meaning for meaning in Meaning if meaning not in SETTLED | {Meaning.TOO_LARGE}])
ASKED = st.none() | st.floats(0, 3600)


@settings(max_examples=300, deadline=None)
@given(results=st.lists(st.tuples(FAILING, st.integers(0, 9), ASKED), max_size=60), seed=st.integers(0, 999))
def test_no_sequence_of_failures_makes_a_tight_loop(
    results: list[tuple[Meaning, int, float | None]], seed: int
) -> None:
    """All but the few tries that find out who is to blame are at least a floor apart, and none is lost to a cap."""
    state, now, free, rng = LinkState(), NOW, 0, random.Random(seed)
    for meaning, item_id, asked in results:
        repeated = meaning is Meaning.REFUSED and item_id in state.refused  # retried by hand
        state = after(state, meaning, "why", item_id=item_id, now=now, rng=rng, retry_after_s=asked)
        if state.open_at <= now:
            free += not repeated
            assert meaning in {Meaning.REFUSED, Meaning.SERVER_ERROR}
            now += 0.01
        else:
            backoff = LINK[meaning]
            wait = state.open_at - now
            assert backoff.floor_s <= wait <= max(backoff.floor_s + backoff.cap_s, (asked or 0) * 1.1 + 2)
            now = state.open_at
        assert len(state.refused) <= REFUSALS_IN_A_ROW
    assert free <= REFUSALS_IN_A_ROW - 1 + ERRORS_IN_A_ROW - 1


@pytest.mark.parametrize("meaning", ENDS)
def test_what_the_platform_has_is_delivered(meaning: Meaning) -> None:
    """A duplicate is a delivery."""
    assert decided(meaning) == Deliver()


@pytest.mark.parametrize("meaning", BLAMELESS)
@given(attempts=st.integers(0, 2000), history=st.lists(st.sampled_from(Meaning), max_size=12))
@settings(max_examples=50)
def test_i6_a_blameless_item_is_released(meaning: Meaning, attempts: int, history: list[Meaning]) -> None:
    """Key, approval, URL and link never cost an item anything, whatever happened before."""
    assert decided(meaning, states(history), attempts=attempts) == Release()


@pytest.mark.parametrize(("may_shrink", "expected"), [(True, Shrink()), (False, Quarantine("why"))])
def test_too_large_is_shrunk_once(*, may_shrink: bool, expected: Decision) -> None:
    """Where it may be made smaller it is; what was made smaller already is set aside."""
    assert decided(Meaning.TOO_LARGE, may_shrink=may_shrink) == expected


def test_refused_items_are_set_aside_until_everything_is_refused() -> None:
    """The Nth in a row absolves them all: five bad pictures running are one bad contract."""
    for count in range(1, REFUSALS_IN_A_ROW):
        assert decided(Meaning.REFUSED, states([Meaning.REFUSED] * count)) == Quarantine("why")
    streak = states([Meaning.REFUSED] * REFUSALS_IN_A_ROW)
    assert decided(Meaning.REFUSED, streak) == Absolve((1, 2, 3, 4, 5), ITEM.floor_s)


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        (0, Defer(ITEM.floor_s + 10.0)),
        (1, Defer(ITEM.floor_s + 20.0)),
        (ATTEMPTS - 2, Defer(ITEM.floor_s + 640.0)),
        (ATTEMPTS - 1, Quarantine("why")),
        (1024, Quarantine("why")),
    ],
)
def test_an_item_that_fails_while_others_succeed_has_so_many_tries(attempts: int, expected: Decision) -> None:
    """Each try spends an attempt and waits twice as long; the eighth is the last."""
    link = states([Meaning.SERVER_ERROR])
    assert decide(Meaning.SERVER_ERROR, "why", link, attempts=attempts, may_shrink=True, rng=MOST) == expected


@pytest.mark.parametrize("attempts", [0, ATTEMPTS - 1, 1024])
def test_while_the_server_fails_for_all_no_attempt_is_spent(attempts: int) -> None:
    """A streak is the server's fault: the item makes room for another and is not charged."""
    streak = states([Meaning.SERVER_ERROR] * ERRORS_IN_A_ROW)
    assert decided(Meaning.SERVER_ERROR, streak, attempts=attempts) == Defer(ITEM.floor_s, spend=False)
