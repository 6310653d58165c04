from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx
from structlog.testing import capture_logs
from wire_rig import KEY, MovedClock, Routed, make_client

from agent.checkin import SPARED, CheckIn, Report, pause
from agent.errors import SpoolUnavailable
from agent.platform.answers import RETRY_AFTER_CAP_S, Meaning
from agent.platform.key import KeyHolder
from agent.retry import LINK
from agent.workers import Stop

if TYPE_CHECKING:
    from agent.platform.actions import Action

URL = "http://127.0.0.1:9/api"
SELF = {"success": True, "data": {"device_id": "press-7", "status": "approved"}}
ACTIONS = [{"id": 1, "type": "reboot"}]


class Desk:
    """A platform of respx's, and a check-in before it."""

    def __init__(self, clock: MovedClock, *, heartbeat: bool = False, every_s: float = 30.0) -> None:
        self.clock = clock
        self.router = respx.MockRouter(assert_all_called=False)
        self.checkins = self.router.post(f"{URL}/device/checkin")
        self.checkins.respond(200, json={"success": True, "data": {"actions": ACTIONS}})
        self.selves = self.router.get(f"{URL}/device/self")
        self.selves.respond(200, json=SELF)
        self.beats = self.router.post(f"{URL}/core/agent/checkin")
        self.beats.respond(200, json={"success": True, "pending_actions": []})
        self.obeyed: list[Action] = []
        self.approvals: list[str] = []
        self.refreshed = 0
        self.trouble: Exception | None = None
        self.stop = Stop()
        self.checkin = CheckIn(
            make_client(URL, transport=Routed(self.router)),
            report=self._report,
            obey=self.obeyed.extend,
            approve=self.approvals.append,
            key=KeyHolder(KEY, self._read),
            every_s=every_s,
            first_s=0.0,
            heartbeat=(lambda: "mdl_77") if heartbeat else None,
            stop=self.stop,
            clock=clock,
            rng=random.Random(1),
        )

    def _report(self) -> Report:
        if self.trouble:
            raise self.trouble
        return Report("degraded", {"cpu_usage": 3.5, "queue_items": 4})

    def _read(self) -> str:
        self.refreshed += 1
        return KEY

    def run(self, seconds: float) -> int:
        """Check in for so long, in virtual time; return how many requests that took."""
        until, before = self.clock.boot() + seconds, len(self.router.calls)
        while self.clock.boot() < until:
            self.clock.advance(self.checkin.once())
        return len(self.router.calls) - before


def test_a_check_in_says_how_the_device_is(clock: MovedClock) -> None:
    """Status and figures go out with the key, and what the platform asks for is handed on."""
    desk = Desk(clock)
    wait_s = desk.checkin.once()
    request = desk.checkins.calls.last.request
    assert json.loads(request.content) == {"status": "degraded", "metrics": {"cpu_usage": 3.5, "queue_items": 4}}
    assert request.headers["x-device-key"] == KEY
    assert [action.id for action in desk.obeyed] == ["1"]
    assert desk.approvals == ["approved"]
    assert 24.0 <= wait_s <= 30.0
    assert desk.checkin.facts() == {
        "last_at": "2026-03-14T08:15:02.417Z",
        "status": "degraded",
        "cause": None,
        "reason": None,
        "failures": 0,
        "device_id": "press-7",
    }


def test_it_goes_on_at_its_pace(clock: MovedClock) -> None:
    """Every 30 s or a little sooner; who the device is, is asked once an hour."""
    desk = Desk(clock)
    desk.run(7000)
    assert 7000 / 30 <= desk.checkins.call_count <= 7000 / 24 + 1
    assert desk.selves.call_count == 2


@pytest.mark.parametrize(
    ("answer", "cause", "most"),
    [
        ({"status_code": 404}, "wrong_url", 26),
        ({"status_code": 401}, "denied", 34),
        ({"status_code": 403}, "denied", 34),
        ({"status_code": 400}, "refused", 26),
        ({"status_code": 409}, "duplicate", 60),
        ({"status_code": 413}, "too_large", 60),
        ({"status_code": 500}, "server_error", 60),
        ({"status_code": 429}, "busy", 60),
        ({"status_code": 200, "html": "<p>login"}, "unproven", 60),
        ({"status_code": 200, "json": []}, "unproven", 60),
        ({"status_code": 302}, "wrong_url", 26),
    ],
)
def test_no_answer_makes_a_tight_loop(clock: MovedClock, answer: dict[str, Any], cause: str, most: int) -> None:
    """Whatever the platform says instead, it is asked less often, and said a few times at most."""
    desk = Desk(clock)
    desk.checkins.respond(**answer)
    with capture_logs() as logs:
        desk.run(7200)
    assert desk.checkin.facts()["cause"] == cause
    assert 3 <= desk.checkins.call_count <= most
    said = [entry for entry in logs if entry["event"] == "checkin_failed"]
    assert 1 <= len(said) <= 6
    assert not desk.obeyed
    if cause == "wrong_url":
        assert len(said) == 1


def test_an_outage_ends(clock: MovedClock) -> None:
    """Failures back off; the first success is said, and the pace is the old one."""
    desk = Desk(clock)
    desk.checkins.mock(side_effect=httpx.ConnectError("down"))
    with capture_logs() as logs:
        desk.run(3600)
        assert desk.checkin.state.failures > 5
        desk.checkins.mock(return_value=httpx.Response(200, json={"success": True}))
        desk.run(600)
    assert desk.checkin.facts()["cause"] is None
    assert [entry["event"] for entry in logs][-1] == "checkin_restored"


def test_a_refused_key_is_read_again(clock: MovedClock) -> None:
    """One that was put right is noticed without a restart."""
    desk = Desk(clock)
    desk.checkins.respond(401)
    desk.checkin.once()
    assert desk.refreshed == 1


@pytest.mark.parametrize("status", ["pending", "rejected"])
def test_an_approval_is_handed_on(clock: MovedClock, status: str) -> None:
    """Whoever holds the uploads is told."""
    desk = Desk(clock)
    desk.selves.respond(200, json={"data": {"status": status}})
    desk.checkin.once()
    assert desk.approvals == [status]


def test_a_platform_without_device_self_is_checked_in_with(clock: MovedClock) -> None:
    """That route may be missing; the other one counts."""
    desk = Desk(clock)
    desk.selves.respond(404)
    desk.checkin.once()
    assert desk.checkin.state.status == "degraded"
    assert desk.approvals == []


def test_a_spool_that_cannot_be_read_is_no_check_in(clock: MovedClock) -> None:
    """Nobody can say then how the queue is; it is tried again."""
    desk = Desk(clock)
    desk.trouble = SpoolUnavailable("the disk fails")
    assert desk.checkin.once() >= 24.0
    assert "the disk fails" in desk.checkin.state.reason
    assert desk.checkins.call_count == 0


def test_a_heartbeat_goes_along_where_it_is_wanted(clock: MovedClock) -> None:
    """It has the device's id, and its actions count too, once."""
    desk = Desk(clock, heartbeat=True)
    desk.beats.respond(200, json={"success": True, "pending_actions": [{"id": 2}]})
    desk.checkin.once()
    body = json.loads(desk.beats.calls.last.request.content)
    assert body == {"device_id": "press-7", "status": "degraded", "current_model_id": "mdl_77"}
    assert [action.id for action in desk.obeyed] == ["1", "2"]


def test_a_heartbeat_that_fails_is_none(clock: MovedClock) -> None:
    """The check-in stands without it."""
    desk = Desk(clock, heartbeat=True)
    desk.beats.respond(404, json={"pending_actions": [{"id": 2}]})
    desk.checkin.once()
    assert desk.checkin.state.cause == ""
    assert [action.id for action in desk.obeyed] == ["1"]


def test_it_ends_when_told_to(clock: MovedClock) -> None:
    """A stop that came first is not lost."""
    desk = Desk(clock)
    desk.stop.set()
    desk.checkin.run()
    assert desk.router.calls.call_count == 0


@pytest.mark.parametrize("meaning", list(Meaning))
@pytest.mark.parametrize("retry_after_s", [None, 0.0, 7.0, RETRY_AFTER_CAP_S])
def test_a_pause_is_never_short(meaning: Meaning, retry_after_s: float | None) -> None:
    """A failure never makes it quicker, at any count; what a server asks for is waited, with a spread."""
    rng = random.Random(2)
    for failures in (1, 2, 1024):
        wait_s = pause(meaning, failures, every_s=30.0, retry_after_s=retry_after_s, rng=rng)
        assert wait_s >= 30.0 * (1 - SPARED)
        assert wait_s <= max(LINK.get(meaning, LINK[Meaning.UNPROVEN]).cap_s, retry_after_s or 0) + 40
        if meaning is not Meaning.DELIVERED:
            assert wait_s >= (retry_after_s or 0)
