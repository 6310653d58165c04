from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from drain_rig import SELF, UPLOAD, Drain, Reply, error
from structlog.testing import capture_logs

from agent.errors import BadPicture, Reject, SpoolDamaged, Wait
from agent.frame import Origin
from agent.platform.answers import Meaning
from agent.retry import ATTEMPTS
from agent.spool.budget import Limits
from agent.spool.records import Draft, Mark, Opened
from agent.spool.spool import Spool
from agent.workers import Nursery, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wire_rig import MovedClock, Request

    from agent.frame import Item

HTML = b"<html>Welcome to the airport</html>"


@pytest.fixture
def drain(tmp_path: Path, clock: MovedClock) -> Iterator[Drain]:
    """Return an uploader's surroundings in virtual time."""
    with Drain(tmp_path / "spool", clock) as parts:
        yield parts


def pictures(count: int, name: str = "picture") -> list[bytes]:
    """Return so many pictures that can be told apart."""
    return [f"{name} {number:03d}".encode() for number in range(count)]


def by_picture(verdict: Callable[[bytes], Reply | None]) -> Callable[[Request], Reply | None]:
    """Make a server's script of what it says to each picture."""
    return lambda request: verdict(request.body)


def until(moment: float, clock: MovedClock, trouble: Reply | None) -> Callable[[Request], Reply | None]:
    """Make the script of a server that is in trouble until then; None breaks the connection."""
    return lambda _: trouble if clock.boot() < moment else Reply()


def test_a_delivered_item_leaves_with_a_receipt(drain: Drain) -> None:
    """The platform's ids are on record, and the file is gone."""
    drain.put(b"one")
    drain.run(1)
    [receipt] = drain.rows("receipt")
    ids = (receipt["result"], receipt["image_id"], receipt["batch_id"], receipt["storage_key"])
    assert ids == ("delivered", "img-1", "7", "o/k")
    assert (receipt["attempts"], receipt["outcome_unknown"]) == (1, 0)
    assert drain.account() == (1, 0, 0, {})
    assert not list(drain.spool.directory.glob("items/*/*.jpg"))


def test_items_go_oldest_first_on_one_connection(drain: Drain) -> None:
    """A healthy link carries one after another, without a pause between them."""
    drain.put(*pictures(20))
    drain.run(1)
    assert drain.posts() == pictures(20)
    assert drain.server.connections == 1


@pytest.mark.parametrize(
    "reply", [Reply(409, b""), error(400, code="DUPLICATE_IMAGE"), error(422, message="already exists")]
)
def test_a_duplicate_is_a_delivery(drain: Drain, reply: Reply) -> None:
    """The platform has it: the receipt says so, and the books count it as delivered."""
    drain.put(b"one")
    drain.reply = lambda _: reply
    drain.run(1)
    assert [receipt["result"] for receipt in drain.rows("receipt")] == ["duplicate"]
    assert drain.spool.accounts()["cam-1"].duplicates == 1


def test_a_refused_item_is_set_aside_with_the_reason(drain: Drain) -> None:
    """It blocks nobody, keeps its bytes, and says what the platform said."""
    drain.put(b"good", b"bad", b"fine")
    drain.reply = by_picture(lambda body: error(422, message="no pixels") if b"bad" in body else Reply())
    drain.run(1)
    assert drain.account() == (2, 0, 1, {})
    [item] = drain.rows("item")
    assert (item["state"], item["reason"]) == ("quarantined", "the server answered 422: no pixels")


def test_a_deferral_is_on_disk(drain: Drain, tmp_path: Path) -> None:
    """A 500 spends an attempt and sets a time; both outlive the process."""
    drain.put(b"one")
    drain.reply = lambda _: Reply(500, b"")
    drain.uploader()._step()
    [item] = drain.rows("item")
    assert item["attempts"] == 1
    assert 5.0 <= item["not_before"] - drain.clock.boot() <= 15.0
    drain.spool.close()
    with Spool(tmp_path / "spool", Limits(10**9, 0), clock=drain.clock, owner=True) as spool:
        assert spool.outbox.claim() is None
        drain.clock.advance(15)
        again = spool.outbox.claim()
        assert again is not None
        assert again.attempts == 1


def test_a_poison_item_is_set_aside_while_others_succeed(drain: Drain) -> None:
    """One picture that always gets a 500 is tried eight times; what comes meanwhile goes past it."""
    drain.put(b"poison", *pictures(5))
    drain.reply = by_picture(lambda body: Reply(500, b"") if b"poison" in body else Reply())
    uploader = drain.uploader()
    for picture in pictures(60, "fresh"):
        drain.run(30, uploader=uploader)
        drain.clock.advance(30)
        drain.put(picture)
    drain.run(30, uploader=uploader)
    assert drain.account() == (65, 0, 1, {})
    assert ATTEMPTS <= drain.posts().count(b"poison") <= ATTEMPTS + 4


@pytest.mark.parametrize("reply", [Reply(500, b""), error(400, code="VALIDATION_ERROR")])
def test_a_cluster_of_poison_does_not_block_the_queue(drain: Drain, reply: Reply) -> None:
    """Twenty bad pictures at the head, as many good ones behind: the good ones arrive within minutes."""
    drain.put(*pictures(20, "poison"), *pictures(20, "good"))
    drain.reply = by_picture(lambda body: reply if b"poison" in body else Reply())
    drain.run(600)
    assert sorted(picture for picture in drain.posts() if b"good" in picture) == pictures(20, "good")
    assert drain.account()[0] == 20


def test_when_everything_is_refused_nothing_is(drain: Drain) -> None:
    """An hour in which the platform refuses every picture is a fault of the contract: none stays in quarantine."""
    drain.put(*pictures(12))
    drain.reply = until(drain.clock.boot() + 3600, drain.clock, error(400, code="VALIDATION_ERROR"))
    drain.run(3500)
    assert drain.account() == (0, 12, 0, {})
    assert len(drain.posts()) < 40
    drain.run(7200)
    assert drain.account() == (12, 0, 0, {})


def test_a_server_that_fails_for_everybody_costs_nobody(drain: Drain) -> None:
    """An hour of 500 for all: nothing is quarantined, and two attempts are spent at most."""
    drain.put(*pictures(12))
    drain.reply = until(drain.clock.boot() + 3600, drain.clock, Reply(502, b""))
    drain.run(3500)
    assert drain.account() == (0, 12, 0, {})
    assert sum(item["attempts"] for item in drain.rows("item")) <= 2
    drain.run(7200)
    assert drain.account() == (12, 0, 0, {})


def test_an_outage_leaves_items_untouched(drain: Drain) -> None:
    """Without a connection nothing was sent, so nothing is unknown, and no attempt is spent."""
    drain.put(*pictures(3))
    drain.url = "http://127.0.0.1:9/api"
    drain.run(3600)
    assert {(item["attempts"], item["outcome_unknown"], item["not_before"]) for item in drain.rows("item")} == {
        (0, 0, 0)
    }
    assert drain.account() == (0, 3, 0, {})
    assert drain.link.state.cause is Meaning.OFFLINE


def test_i3_a_lost_answer_is_an_unknown_outcome(drain: Drain) -> None:
    """Bytes had gone out: that is on record at once, and the same bytes go again under the same filename."""
    drain.put(b"one")
    drain.reply = until(drain.clock.boot() + 1, drain.clock, None)
    drain.uploader()._step()
    assert [(item["attempts"], item["outcome_unknown"]) for item in drain.rows("item")] == [(0, 1)]
    drain.run(60)
    assert [(receipt["attempts"], receipt["outcome_unknown"]) for receipt in drain.rows("receipt")] == [(1, 1)]
    first, second = drain.server.requests
    assert first == second


TROUBLE = {
    "401": error(401, code="INVALID_TOKEN"),
    "403": error(403),
    "404": Reply(404, HTML),
    "405": Reply(405, b""),
    "redirect": Reply(302, b"", {"Location": "http://portal.example/login"}),
    "portal": Reply(200, HTML),
    "empty": Reply(204, b""),
    "busy": Reply(429, b"", {"Retry-After": "30"}),
    "down": Reply(503, b""),
    "teapot": Reply(418, b"{}"),
    "reset": None,
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_i6_trouble_that_no_item_caused_costs_no_item(drain: Drain, trouble: str) -> None:
    """After an hour nothing is discarded, set aside or charged; then all arrive, untouched."""
    drain.put(*pictures(4))
    drain.reply = until(drain.clock.boot() + 3600, drain.clock, TROUBLE[trouble])
    drain.run(3500)
    assert drain.account() == (0, 4, 0, {})
    assert {(item["attempts"], item["not_before"], item["state"]) for item in drain.rows("item")} == {(0, 0, "waiting")}
    assert len(drain.server.requests) < 150
    drain.run(3 * 3600)
    assert drain.account() == (4, 0, 0, {})
    assert {receipt["attempts"] for receipt in drain.rows("receipt")} == {1}


def test_i6_a_name_that_is_not_found_costs_no_item(drain: Drain) -> None:
    """DNS that fails is waited out."""
    drain.put(b"one")
    drain.url = "http://no-such-host.invalid/api"
    drain.run(100)
    assert drain.account() == (0, 1, 0, {})


def test_a_refused_key_is_asked_after_without_a_picture(drain: Drain) -> None:
    """After one 401 only `GET /device/self` goes out, ever more rarely; the key is read again before each."""
    drain.put(*pictures(2))
    drain.reply = lambda request: Reply() if request.headers["x-device-key"] == "adk_02" else error(401)
    uploader = drain.uploader()
    drain.run(4 * 3600, uploader=uploader)
    targets = [request.target for request in drain.server.requests]
    assert targets[0] == UPLOAD
    assert set(targets[1:]) == {SELF}
    assert drain.refreshed == len(targets) - 1 == drain.link.state.failures - 1
    assert len(targets) < 80  # four minutes apart, mostly
    drain.key = "adk_02"
    drain.run(2 * 3600, uploader=uploader)
    assert [request.target for request in drain.server.requests[len(targets) :]] == [SELF, UPLOAD, UPLOAD]
    assert drain.account() == (2, 0, 0, {})


@pytest.mark.parametrize(
    "answer",
    [
        error(401),
        Reply(200, b'{"data": {"status": "pending"}}'),
        Reply(500, b""),
        error(400),
        Reply(503, b""),
        Reply(200, HTML),
        None,
    ],
    ids=["401", "pending", "500", "400", "503", "portal", "reset"],
)
def test_a_probe_without_a_yes_leaves_the_key_refused(drain: Drain, answer: Reply | None) -> None:
    """Whatever else goes wrong, no picture is spent on the question, and the wait grows."""
    drain.put(b"one")
    drain.reply = lambda request: answer if request.target == SELF else error(401)
    drain.run(1800)
    assert drain.posts() == [b"one"]
    assert drain.link.state.cause is Meaning.DENIED
    assert drain.link.state.failures >= 4


@pytest.mark.parametrize(("approval", "at_least_s", "asked"), [("pending", 60, 30), ("rejected", 900, 2)])
def test_an_unapproved_device_waits_and_says_so(drain: Drain, approval: str, at_least_s: int, asked: int) -> None:
    """Everything is kept; it is asked at an even pace, and uploads begin by themselves once it is approved (I6)."""
    drain.put(b"one")
    said = Reply(200, json.dumps({"data": {"status": approval}}).encode())
    drain.reply = lambda request: said if request.target == SELF else error(403)
    with capture_logs() as logs:
        uploader = drain.uploader()
        drain.run(1900, uploader=uploader)
        assert drain.link.approval == approval
        assert drain.link.state.reason == f"the device is {approval} on the platform"
        selves = [request for request in drain.server.requests if request.target == SELF]
        assert asked * 0.8 <= len(selves) <= 1900 / at_least_s + 1
        said.body = b'{"data": {"status": "approved"}}'
        drain.reply = lambda request: said if request.target == SELF else Reply()
        drain.run(1100, uploader=uploader)
    assert drain.account() == (1, 0, 0, {})
    changes = [entry["approval"] for entry in logs if entry["event"] == "approval_changed"]
    assert changes == [approval, "approved"]


def test_a_key_that_is_revoked_later_is_not_called_pending(drain: Drain) -> None:
    """What the platform said before its 401 does not hold any more."""
    drain.put(b"one")
    answers = iter([Reply(200, b'{"data": {"status": "pending"}}')])
    drain.reply = lambda request: next(answers, error(401)) if request.target == SELF else error(401)
    drain.run(1800)
    assert drain.link.approval == ""


def test_a_server_without_that_route_is_asked_with_the_next_picture(drain: Drain) -> None:
    """Where `device/self` is unknown, a picture is the only question there is."""
    drain.put(b"one")
    drain.reply = lambda request: Reply(404, b"") if request.target == SELF else error(401)
    drain.run(600)
    assert 2 <= len(drain.posts()) < 15
    assert drain.link.state.failures == len(drain.posts())


def half(item: Item) -> bytes:
    """Stand in for the picture child."""
    return item.path.read_bytes()[: item.size // 2]


def too_large(most: int) -> Callable[[Request], Reply]:
    """Make the script of a server with a bound."""
    return lambda request: Reply(413, b"") if int(request.headers["content-length"]) > most else Reply()


def test_what_is_too_large_is_made_smaller_once(drain: Drain) -> None:
    """The smaller picture goes under the same number; the books hold its bytes from then on."""
    drain.put(b"x" * 4000)
    drain.shrink = half
    drain.reply = too_large(3000)
    drain.run(10)
    assert [len(picture) for picture in drain.posts()] == [4000, 2000]
    [receipt] = drain.rows("receipt")
    assert (receipt["size"], receipt["result"]) == (2000, "delivered")
    assert drain.account() == (1, 0, 0, {})
    assert drain.spool.usage().spool_bytes == 0


def test_what_stays_too_large_is_set_aside(drain: Drain) -> None:
    """Made smaller once and refused again, it is nothing for this platform."""
    drain.put(b"x" * 40_000)
    drain.shrink = half
    drain.reply = too_large(3000)
    drain.run(10)
    assert [len(picture) for picture in drain.posts()] == [40_000, 20_000]
    assert drain.account() == (0, 0, 1, {})


def refusing(error: Exception) -> Callable[[Item], bytes]:
    """Make a picture child that refuses."""

    def shrink(_: Item) -> bytes:
        raise error

    return shrink


@pytest.mark.parametrize(
    ("shrink", "reason"),
    [
        (None, "the server answered 413"),
        (refusing(BadPicture("an eighth is too large")), "the server answered 413; an eighth is too large"),
        (refusing(Reject("OpenCV is needed")), "the server answered 413; OpenCV is needed"),
    ],
)
def test_what_cannot_be_made_smaller_is_set_aside(
    drain: Drain, shrink: Callable[[Item], bytes] | None, reason: str
) -> None:
    """Not allowed, not possible, no decoder: the quarantine says which."""
    drain.put(b"x" * 4000)
    drain.shrink = shrink
    drain.reply = too_large(3000)
    drain.run(10)
    assert [item["reason"] for item in drain.rows("item")] == [reason]


def test_a_picture_child_that_is_not_there_holds_up_nobody(drain: Drain) -> None:
    """The large one waits, uncharged; the others go on."""
    drain.put(b"x" * 4000, *pictures(5))
    drain.shrink = refusing(Wait("the picture child does not start"))
    drain.reply = too_large(3000)
    drain.run(60)
    assert drain.account() == (5, 1, 0, {})
    drain.shrink = half
    drain.run(60)
    assert drain.account() == (6, 0, 0, {})
    assert [receipt["attempts"] for receipt in drain.rows("receipt")] == [1] * 6


def test_i5_no_room_for_a_smaller_copy_is_waited_out(tmp_path: Path, clock: MovedClock) -> None:
    """At the disk's floor nothing is written, the small ones go on, and the large one comes to no harm."""
    limits = Limits(max_bytes=10**9, min_free_bytes=0)
    with Drain(tmp_path / "spool", clock, limits=limits) as drain:
        drain.put(b"x" * 4000, *pictures(5))
        drain.spool.allowance.limits = replace(limits, min_free_bytes=10**18)
        drain.shrink = half
        drain.reply = too_large(3000)
        with capture_logs() as logs:
            drain.run(60)
        assert drain.account() == (5, 1, 0, {})
        assert "the disk is nearly full" in str(
            [entry.get("reason") for entry in logs if entry["event"] == "item_deferred"]
        )
        assert not list(drain.spool.directory.glob("items/*/*.small.jpg"))
        drain.spool.allowance.limits = limits
        drain.run(60)
        assert drain.account() == (6, 0, 0, {})


def adopt(drain: Drain, path: Path) -> None:
    """Take in a watched file that is to be deleted after delivery."""
    data = path.read_bytes()
    status = path.stat()
    marks = (status.st_ino, status.st_size, status.st_mtime_ns)
    with path.open("rb") as file:
        memory = Draft.of_bytes(
            data, source="cam-1", captured_at=drain.clock.wall(), media_type="image/jpeg", metadata=""
        )
        draft = memory._replace(
            body=Opened(file.fileno()),
            origin=Origin(str(path), *marks, after="delete"),
            mark=Mark(path.name, *marks, memory.sha256),
        )
        drain.spool.inbox.commit([drain.spool.inbox.stage(draft)])


@pytest.mark.parametrize("again", [b"new bytes", b"more bytes than before"])
def test_i1_a_rewritten_original_is_dropped_and_left_alone(drain: Drain, tmp_path: Path, again: bytes) -> None:
    """Its old bytes are gone: that is on record with its reason, and the new file is nobody's to delete."""
    path = tmp_path / "latest.jpg"
    path.write_bytes(b"old bytes")
    adopt(drain, path)
    path.write_bytes(again)
    drain.put(b"next")
    drain.run(5)
    assert drain.account() == (1, 0, 0, {"changed after adoption": 1})
    assert path.read_bytes() == again
    assert drain.posts()[-1] == b"next"
    assert len(drain.rows("receipt")) == 1


def test_a_picture_that_is_gone_is_an_explained_loss(drain: Drain) -> None:
    """Somebody removed it from the spool: one item, with its reason, and no retry."""
    drain.put(b"one", b"two")
    min(drain.spool.directory.glob("items/*/*.jpg")).unlink()
    drain.run(5)
    assert drain.account() == (1, 0, 0, {"its file is missing from the spool": 1})


def test_a_picture_that_cannot_be_read_holds_up_nobody(drain: Drain) -> None:
    """A bad sector under the oldest one: it waits, uncharged, while the others go; mended, it goes too."""
    drain.put(*pictures(6))
    first = min(drain.spool.directory.glob("items/*/*.jpg"))
    first.rename(first.with_suffix(".aside"))
    first.symlink_to(first.with_suffix(".aside"))  # which the uploader does not follow: reading is refused
    drain.run(120)
    assert drain.account() == (5, 1, 0, {})
    assert [item["attempts"] for item in drain.rows("item")] == [0]
    first.with_suffix(".aside").replace(first)
    drain.run(30)
    assert drain.account() == (6, 0, 0, {})


def test_a_damaged_index_is_not_waited_out(drain: Drain) -> None:
    """Damage is for a restart to mend: it ends the uploader instead of being tried again for ever."""
    drain.put(b"one")
    with closing(sqlite3.connect(drain.spool.directory / "index.sqlite3")) as other:
        other.execute("UPDATE item SET captured_at = 'yesterday'")
        other.commit()
    with pytest.raises(SpoolDamaged):
        drain.uploader().run()


class Live:
    """Uploaders in threads of their own, on the machine's clock, as the pipeline runs them."""

    def __init__(self, drain: Drain, workers: int = 1) -> None:
        self.nursery = Nursery(drain.stop)
        drain.stop.subscribe(drain.spool.arrived.ring)
        for number in range(workers):
            uploader = drain.uploader(f"upload-{number}")
            self.nursery.start(f"upload-{number}", uploader.run)

    def stop(self) -> float:
        """Stop them; return how long that took."""
        began = time.monotonic()
        self.nursery.stop.set()
        assert self.nursery.join(5) == []
        assert self.nursery.failure is None
        return time.monotonic() - began


def eventually(fact: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 10
    while not fact():
        assert time.monotonic() < deadline, "it never came to be so"
        time.sleep(0.01)


@pytest.fixture
def live(tmp_path: Path, clock: MovedClock) -> Iterator[Drain]:
    """Return an uploader's surroundings for real threads, with a stop that really waits."""
    with Drain(tmp_path / "spool", clock, stop=Stop()) as parts:
        yield parts


def test_several_uploaders_deliver_each_item_once(live: Drain) -> None:
    """Four of them share a backlog and what comes meanwhile; nothing goes twice, nothing stays."""
    live.put(*pictures(60))
    uploaders = Live(live, workers=4)
    live.put(*pictures(20, "fresh"))
    eventually(lambda: live.account()[0] == 80)
    assert uploaders.stop() < 1
    assert sorted(live.posts()) == sorted([*pictures(60), *pictures(20, "fresh")])


def test_a_new_picture_wakes_an_idle_uploader(live: Drain) -> None:
    """It does not wait for the next look: the bell rings."""
    uploaders = Live(live)
    eventually(lambda: live.pulse.stalled(-1.0) == [])
    live.put(b"one")
    began = time.monotonic()
    eventually(lambda: live.account()[0] == 1)
    assert time.monotonic() - began < 1
    assert uploaders.stop() < 1


def paused(drain: Drain) -> None:
    """Put the link into a long pause."""
    drain.put(b"one")
    drain.link.report(Meaning.BUSY, "busy", retry_after_s=3600.0)


def deferred(drain: Drain) -> None:
    """Leave an item that is due later."""
    drain.put(b"one")
    item = drain.spool.outbox.claim()
    assert item is not None
    drain.spool.outbox.defer(item, drain.clock.boot() + 3600)


@pytest.mark.parametrize("prepare", [lambda _: None, paused, deferred], ids=["idle", "paused", "deferred"])
def test_i4_a_stop_ends_every_wait(live: Drain, prepare: Callable[[Drain], None]) -> None:
    """Whatever an uploader waits for, it ends at once."""
    prepare(live)
    uploaders = Live(live, workers=2)
    time.sleep(0.1)  # until they wait
    assert uploaders.nursery.running() == ["upload-0", "upload-1"]
    assert uploaders.stop() < 1
    assert live.posts() == []


def test_the_link_recovers_for_all(live: Drain) -> None:
    """After an outage one uploader probes; when it succeeds, the others join in."""
    live.put(*pictures(30))
    live.link.report(Meaning.OFFLINE, "no route")
    live.clock.advance(live.link.state.open_at - live.clock.boot())
    uploaders = Live(live, workers=3)
    eventually(lambda: live.account()[0] == 30)
    assert uploaders.stop() < 1
