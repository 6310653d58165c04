from __future__ import annotations

import json
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from house_rig import House, arrive, photograph

from agent.clock import SystemClock
from agent.ending import Remaining, is_over
from agent.errors import TryLater
from agent.link import Link
from agent.platform.answers import Meaning
from agent.retry import LinkState
from agent.spool.budget import Limits
from agent.spool.selection import Selection
from agent.spool.spool import Spool
from agent.workers import Bell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import FakeClock

    from agent.spool.orders import Orders

OBEYS_S = 3.0  # about a second, on a machine that is busy with other tests


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return a house with a sandbox; its agents end with the test."""
    with House(tmp_path) as built:
        yield built


@pytest.fixture
def link(clock: FakeClock) -> Link:
    """Return a link without a start jitter."""
    rng = random.Random(1)
    return Link(clock=clock, rng=rng, bell=Bell(), start_jitter_s=0.0, workers=1)


def ask(house: House, *arguments: str) -> dict[str, Any]:
    """Call a verb of `queue` that must go well, and return its document."""
    ended = house.call("queue", *arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    document: dict[str, Any] = json.loads(ended.stdout)
    return document


@contextmanager
def beside(house: House) -> Iterator[Orders]:
    """Give orders from this process, for where the command's own start would take too long."""
    with Spool(house.spool, Limits(10**9, 0), clock=SystemClock(), owner=False) as spool:
        yield spool.orders


class TestLink:
    """What the daemon's link does about it."""

    def test_a_pause_by_hand_rests_until_it_ends(self, link: Link) -> None:
        """Nobody may send, whatever the link's own state; the bell wakes those who waited."""
        assert link.enter() is None
        link.leave()
        link.pause("2026-03-14T08:15:02.417Z")
        assert link.enter() == float("inf")
        assert link.paused_since == "2026-03-14T08:15:02.417Z"
        heard = link._bell.rings()
        link.pause(None)
        assert link._bell.rings() > heard
        assert link.enter() is None

    def test_a_hurried_link_probes_at_once(self, link: Link) -> None:
        """The wait ends, not the trouble: one uploader asks, the others wait for its answer."""
        link.report(Meaning.OFFLINE, "no route")
        rest = link.enter()
        assert rest is not None
        assert rest > 0
        link.hurry()
        assert link.enter() is None
        assert link.enter() == float("inf")
        assert link.state.failures == 1

    def test_a_bounded_run_does_not_wait_for_a_resume(self) -> None:
        """`--once` takes what is there and says why it sends nothing."""
        paused = "2026-03-14T08:15:02.417Z"
        with pytest.raises(TryLater, match=r"paused by hand since .*; 2 pictures wait"):
            is_over(Remaining(False, 2, None, paused), LinkState())
        assert not is_over(Remaining(True, 2, None, paused), LinkState())
        assert is_over(Remaining(False, 0, None, paused), LinkState())


def test_uploads_rest_while_intake_goes_on_across_a_restart(house: House) -> None:
    """A pause holds within a second, survives the daemon, and ends as quickly; nothing is lost by it."""
    agent = house.run()
    digests = [arrive(house.watched / "first.jpg", photograph(1))]
    house.settled(1)
    since = ask(house, "pause")["paused_since"]
    agent.until("uploads_paused", seconds=OBEYS_S)
    digests.append(arrive(house.watched / "second.jpg", photograph(2)))
    agent.until("item_spooled", 2)
    agent.stop()
    agent = house.run()
    agent.until("uploads_paused")
    digests.append(arrive(house.watched / "third.jpg", photograph(3)))
    agent.until("item_spooled")
    told = json.loads(house.call("status", "--json").stdout)
    assert told["paused_since"] == told["daemon"]["link"]["paused_since"] == since
    assert house.sandbox.count() == 1
    with beside(house) as orders:
        orders.resume()
    house.arrived(3, OBEYS_S)
    house.settled(3)
    agent.stop()
    house.check(digests)


def test_a_paused_run_once_says_so(house: House) -> None:
    """It takes the pictures in, ends with 5, and names the way out."""
    with beside(house) as orders:
        orders.pause(SystemClock().wall())
    digest = arrive(house.watched / "a.jpg", photograph(1))
    agent = house.once(expected=5)
    assert "uploads are paused by hand since" in agent.said()[-1]
    assert agent.said()[-1].endswith("acusight-agent queue resume")
    with beside(house) as orders:
        assert orders.resume()
    house.once()
    house.check([digest])


def test_a_paused_run_once_does_not_wait_for_room(house: House) -> None:
    """With a spool at its cap nothing more can come in: it ends with 5, and the rest stays in the folder."""
    with beside(house) as orders:
        orders.pause(SystemClock().wall())
    house.configure(spool={"max_items": 1})
    digests = [arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(2)]
    agent = house.once(expected=5)
    assert "uploads are paused by hand since" in agent.said()[-1]
    with beside(house) as orders:
        assert orders.resume()
    house.once()
    house.check(digests)


def test_a_flush_ends_the_links_pause(house: House) -> None:
    """After an outage the next attempt is a matter of a second, not of the back-off's minutes."""
    house.fault(status=429, retry_after=600)
    agent = house.run()
    digest = arrive(house.watched / "a.jpg", photograph(1))
    agent.until("link_paused")
    house.fault()
    ask(house, "flush")
    house.arrived(1, OBEYS_S)
    house.settled(1)
    agent.stop()
    house.check([digest])


def test_an_upload_under_way_can_be_dropped(house: House) -> None:
    """Its answer finds no row: one drop is counted, no receipt, and the next picture goes its way."""
    house.configure(upload={"workers": 1})
    house.fault(delay_s=2, count=1)
    agent = house.run()
    arrive(house.watched / "a.jpg", photograph(1))
    house.arrived(1)  # it is kept, and the answer is late
    with beside(house) as orders:
        assert orders.drop(Selection()).items == 1
    arrive(house.watched / "b.jpg", photograph(2))
    house.settled(1)
    agent.stop()
    assert {row["what"]: row["items"] for row in house.rows("SELECT what, items FROM tally")} == {
        "captured": 2,
        "delivered": 1,
        "dropped": 1,
    }
    assert house.rows("SELECT reason FROM tally WHERE what = 'dropped'") == [{"reason": "dropped by hand"}]
    assert (house.watched / "a.jpg").read_bytes() == photograph(1)
    assert not list(house.spool.glob("items/*/*.jpg"))


def test_a_retried_picture_goes_within_a_second(house: House) -> None:
    """What the platform refused once is sent again when asked, by the daemon that runs."""
    house.fault(status=400, code="VALIDATION_ERROR", count=1)
    agent = house.run()
    digest = arrive(house.watched / "a.jpg", photograph(1))
    agent.until("item_quarantined")
    assert ask(house, "retry", "--all")["requeued"] == 1
    house.arrived(1, OBEYS_S)
    house.settled(1)
    agent.stop()
    house.check([digest])
