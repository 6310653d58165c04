from __future__ import annotations

from dataclasses import replace

import pytest

from agent.ending import FAILURES, SOON_S, STUCK_FAILURES, Remaining, is_over
from agent.errors import Halt, Refused, TryLater
from agent.platform.answers import Meaning
from agent.retry import LINK, LinkState

PATIENT = [Meaning.OFFLINE, Meaning.BUSY, Meaning.SERVER_ERROR]
HOPELESS = [meaning for meaning in LINK if meaning not in PATIENT]


def paused(cause: Meaning, failures: int) -> LinkState:
    """Return a link in trouble."""
    return LinkState(failures=failures, open_at=1.0, cause=cause, reason="what the server said")


@pytest.mark.parametrize(
    ("remaining", "over"),
    [
        (Remaining(taking=True, waiting=0, soonest_due_s=None), False),
        (Remaining(taking=True, waiting=5, soonest_due_s=None), False),
        (Remaining(taking=True, waiting=5, soonest_due_s=3600.0), False),
        (Remaining(taking=False, waiting=5, soonest_due_s=None), False),
        (Remaining(taking=False, waiting=5, soonest_due_s=SOON_S), False),
        (Remaining(taking=False, waiting=5, soonest_due_s=-1.0), False),
        (Remaining(taking=False, waiting=0, soonest_due_s=None), True),
    ],
)
def test_a_run_is_over_when_all_is_taken_and_delivered(remaining: Remaining, *, over: bool) -> None:
    """Not before, and not for a deferred item that will be due in a moment."""
    assert is_over(remaining, LinkState()) is over


def test_what_is_due_much_later_is_left_for_the_next_run() -> None:
    """The process does not sit out a long back-off: 5 tells the caller to come again."""
    with pytest.raises(TryLater, match="2 pictures wait") as caught:
        is_over(Remaining(taking=False, waiting=2, soonest_due_s=SOON_S + 0.1), LinkState())
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("cause", PATIENT)
def test_a_passing_trouble_is_given_a_few_tries(cause: Meaning) -> None:
    """Offline, busy or failing: a server that restarts is waited for, one that stays away is not."""
    remaining = Remaining(taking=False, waiting=3, soonest_due_s=None)
    for failures in range(1, FAILURES):
        assert not is_over(remaining, paused(cause, failures))
    with pytest.raises(TryLater, match=r"what the server said\. .*3 pictures wait in the spool"):
        is_over(remaining, paused(cause, FAILURES))


@pytest.mark.parametrize("cause", HOPELESS)
def test_what_time_does_not_mend_ends_the_run_at_once(cause: Meaning) -> None:
    """A wrong key ends it with 6, a wrong address or a portal with 5; what waits stays in the spool."""
    with pytest.raises(Halt, match="what the server said") as caught:
        is_over(Remaining(taking=False, waiting=3, soonest_due_s=None), paused(cause, 1))
    assert caught.value.exit_code == (6 if cause is Meaning.DENIED else 5)
    assert "3 pictures wait in the spool" in caught.value.remedy


@pytest.mark.parametrize("cause", LINK)
def test_pictures_are_taken_in_whatever_the_link_does(cause: Meaning) -> None:
    """The spool is there for that; only a link that stays down while a full spool takes nothing more is given up."""
    remaining = Remaining(taking=True, waiting=3, soonest_due_s=None)
    assert not is_over(remaining, paused(cause, STUCK_FAILURES - 1))
    with pytest.raises(Refused if cause is Meaning.DENIED else TryLater):
        is_over(remaining, paused(cause, STUCK_FAILURES))


@pytest.mark.parametrize("cause", LINK)
def test_nothing_left_to_do_is_done(cause: Meaning) -> None:
    """When the last picture was dropped or settled elsewhere, a link in trouble is no reason to fail."""
    assert is_over(Remaining(taking=False, waiting=0, soonest_due_s=None), paused(cause, 99))


def test_a_pause_by_hand_ends_the_run() -> None:
    """Nothing will be sent until somebody resumes: the run says so instead of waiting for ever."""
    remaining = Remaining(taking=False, waiting=3, soonest_due_s=None, paused_since="2026-03-14T08:15:02Z")
    with pytest.raises(TryLater, match=r"paused by hand since 2026-03-14T08:15:02Z; 3 pictures wait\. .*queue resume"):
        is_over(remaining, LinkState())
    assert not is_over(Remaining(taking=True, waiting=3, soonest_due_s=None, paused_since="now"), LinkState())
    assert is_over(Remaining(taking=False, waiting=0, soonest_due_s=None, paused_since="now"), LinkState())


def test_a_closed_link_is_left_for_the_next_run() -> None:
    """A budget that is spent, or a pause by the timetable: 5 and the reason, once everything is taken in."""
    assert not is_over(Remaining(taking=True, waiting=2, soonest_due_s=None, closed="spent"), LinkState())
    assert is_over(Remaining(taking=False, waiting=0, soonest_due_s=None, closed="spent"), LinkState())
    with pytest.raises(TryLater, match="uploads rest: spent") as caught:
        is_over(Remaining(taking=False, waiting=2, soonest_due_s=None, closed="spent"), LinkState())
    assert caught.value.exit_code == 5


@pytest.mark.parametrize(
    ("moving", "why"),
    [
        (Remaining(taking=True, waiting=3, soonest_due_s=None, paused_since="08:15"), "by hand since 08:15"),
        (Remaining(taking=True, waiting=3, soonest_due_s=None, closed="the day is spent"), "the day is spent"),
    ],
)
def test_a_run_whose_uploads_rest_does_not_wait_for_room(moving: Remaining, why: str) -> None:
    """With a full spool nothing comes in before something goes out, and nothing goes out: the caller is told."""
    assert not is_over(moving, LinkState())
    with pytest.raises(TryLater, match=why):
        is_over(replace(moving, stuck=True), LinkState())


def test_a_full_spool_alone_ends_no_run() -> None:
    """While uploads go on they make room."""
    assert not is_over(Remaining(taking=True, waiting=3, soonest_due_s=None, stuck=True), LinkState())
