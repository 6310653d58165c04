from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx
from wire_rig import MovedClock, Routed, make_client

from agent.config.key_file import KeyFile
from agent.errors import AgentError, ConfigError, Interrupted, Refused, TryLater, UsageError
from agent.platform.identity import Identity
from agent.provisioning.provisioner import Proven, Provisioner
from agent.workers import Stop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.platform.client import Client

URL = "http://10.0.0.7:8080"
API = f"{URL}/api"
TOKEN = "apt_01"
OLD, NEW = "adk_01", "adk_02"
GRANT = {"success": True, "data": {"api_key": NEW, "api_endpoint": URL, "device_id": "d"}}


def me(status: str = "approved") -> dict[str, Any]:
    """Make the answer of `device/self`."""
    return {"success": True, "data": {"device_id": "d", "status": status, "name": "dock"}}


class Waits(Stop):
    """A stop whose waits move the clock."""

    def __init__(self, clock: MovedClock) -> None:
        super().__init__()
        self._clock = clock
        self.meanwhile: Callable[[], object] = lambda: None

    def wait(self, seconds: float | None) -> bool:
        """Let virtual time pass."""
        self._clock.advance(seconds or 0)
        self.meanwhile()
        return self.is_set()


@dataclass
class Bench:
    """A platform of respx's, with the API below /api, and a device before it."""

    keys: KeyFile
    clock: MovedClock
    stop: Waits
    router: respx.MockRouter = field(default_factory=lambda: respx.MockRouter(assert_all_called=False))
    said: list[str] = field(default_factory=list)
    tokens: int = 0
    down: bool = False

    def __post_init__(self) -> None:
        self.known = {NEW: "approved"}
        self.grant = self.router.post(f"{API}/devices/provision")
        self.grant.respond(201, json=GRANT)
        self.router.get(f"{API}/device/self").mock(side_effect=self._identify)
        self.router.route(url__startswith=URL).respond(404)

    def _identify(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("down")
        status = self.known.get(request.headers["x-device-key"])
        return httpx.Response(200, json=me(status)) if status else httpx.Response(401)

    def provisioner(self) -> Provisioner:
        """Put the parts together."""

        def dial(base: str, key: str) -> Client:
            return make_client(base, key=lambda: key, transport=Routed(self.router))

        return Provisioner(
            self.keys,
            dial,
            token=self._token,
            inline=None,
            say=self.said.append,
            stop=self.stop,
            clock=self.clock,
            rng=random.Random(1),
        )

    def _token(self) -> str:
        self.tokens += 1
        return TOKEN

    def run(self, *, url: str = URL, renew: bool = False) -> Proven:
        """Provision as the command does."""
        return self.provisioner().run(url, "d", "dock", renew=renew)

    def fail(self, error: type[AgentError], *, renew: bool = False) -> str:
        """Provision in vain; return the sentence, and see that nothing was put in the place of a key."""
        before = self.current
        with pytest.raises(error) as caught:
            self.run(renew=renew)
        assert self.current == before
        sentence = str(caught.value)
        assert "\n" not in sentence
        assert not any(secret in sentence for secret in (TOKEN, OLD, NEW))
        return sentence

    @property
    def current(self) -> str | None:
        """The key in place."""
        return self.keys.path.read_text(encoding="ascii").strip() if self.keys.path.exists() else None

    def put(self, key: str) -> None:
        """Give the device a key."""
        self.keys.path.write_text(key, encoding="ascii")


@pytest.fixture
def bench(tmp_path: Path, clock: MovedClock) -> Bench:
    """Return a device without a key."""
    return Bench(KeyFile(tmp_path / "device_key"), clock, Waits(clock))


@pytest.mark.parametrize("url", [URL, API])
def test_a_token_becomes_a_key_in_place(bench: Bench, url: str) -> None:
    """The base that answers is found, with /api or without, and the token goes without a key."""
    assert bench.run(url=url) == Proven(API, Identity("d", "approved", "dock"), renewed=True)
    assert bench.current == NEW
    assert not bench.keys.new.exists()
    request = bench.grant.calls.last.request
    assert "x-device-key" not in request.headers
    assert b'"token": "apt_01"' in request.content


def test_run_twice_it_does_no_harm(bench: Bench) -> None:
    """A key that works is left alone: the token is not even read."""
    bench.run()
    again = bench.run()
    assert (again.renewed, bench.tokens, bench.grant.call_count, bench.current) == (False, 1, 1, NEW)


def test_a_working_key_is_renewed_when_asked(bench: Bench) -> None:
    """The old key gives way only to one that was proven."""
    bench.put(OLD)
    bench.known[OLD] = "approved"
    assert not bench.run().renewed
    assert bench.run(renew=True).renewed
    assert bench.current == NEW


def test_a_key_that_the_platform_forgot_is_replaced(bench: Bench) -> None:
    """A 401 for the key in place is what provisioning is for."""
    bench.put(OLD)
    assert bench.run().renewed
    assert bench.said


def error(status: int, code: str) -> dict[str, Any]:
    """Make what a route answers."""
    return {"status_code": status, "json": {"success": False, "error": {"code": code, "message": f"{TOKEN} no"}}}


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (error(400, "VALIDATION_ERROR"), UsageError, "--device-id"),
        (error(401, "INVALID_TOKEN"), Refused, "Make a new token"),
        (error(401, "TOKEN_EXPIRED"), Refused, "expired"),
        (error(409, "DEVICE_EXISTS"), Refused, "another --device-id"),
        (error(404, "NOT_FOUND"), UsageError, "Check --url"),
        ({"status_code": 307, "headers": {"location": "https://h/"}}, UsageError, "https://h/"),
        ({"status_code": 200, "html": "<p>login"}, UsageError, "login page"),
        (error(503, "BUSY"), TryLater, "Try again later"),
    ],
)
def test_each_refusal_is_a_sentence_with_its_remedy(
    bench: Bench, answer: dict[str, Any], kind: type[AgentError], words: str
) -> None:
    """Whatever the platform refuses, nothing is left behind and nothing was changed."""
    bench.grant.respond(**answer)
    assert words in bench.fail(kind)
    assert not bench.keys.new.exists()


@pytest.mark.parametrize("fault", [httpx.ReadTimeout("slow"), httpx.ReadError("reset")])
def test_a_lost_answer_tells_that_the_token_may_be_spent(bench: Bench, fault: Exception) -> None:
    """Bytes had left, so nobody knows; asking again is safe, and the remedy says what comes then."""
    bench.grant.mock(side_effect=fault)
    sentence = bench.fail(TryLater)
    assert "whether the token was spent is not known" in sentence
    assert bench.grant.call_count == 1


def test_a_key_that_cannot_be_proven_is_kept(bench: Bench) -> None:
    """It is shown once: the next run proves it, and needs no token."""
    bench.known = {}
    assert "token is not needed any more" in bench.fail(Refused)
    assert bench.keys.new.read_text(encoding="ascii") == f"{NEW}\n"
    bench.known = {NEW: "approved"}
    assert bench.run().renewed
    assert (bench.current, bench.tokens, bench.keys.new.exists()) == (NEW, 1, False)


def test_a_key_that_is_not_known_at_once_is_tried_again(bench: Bench) -> None:
    """A platform of many servers may need a moment."""
    bench.known = {}
    bench.stop.meanwhile = lambda: bench.known.update({NEW: "approved"})
    assert bench.run().renewed


def test_an_earlier_key_that_is_refused_is_kept_aside(bench: Bench) -> None:
    """It makes room for a new one, and is not thrown away."""
    bench.keys.new.write_text("adk_0e", encoding="ascii")
    assert bench.run().renewed
    assert bench.keys.refused.read_text(encoding="ascii") == "adk_0e"
    assert bench.current == NEW


def test_a_strange_key_is_kept_and_said(bench: Bench) -> None:
    """A key of another form is written down before anything is said of it."""
    bench.grant.respond(201, json={"data": {"api_key": "key-of-2031"}})
    assert "unknown form" in bench.fail(AgentError)
    assert bench.keys.new.read_text(encoding="ascii") == "key-of-2031\n"


def test_a_disk_that_refuses_costs_no_token(tmp_path: Path, clock: MovedClock) -> None:
    """The key's place is made before the token leaves the device."""
    (tmp_path / "file").write_text("", encoding="ascii")
    bench = Bench(KeyFile(tmp_path / "file"), clock, Waits(clock))
    bench.keys = KeyFile(tmp_path / "gone")
    bench.keys.new = tmp_path / "file" / "new"
    with pytest.raises(ConfigError):
        bench.run()
    assert bench.grant.call_count == 0


def test_a_pending_device_gets_its_key(bench: Bench) -> None:
    """The agent can wait for the approval by itself; nothing is gained by withholding the key."""
    bench.known[NEW] = "pending"
    assert bench.run().identity.status == "pending"
    assert bench.current == NEW


def test_a_pending_key_does_not_replace_one_that_delivers(bench: Bench) -> None:
    """Until it is approved the old key stays in use; then the same command goes on."""
    bench.put(OLD)
    bench.known |= {OLD: "approved", NEW: "pending"}
    assert "the old one stays in use" in bench.fail(TryLater, renew=True)
    bench.known[NEW] = "approved"
    assert bench.run(renew=True).renewed
    assert (bench.current, bench.tokens) == (NEW, 1)


def test_a_rejected_key_is_kept_but_not_used(bench: Bench) -> None:
    """Who was rejected may be approved later."""
    bench.known[NEW] = "rejected"
    assert "rejected" in bench.fail(Refused)
    assert bench.keys.new.exists()


def test_a_device_that_is_forbidden_asks_for_no_new_key(bench: Bench) -> None:
    """403 is about the device, not the key: a token would be wasted on it."""
    bench.put(OLD)
    bench.router.get(f"{API}/device/self").respond(403)
    bench.fail(Refused)
    assert bench.tokens == 0


@pytest.mark.parametrize("answer", [{"status_code": 503}, {"side_effect": httpx.ConnectError("down")}])
def test_a_key_that_cannot_be_tried_is_not_replaced(bench: Bench, answer: dict[str, Any]) -> None:
    """Without an answer nobody knows that it is bad."""
    bench.put(OLD)
    bench.router.get(f"{API}/device/self").mock(
        side_effect=answer.get("side_effect"), return_value=httpx.Response(answer.get("status_code", 200))
    )
    bench.fail(TryLater)
    assert bench.tokens == 0


class TestWaiting:
    """`--wait`."""

    def wait(self, bench: Bench, seconds: float = 600) -> Proven:
        """Provision a pending device, and wait."""
        bench.known[NEW] = "pending"
        return bench.provisioner().await_approval(bench.run(), seconds=seconds)

    def test_it_ends_with_the_approval(self, bench: Bench, clock: MovedClock) -> None:
        """It asks every few seconds, through an outage too."""
        began = clock.boot()
        bench.known[NEW] = "pending"
        proven = bench.run()

        def meanwhile() -> None:
            late = clock.boot() - began
            bench.down = 8 < late < 16
            bench.known[NEW] = "approved" if late > 20 else "pending"

        bench.stop.meanwhile = meanwhile
        proven = bench.provisioner().await_approval(proven, seconds=600)
        assert (proven.identity.status, proven.renewed) == ("approved", True)
        assert 20 < clock.boot() - began < 40

    def test_it_ends_with_the_time(self, bench: Bench, clock: MovedClock) -> None:
        """Nobody came: code 5, and the key stays in place."""
        began = clock.boot()
        with pytest.raises(TryLater, match="still pending after 600 s"):
            self.wait(bench)
        assert 600 <= clock.boot() - began < 620
        assert bench.current == NEW

    def test_it_ends_with_a_rejection(self, bench: Bench) -> None:
        """That is an answer too: code 6."""
        bench.stop.meanwhile = lambda: bench.known.update({NEW: "rejected"})
        with pytest.raises(Refused, match="rejected"):
            self.wait(bench)

    def test_it_ends_when_told_to(self, bench: Bench) -> None:
        """The key stays in place."""
        bench.stop.meanwhile = bench.stop.set
        with pytest.raises(Interrupted):
            self.wait(bench)
        assert bench.current == NEW
