from __future__ import annotations

import random
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from agent.link import Link
from agent.platform.answers import Meaning
from agent.retry import LinkState
from agent.workers import Bell, Nursery, Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from wire_rig import MovedClock


@pytest.fixture
def bell() -> Bell:
    """Return the bell that uploaders wait on."""
    return Bell()


@pytest.fixture
def link(clock: MovedClock, bell: Bell) -> Link:
    """Return a link that is open at once."""
    return Link(clock=clock, rng=random.Random(1), bell=bell, start_jitter_s=0.0, workers=8)


def rest(link: Link, clock: MovedClock) -> None:
    """Let the link's pause pass."""
    clock.advance(max(0.0, link.state.open_at - clock.boot()))


def open_wide(link: Link) -> None:
    """Let the link's window grow to its most."""
    while link.window.size < link.window.most:
        assert link.enter() is None
        link.report(Meaning.DELIVERED, "")


def let_through(link: Link, asking: int) -> int:
    """Return how many of those who ask one after another may send."""
    return [link.enter() for _ in range(asking)].count(None)


def test_an_open_link_lets_as_many_through_as_there_are_workers(link: Link) -> None:
    """Without trouble nobody waits for another, once the link has proved itself."""
    open_wide(link)
    assert [link.enter() for _ in range(8)] == [None] * 8


def test_a_new_link_begins_with_one(link: Link) -> None:
    """Nothing is known of the server yet: each success lets one more go."""
    for size in range(1, 9):
        assert link.window.size == size
        assert let_through(link, 9) == size
        link.report(Meaning.DELIVERED, "")
        for _ in range(size - 1):
            link.leave()


def test_a_permit_that_comes_back_wakes_who_was_turned_away(link: Link, bell: Bell) -> None:
    """Only then: a ring for nothing would have idle uploaders wake each other without end."""
    assert let_through(link, 2) == 1
    link.leave()
    assert bell.rings() == 0
    assert let_through(link, 2) == 1
    link.report(Meaning.DELIVERED, "")
    assert bell.rings() == 1
    link.report(Meaning.DELIVERED, "")
    assert bell.rings() == 1


@pytest.mark.parametrize(
    ("meaning", "sent", "expected"),
    [
        (Meaning.OFFLINE, False, [2, 3, 4, 5, 6, 7, 8, *[8] * 29]),
        (Meaning.DENIED, False, [2, 3, 4, 5, 6, 7, 8, *[8] * 29]),
        (Meaning.OFFLINE, True, [2, 3, *[4] * 32, 5, 5]),
        (Meaning.BUSY, False, [2, 3, *[4] * 32, 5, 5]),
        (Meaning.SERVER_ERROR, False, [2, 3, *[4] * 32, 5, 5]),
    ],
)
def test_an_outage_begins_again_with_one(
    link: Link, clock: MovedClock, meaning: Meaning, expected: list[int], *, sent: bool
) -> None:
    """One probe; with its success two may go, then three; where it was too much, from half of that on slowly."""
    open_wide(link)
    for _ in range(4):  # of several uploaders, or in a row: the same outage
        link.report(meaning, "why", sent=sent)
    rest(link, clock)
    assert let_through(link, 9) == 1
    sizes = []
    for _ in range(36):
        link.report(Meaning.DELIVERED, "")
        sizes.append(link.window.size)
        link.enter()
    assert sizes == expected


def test_a_success_of_before_ends_no_pause(link: Link, clock: MovedClock) -> None:
    """An overloaded server that asks for a minute still finishes what it had begun: the minute stands."""
    open_wide(link)
    assert let_through(link, 3) == 3
    paused = link.report(Meaning.BUSY, "busy", retry_after_s=60.0)
    link.report(Meaning.DELIVERED, "")
    assert link.report(Meaning.REFUSED, "no", item_id=7) == replace(paused, refused=(7,))
    assert link.window.size == 1
    rest(link, clock)
    assert link.enter() is None
    assert not link.report(Meaning.DELIVERED, "").paused


def test_who_was_under_way_is_not_taken_for_the_probe(link: Link, clock: MovedClock) -> None:
    """Uploads of before the pause end while another one probes: neither their success nor their failure decides."""
    open_wide(link)
    assert let_through(link, 3) == 3
    link.report(Meaning.OFFLINE, "no route")
    rest(link, clock)
    nursery, entered, reported, ended = Nursery(Stop()), threading.Event(), threading.Event(), list[bool]()

    def probe() -> None:
        assert link.enter() is None
        entered.set()
        reported.wait(5)
        ended.append(link.report(Meaning.DELIVERED, "").paused)

    nursery.start("probe", probe)
    assert entered.wait(5)
    assert link.report(Meaning.DELIVERED, "").paused
    link.leave()
    assert link.enter() == float("inf")
    reported.set()
    assert nursery.join(5) == []
    assert ended == [False]


def test_what_is_kept_apart_goes_one_by_one(link: Link, clock: MovedClock) -> None:
    """While there is a distance between uploads one at a time may go, however wide the window."""
    open_wide(link)
    link.report(Meaning.OFFLINE, "no route")
    clock.advance(3600)
    for _ in range(200):
        rest(link, clock)
        apart = link.state.paused or link.state.spacing.seconds > 0
        assert let_through(link, 9) == (1 if apart else link.window.size)
        link.report(Meaning.DELIVERED, "")
        for _ in range(8):
            link.leave()
    assert not apart
    assert link.window.size == 8


def test_a_distance_is_counted_from_the_last_begin(link: Link, clock: MovedClock) -> None:
    """Over a slow line the next upload goes as soon as the last one has ended."""
    link.report(Meaning.OFFLINE, "no route")
    clock.advance(3600)
    for took in (1.0, 400.0):
        assert link.enter() is None
        clock.advance(took)
        link.report(Meaning.DELIVERED, "")
        assert link.state.spacing.seconds > 60
        assert (link.enter() is None) == (took > 300)
        rest(link, clock)


def test_after_an_outage_a_fleet_is_spread(clock: MovedClock, bell: Bell) -> None:
    """All probes that succeed in the same second are followed by uploads over `start_jitter_s`."""
    waits = []
    for seed in range(100):
        link = Link(clock=clock, rng=random.Random(seed), bell=bell, start_jitter_s=60.0, workers=8)
        link.report(Meaning.OFFLINE, "no route")
        link.hurry()
        assert link.enter() is None
        link.report(Meaning.DELIVERED, "")
        waits.append(link.enter() or 0)
        link.report(Meaning.DELIVERED, "")  # of an upload that was under way: it cuts nothing short
        assert link.enter() == waits[-1]
    assert min(waits) < 6
    assert 54 < max(waits) <= 60
    assert len(set(waits)) == 100


def test_the_first_call_is_jittered(clock: MovedClock, bell: Bell) -> None:
    """After a boot a fleet does not start in step: each device waits a share of `start_jitter_s`."""
    waits = [
        Link(clock=clock, rng=random.Random(seed), bell=bell, start_jitter_s=60.0, workers=8).enter() or 0
        for seed in range(200)
    ]
    assert 0 <= min(waits) < 6
    assert 54 < max(waits) <= 60
    assert len(set(waits)) == 200


def test_a_start_that_waits_is_no_pause(clock: MovedClock, bell: Bell) -> None:
    """Once the jitter is over the first may go; there is no trouble to probe."""
    link = Link(clock=clock, rng=random.Random(1), bell=bell, start_jitter_s=60.0, workers=8)
    assert link.state.cause is None
    rest(link, clock)
    assert link.enter() is None


def test_a_pause_holds_for_all_and_runs_down(link: Link, clock: MovedClock) -> None:
    """Whoever asks is told how long to wait, not longer than what is left of it."""
    state = link.report(Meaning.OFFLINE, "no route")
    first, second = link.enter(), link.enter()
    assert first == second == state.open_at - clock.boot()
    assert first is not None
    clock.advance(first / 2)
    assert link.enter() == pytest.approx(first / 2)


def test_one_probe_at_a_time(link: Link, clock: MovedClock) -> None:
    """When the pause is over one uploader tries; the others wait for what it finds out."""
    link.report(Meaning.OFFLINE, "no route")
    rest(link, clock)
    assert link.enter() is None
    assert [link.enter() for _ in range(3)] == [float("inf")] * 3
    link.report(Meaning.OFFLINE, "still no route")
    assert link.enter() not in {None, float("inf")}
    rest(link, clock)
    assert link.enter() is None


def test_of_many_threads_one_probes(link: Link, clock: MovedClock) -> None:
    """The choice of the one holds also when all ask at the same moment."""
    link.report(Meaning.OFFLINE, "no route")
    rest(link, clock)
    nursery, barrier, let_through = Nursery(Stop()), threading.Barrier(8), list[float | None]()

    def ask() -> None:
        barrier.wait(5)
        let_through.append(link.enter())

    for number in range(8):
        nursery.start(f"uploader-{number}", ask)
    assert nursery.join(5) == []
    assert sorted(let_through, key=str) == [None, *[float("inf")] * 7]


def test_a_probe_that_is_given_back_is_free_again(link: Link, clock: MovedClock) -> None:
    """An uploader that found nothing to send leaves the probe to the next one; the trouble stays."""
    link.report(Meaning.OFFLINE, "no route")
    rest(link, clock)
    assert link.enter() is None
    link.leave()
    assert link.state.cause is Meaning.OFFLINE
    assert link.enter() is None


@pytest.mark.parametrize("meaning", [Meaning.DELIVERED, Meaning.TOO_LARGE, Meaning.REFUSED])
def test_the_bell_rings_when_the_link_is_back(link: Link, clock: MovedClock, bell: Bell, meaning: Meaning) -> None:
    """Any answer that ends the pause wakes those who wait for it, and says so once."""
    link.report(Meaning.OFFLINE, "no route")
    rest(link, clock)
    link.enter()
    heard = bell.rings()
    with capture_logs() as logs:
        link.report(meaning, "")
        link.report(meaning, "")
    assert bell.rings() == heard + 1
    assert [(entry["event"], entry["cause"], entry["failures"]) for entry in logs] == [("link_restored", "offline", 1)]
    assert link.enter() is None


def test_what_does_not_change_the_link_is_not_said(link: Link, bell: Bell) -> None:
    """Deliveries on a healthy link log nothing here and wake nobody."""
    with capture_logs() as logs:
        for _ in range(5):
            link.report(Meaning.DELIVERED, "201")
        link.report(Meaning.REFUSED, "no", item_id=1)
    assert logs == []
    assert bell.rings() == 0


def test_weeks_offline_do_not_fill_the_journal(link: Link, clock: MovedClock) -> None:
    """Said at the 1st, 2nd, 4th, 8th failure in a row and so on, with the reason and the wait."""
    with capture_logs() as logs:
        for _ in range(1000):
            link.report(Meaning.OFFLINE, "no route")
            rest(link, clock)
    assert [entry["failures"] for entry in logs] == [2**power for power in range(10)]
    assert {(entry["event"], entry["log_level"], entry["cause"], entry["reason"]) for entry in logs} == {
        ("link_paused", "warning", "offline", "no route")
    }
    assert all(0.5 <= entry["retry_in_s"] <= 300.5 for entry in logs)


def test_a_new_cause_is_said_at_once(link: Link, clock: MovedClock) -> None:
    """From no network to a wrong key is news, whenever it comes."""
    with capture_logs() as logs:
        for meaning in [*[Meaning.OFFLINE] * 3, Meaning.DENIED, Meaning.OFFLINE]:
            link.report(meaning, meaning.value)
            rest(link, clock)
    assert [(entry["cause"], entry["failures"]) for entry in logs] == [
        ("offline", 1),
        ("offline", 2),
        ("denied", 1),
        ("offline", 1),
    ]


def test_uploads_that_fail_together_are_said_once(link: Link) -> None:
    """All uploaders meet the same outage; it is one failure and one line."""
    with capture_logs() as logs:
        states = {link.report(Meaning.OFFLINE, "no route") for _ in range(4)}
    assert len(logs) == len(states) == 1


def test_the_state_is_a_value(link: Link) -> None:
    """What was asked for stays as it was, whatever is reported later."""
    before = link.state
    link.report(Meaning.BUSY, "later", retry_after_s=60)
    assert before == LinkState(open_at=before.open_at)
    assert link.state.cause is Meaning.BUSY


def test_waiting_uploaders_are_woken(link: Link, clock: MovedClock, bell: Bell) -> None:
    """A thread that was told to wait without end goes on as soon as the probe succeeded."""
    link.report(Meaning.OFFLINE, "no route")
    rest(link, clock)
    assert link.enter() is None
    nursery, through, waits = Nursery(Stop()), threading.Event(), threading.Event()

    def uploader(wait: Callable[[int, float | None], None]) -> None:
        heard = bell.rings()
        while (seconds := link.enter()) is not None:
            waits.set()
            wait(heard, seconds if seconds < 9 else None)
            heard = bell.rings()
        through.set()

    nursery.start("uploader", lambda: uploader(bell.wait))
    assert waits.wait(5)
    link.report(Meaning.DELIVERED, "")
    assert through.wait(5)
    assert nursery.join(5) == []


def test_uploads_rest_by_hand_until_they_are_resumed(link: Link, clock: MovedClock, bell: Bell) -> None:
    """A pause by hand holds for all and for ever, whatever the link does; its end wakes those who wait."""
    with capture_logs() as logs:
        link.pause("2026-03-14T08:15:02Z")
        link.pause("2026-03-14T08:15:02Z")
        clock.advance(10**6)
        assert [link.enter() for _ in range(3)] == [float("inf")] * 3
        link.report(Meaning.DELIVERED, "what was under way")
        assert link.enter() == float("inf")
        assert link.paused_since == "2026-03-14T08:15:02Z"
        heard = bell.rings()
        link.pause(None)
        link.pause(None)
    assert bell.rings() == heard + 1
    assert link.enter() is None
    assert [entry["event"] for entry in logs] == ["uploads_paused", "uploads_resumed"]


def test_a_person_may_hurry_a_pause(link: Link, bell: Bell) -> None:
    """The wait under way ends at once, for one probe; that the link is in trouble is not forgotten."""
    link.report(Meaning.BUSY, "later", retry_after_s=3600.0)
    heard = bell.rings()
    link.hurry()
    assert bell.rings() == heard + 1
    assert [link.enter(), link.enter()] == [None, float("inf")]
    assert link.report(Meaning.BUSY, "later").failures == 2


@pytest.mark.parametrize("meaning", [Meaning.OFFLINE, Meaning.DENIED])
def test_who_is_hurried_is_not_slowed_down_by_what_was_before(link: Link, clock: MovedClock, meaning: Meaning) -> None:
    """A person who says after an hour's outage that the server bears it gets all pictures, not one in two minutes."""
    clock.advance(7200)
    for hurried in (True, False):
        link.report(meaning, "why")
        clock.advance(3600)
        if hurried:
            link.hurry()
        assert link.enter() is None
        assert (link.report(Meaning.DELIVERED, "").spacing.seconds == 0) == hurried


def test_an_approval_lets_all_go(link: Link, clock: MovedClock) -> None:
    """Somebody who has just approved a device watches for its pictures: none waits for a distance."""
    clock.advance(7200)
    link.approve("pending")
    clock.advance(3600)
    assert link.enter() is None
    link.approve("approved")
    assert link.report(Meaning.DELIVERED, "").spacing.seconds == 0
    assert link.enter() is None


def test_hurrying_does_not_end_a_pause_by_hand(link: Link) -> None:
    """Somebody wanted silence: only that somebody ends it."""
    link.pause("2026-03-14T08:15:02Z")
    link.hurry()
    assert link.enter() == float("inf")


@pytest.mark.parametrize("approval", ["pending", "rejected"])
def test_an_unapproved_device_sends_nothing(link: Link, clock: MovedClock, approval: str) -> None:
    """Whoever asks waits, an upload under way does not end that, and the approval does at once."""
    assert link.enter() is None
    link.approve(approval)
    link.report(Meaning.DELIVERED, "")
    assert link.state.cause is Meaning.DENIED
    assert link.state.reason == f"the device is {approval} on the platform"
    assert (link.enter() or 0) >= 60
    rest(link, clock)
    assert link.enter() is None  # one asks again
    link.leave()
    link.approve(approval)
    link.approve("approved")
    assert link.enter() is None


def test_an_approval_is_no_news_to_an_open_link(link: Link) -> None:
    """What works goes on."""
    for approval in ("approved", "", "approved"):
        link.approve(approval)
    assert not link.state.paused
