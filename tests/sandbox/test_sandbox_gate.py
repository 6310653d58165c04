from __future__ import annotations

import socket
import time
from http.client import HTTPConnection
from typing import IO, TYPE_CHECKING, Any

import httpx
import pytest

from agent.sandbox.process import SandboxProcess

if TYPE_CHECKING:
    from collections.abc import Iterator


UPLOAD = "/device/images/upload"
JPEG = b"\xff\xd8\xff\xe0 a picture"
BODY = (
    b'--frontier\r\nContent-Disposition: form-data; name="image"; filename="belt.jpg"\r\n\r\n'
    + JPEG
    + b"\r\n--frontier--\r\n"
)
HEAD = (
    b"POST /device/images/upload HTTP/1.1\r\nHost: x\r\nX-Device-Key: adk_01\r\n"
    b"Content-Type: multipart/form-data; boundary=frontier\r\nContent-Length: %d\r\n\r\n" % len(BODY)
)


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IO[bytes]]:
    """Return the file that the sandbox's standard error goes to."""
    with (tmp_path_factory.mktemp("complaints") / "stderr").open("w+b") as file:
        yield file


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, complaints: IO[bytes]) -> Iterator[SandboxProcess]:
    """Run one sandbox for all tests of the module."""
    with SandboxProcess(tmp_path_factory.mktemp("gate"), stderr=complaints.fileno()) as process:
        yield process


@pytest.fixture
def sandbox(running: SandboxProcess, complaints: IO[bytes]) -> Iterator[SandboxProcess]:
    """Return the sandbox, empty and without faults; it must have nothing to complain of afterwards."""
    running.clear()
    running.set_faults({})
    yield running
    complaints.seek(0)
    assert complaints.read() == b"", "the sandbox complained on standard error"


def connect(sandbox: SandboxProcess) -> socket.socket:
    """Return a bare connection to the sandbox."""
    return socket.create_connection(("127.0.0.1", sandbox.port), timeout=5)


def upload(sandbox: SandboxProcess, timeout_s: float = 5.0) -> httpx.Response:
    """Upload the picture."""
    headers = {"X-Device-Key": "adk_01", "Content-Type": "multipart/form-data; boundary=frontier"}
    return httpx.post(sandbox.url + UPLOAD, content=BODY, headers=headers, timeout=timeout_s, trust_env=False)


def outcomes(sandbox: SandboxProcess) -> dict[str, int]:
    """Return how uploads were answered since the module began."""
    return sandbox.requests().get("upload", {})


@pytest.mark.parametrize(("when", "stored"), [("before", 0), ("after", 1)])
def test_a_dropped_connection_is_reset(sandbox: SandboxProcess, when: str, stored: int) -> None:
    """The client of a dropped connection meets a reset and not one byte; the picture is stored, or it is not."""
    dropped = outcomes(sandbox).get("dropped", 0)
    sandbox.set_faults({"fault": [{"drop": when, "count": 1}]})
    with connect(sandbox) as raw:
        raw.sendall(HEAD + BODY)
        with pytest.raises(ConnectionResetError):
            raw.recv(1)
    assert sandbox.count() == stored
    assert outcomes(sandbox)["dropped"] == dropped + 1
    assert upload(sandbox).status_code == (409 if stored else 201)


def test_a_drop_may_come_late(sandbox: SandboxProcess) -> None:
    """A delay with a drop holds the connection first."""
    sandbox.set_faults({"fault": [{"drop": "after", "delay_s": 0.2}]})
    began = time.monotonic()
    with pytest.raises(httpx.ReadError):
        upload(sandbox)
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(
    ("rule", "status", "headers", "error"),
    [
        ({"status": 500}, 500, {}, ("INTERNAL_SERVER_ERROR", "The fault script says so")),
        ({"status": 599}, 599, {}, ("STATUS_599", "The fault script says so")),
        ({"status": 401, "code": "TOKEN_EXPIRED", "message": "late"}, 401, {}, ("TOKEN_EXPIRED", "late")),
        (
            {"status": 429, "retry_after": 7},
            429,
            {"retry-after": "7"},
            ("TOO_MANY_REQUESTS", "The fault script says so"),
        ),
        (
            {"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"},
            503,
            {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"},
            ("SERVICE_UNAVAILABLE", "The fault script says so"),
        ),
        ({"duplicate": True}, 409, {}, ("DUPLICATE_IMAGE", "This image was uploaded before")),
        ({"duplicate": True, "status": 422}, 422, {}, ("DUPLICATE_IMAGE", "This image was uploaded before")),
    ],
)
def test_a_status_of_the_script_comes_in_the_envelope(
    sandbox: SandboxProcess, rule: dict[str, Any], status: int, headers: dict[str, str], error: tuple[str, str]
) -> None:
    """A scripted refusal has its status, code, message and headers, and stores nothing."""
    sandbox.set_faults({"fault": [rule]})
    answer = upload(sandbox)
    assert answer.status_code == status
    assert headers.items() <= dict(answer.headers).items()
    body = answer.json()
    assert body["success"] is False
    assert (body["error"]["code"], body["error"]["message"]) == error
    assert sandbox.count() == 0


@pytest.mark.parametrize(
    ("rule", "status", "content"),
    [
        ({"status": 400, "body": {"detail": "no"}}, 400, b'{"detail": "no"}'),
        ({"status": 201, "body": []}, 201, b"[]"),
        ({"status": 200, "body": ""}, 200, b""),
        ({"status": 200, "body": '{"success": tr'}, 200, b'{"success": tr'),
        ({"status": 204}, 204, b""),
        ({"status": 304}, 304, b""),
    ],
)
def test_a_body_of_the_script_is_sent_as_it_is(
    sandbox: SandboxProcess, rule: dict[str, Any], status: int, content: bytes
) -> None:
    """A scripted body replaces the envelope: JSON as JSON, a string raw, none where HTTP has none."""
    sandbox.set_faults({"fault": [rule]})
    answer = upload(sandbox)
    assert (answer.status_code, answer.content) == (status, content)


def test_a_portal_answers_for_the_platform(sandbox: SandboxProcess) -> None:
    """A captive portal is a 200 with HTML, and nothing is stored."""
    sandbox.set_faults({"fault": [{"portal": True}]})
    answer = upload(sandbox)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert b"<h1>" in answer.content
    assert sandbox.count() == 0


def test_a_redirect_points_elsewhere(sandbox: SandboxProcess) -> None:
    """A redirect carries its URL."""
    sandbox.set_faults({"fault": [{"redirect": "http://elsewhere.example/login"}]})
    answer = upload(sandbox)
    assert (answer.status_code, answer.headers["location"]) == (302, "http://elsewhere.example/login")


def test_a_late_answer_is_the_platforms_own(sandbox: SandboxProcess) -> None:
    """A delay alone stores the picture and answers late, to an impatient client not at all."""
    sandbox.set_faults({"fault": [{"delay_s": 30, "count": 1}, {"delay_s": 0.2}]})
    with pytest.raises(httpx.ReadTimeout):
        upload(sandbox, timeout_s=0.3)
    assert sandbox.count() == 1
    began = time.monotonic()
    assert upload(sandbox).status_code == 409
    assert time.monotonic() - began >= 0.2


def test_a_fault_ends_when_it_has_been_counted_off(sandbox: SandboxProcess) -> None:
    """After its count a rule lets the next request through."""
    sandbox.set_faults({"fault": [{"status": 503, "count": 2}]})
    assert [upload(sandbox).status_code for _ in range(3)] == [503, 503, 201]


def test_the_sandboxs_own_side_knows_no_faults(sandbox: SandboxProcess) -> None:
    """A fault on any route leaves the page and the lists alone, and a wrong path is a route too."""
    sandbox.set_faults({"fault": [{"route": "any", "status": 500}]})
    assert httpx.get(sandbox.url, trust_env=False).status_code == 200
    assert sandbox.count() == 0
    assert httpx.get(f"{sandbox.url}/nowhere", trust_env=False).status_code == 500


def test_requests_are_counted_by_route_and_status(sandbox: SandboxProcess) -> None:
    """Each answered request is counted, a faulty one as what it was answered."""
    before = sandbox.requests().get("self", {})
    sandbox.set_faults({"fault": [{"route": "self", "status": 503, "count": 1}]})
    for _ in range(2):
        httpx.get(f"{sandbox.url}/api/device/self", headers={"X-Device-Key": "adk_01"}, trust_env=False)
    after = sandbox.requests()["self"]
    assert {outcome: after[outcome] - before.get(outcome, 0) for outcome in after} == {"503": 1, "200": 1}


def test_a_client_that_leaves_is_no_error(sandbox: SandboxProcess) -> None:
    """A client that hangs up in the middle of its upload is counted as gone; nothing is stored, nothing is logged."""
    gone = outcomes(sandbox).get("gone", 0)
    with connect(sandbox) as raw:
        raw.sendall(HEAD + BODY[:60])
    deadline = time.monotonic() + 5
    while outcomes(sandbox).get("gone", 0) == gone and time.monotonic() < deadline:
        pass
    assert outcomes(sandbox)["gone"] == gone + 1
    assert sandbox.count() == 0


def test_a_connection_serves_on_after_a_refusal(sandbox: SandboxProcess) -> None:
    """The unread rest of a refused upload does not spoil the next request on the same connection."""
    connection = HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
    try:
        connection.request("POST", UPLOAD, bytes(3_000_000), {"X-Device-Key": "nonsense"})
        refused = connection.getresponse()
        refused.read()
        connection.request("GET", "/device/self", headers={"X-Device-Key": "adk_01"})
        served = connection.getresponse()
        served.read()
        assert (refused.status, served.status) == (401, 200)
    finally:
        connection.close()


def test_an_answer_is_sent_in_one_go(sandbox: SandboxProcess) -> None:
    """On a connection that stays open, an answer does not wait 40 ms for the client's acknowledgement."""
    connection = HTTPConnection("127.0.0.1", sandbox.port, timeout=5)
    waits = []
    try:
        for _ in range(20):
            began = time.monotonic()
            connection.request("GET", "/device/self", headers={"X-Device-Key": "adk_01"})
            connection.getresponse().read()
            waits.append(time.monotonic() - began)
    finally:
        connection.close()
    assert sorted(waits)[10] < 0.03


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00\r\n\r\n", b"GET\r\n\r\n", b"A" * 100_000])
def test_junk_does_not_stop_it(sandbox: SandboxProcess, junk: bytes) -> None:
    """Bytes that are no HTTP end their connection and nothing else."""
    with connect(sandbox) as raw:
        raw.sendall(junk)
        assert raw.recv(12) == b"HTTP/1.1 400"
    assert sandbox.count() == 0
