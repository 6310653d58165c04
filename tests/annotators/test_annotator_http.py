from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from inference_server import inference

from agent.annotations.read import Subject
from agent.annotators.answers import MAX_ANSWER_BYTES, read_answer
from agent.annotators.http import Server
from agent.app.annotator_plans import annotator_plan, request_plan
from agent.clock import SystemClock
from agent.config.annotators import AnnotatorSettings
from agent.errors import Unanswered
from agent.frame import Annotation
from agent.workers import Stop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inference_server import InferenceServer

    from agent.annotators.plan import AnnotatorPlan

JPEG = b"\xff\xd8\xff a picture \r\n--boundary\r\n\xff\xd9" + bytes(range(256)) * 300
BOX = (0.5, 0.5, 0.25, 0.5)
GENERIC = {"answer_list": "data.found", "label_key": "kind", "confidence_key": "p", "box_keys": ["rect"]}
PERCENT = {"box_form": "top_left", "box_unit": "percent"}


@pytest.fixture(scope="module")
def server() -> Iterator[InferenceServer]:
    """Return a server that speaks as several do."""
    with inference() as running:
        yield running


@contextmanager
def asking(url: str, **settings: Any) -> Iterator[tuple[Server, AnnotatorPlan, Stop]]:  # noqa: ANN401 (the settings' own values)
    """Ask a server as the configuration says, for the length of a block."""
    parsed = AnnotatorSettings(kind="http", url=url, **{"timeout_s": 5.0, **settings})
    plan, stop = annotator_plan(parsed), Stop()
    engine = Server(request_plan(parsed), plan, context=None, stop=stop, clock=SystemClock())
    try:
        yield engine, plan, stop
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("path", "settings", "confidence"),
    [
        ("/project/3?api_key=rf_secret", {"preset": "roboflow"}, 0.9),
        ("/v1/vision/detection", {"preset": "deepstack", "min_confidence": 0.4}, 0.9),
        ("/api/generate", {"preset": "ollama", "language_model": "qwen", "classes": ["dent", "scratch"]}, None),
        ("/generic", {**GENERIC, **PERCENT}, 0.9),
        ("/generic", {**GENERIC, **PERCENT, "body": "json", "body_field": "picture"}, 0.9),
        ("/generic", {**GENERIC, **PERCENT, "body": "jpeg"}, 0.9),
    ],
)
def test_each_kind_of_server_gets_its_picture(
    server: InferenceServer, path: str, settings: dict[str, Any], confidence: float | None
) -> None:
    """The JPEG comes out of the request byte for byte, and the box out of the answer, whatever either looks like."""
    with asking(server.url + path, **settings) as (engine, plan, _):
        labels = read_answer(engine.look(JPEG), plan, Subject("belt.jpg", 400, 200))
    assert labels.annotations == (Annotation("dent", BOX, confidence),)
    asked, headers, picture, _members = server.requests[-1]
    assert (asked, picture) == (path, JPEG)
    assert "x-device-key" not in headers


def test_a_language_model_is_asked_for_the_classes(server: InferenceServer) -> None:
    """The prompt names them, the answer is held to a grammar, and nothing is left to chance."""
    with asking(
        server.url + "/api/generate", preset="ollama", language_model="qwen", classes=["dent", "rust"]
    ) as asked:
        asked[0].look(JPEG)
    members = server.requests[-1][3]
    assert "one of: dent, rust." in members["prompt"]
    assert (members["model"], members["stream"], members["options"]) == ("qwen", False, {"temperature": 0})
    assert "objects" in members["format"]["properties"]


def test_headers_and_members_go_with_the_picture(server: InferenceServer) -> None:
    """A token of the server's own, and further fields of its form."""
    settings = {"headers": {"Authorization": "Bearer t0ken"}, "body_members": {"zone": "a", "top": 5}}
    with asking(server.url + "/generic", **settings) as (engine, _, _):
        engine.look(JPEG)
    _, headers, _, members = server.requests[-1]
    assert headers["authorization"] == "Bearer t0ken"
    assert members == {"zone": b"a", "top": b"5"}


def test_proxies_of_the_environment_are_not_used(server: InferenceServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures go to the server that is named, whatever the variables say."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with asking(server.url + "/generic") as (engine, _, _):
        assert engine.look(JPEG)


@pytest.mark.parametrize(
    ("path", "reason", "away"),
    [
        ("/redirect", r"it redirects \(302\)", True),
        ("/busy", "it answered 503: .*model is loading", True),
        ("/refuses", "it answered 400: .*cannot identify image", False),
        ("/huge", f"larger than {MAX_ANSWER_BYTES} bytes", True),
        ("/drips", "did not answer in time", True),
        ("/hangs", "did not answer in time", True),
    ],
)
def test_what_goes_wrong_is_told(server: InferenceServer, path: str, reason: str, away: bool) -> None:  # noqa: FBT001 (a column)
    """A refusal that is about the picture leaves the next one alone; all others have the annotator rest."""
    with asking(server.url + path, timeout_s=0.3 if "time" in reason else 5.0) as (engine, _, _):
        before = len(server.requests)
        began = time.monotonic()
        with pytest.raises(Unanswered, match=reason) as caught:
            engine.look(JPEG)
        assert time.monotonic() - began < 2.0
        assert caught.value.away is away
        assert len(server.requests) == before + 1, "a redirect is not followed"


def test_rubbish_is_no_answer(server: InferenceServer) -> None:
    """A login page says nothing of the picture."""
    with asking(server.url + "/rubbish") as (engine, plan, _), pytest.raises(Unanswered, match="cannot be read"):
        read_answer(engine.look(JPEG), plan, Subject("", 400, 200))


def test_a_connection_that_was_closed_is_opened_again(server: InferenceServer) -> None:
    """A server that hangs up between two pictures costs neither of them."""
    with asking(server.url + "/hangs_up") as (engine, _, _):
        assert engine.look(JPEG)
        time.sleep(0.05)
        assert engine.look(JPEG)


def test_nobody_there_is_told_with_the_address() -> None:
    """Host and port, but no path and no query: they may hold a token."""
    with asking("http://127.0.0.1:9/v1?api_key=secret") as (engine, _, _):
        with pytest.raises(Unanswered, match=r"http://127\.0\.0\.1:9 cannot be asked") as caught:
            engine.look(JPEG)
    assert "secret" not in str(caught.value)


def test_the_stop_breaks_off_a_request(server: InferenceServer) -> None:
    """A server that is thinking does not hold the stop."""
    with asking(server.url + "/sticks", timeout_s=60) as (engine, _, stop):
        timer = threading.Timer(0.2, stop.set)
        timer.start()
        began = time.monotonic()
        with pytest.raises(Unanswered, match="stopping"):
            engine.look(JPEG)
        timer.join()
    server.stuck.set()
    assert time.monotonic() - began < 5.0
