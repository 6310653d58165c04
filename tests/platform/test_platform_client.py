from __future__ import annotations

import gzip
import logging
import os
import socket
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest
import respx
from structlog.testing import capture_logs
from wire_rig import ACCEPTED, KEY, Connection, Routed, Server, accept_all, make_client, make_item, with_metadata

from agent import __version__
from agent.errors import LinkFault
from agent.platform.answers import SHOWN_CHARACTERS, Meaning
from agent.platform.body import MAX_BODY, PictureChanged
from agent.platform.client import MAX_ANSWER
from agent.platform.connection import STRIDE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.frame import Item

LARGE = bytes(8_000_000)  # more than the socket buffers on both sides hold


def refuse_all(status: int, body: bytes = b"", **headers: str) -> Callable[[Connection], None]:
    """Answer every request alike."""

    def behave(connection: Connection) -> None:
        while connection.request():
            connection.answer(status, body, **headers)

    return behave


def fault_of(server: Server, item: Item, *, timeout_s: float = 0.5) -> tuple[LinkFault, float]:
    """Upload to a server that gives no usable answer; return the fault, and after how long it came."""
    with make_client(server.url, timeout_s=timeout_s) as client:
        began = time.monotonic()
        with pytest.raises(LinkFault) as caught:
            client.upload(item)
        return caught.value, time.monotonic() - began


def test_an_upload_is_one_post_with_the_key(tmp_path: Path) -> None:
    """It goes to the seed's path, in full, with the key in its one header and nothing that invites compression."""
    item = make_item(tmp_path)
    with Server() as server, make_client(server.url + "/") as client:
        verdict = client.upload(item)
    assert (verdict.meaning, verdict.image_id, verdict.batch_id, verdict.storage_key) == (
        Meaning.DELIVERED,
        "img-1",
        "7",
        "o/k",
    )
    [request] = server.requests
    assert (request.method, request.target, request.whole) == ("POST", "/api/device/images/upload", True)
    assert request.headers == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": f"acusight-agent/{__version__}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "x-device-key": KEY,
        "content-type": request.headers["content-type"],
        "content-length": str(len(request.body)),
    }
    assert item.path.read_bytes() in request.body


def test_two_attempts_are_byte_identical(tmp_path: Path) -> None:
    """What is sent again after a lost answer is the same request, on the wire (I3)."""
    item = make_item(tmp_path, LARGE[:100_000])
    with Server() as server, make_client(server.url) as client:
        client.upload(item)
        client.upload(item)
    first, second = server.requests
    assert first == second
    assert server.connections == 1


def test_the_key_is_asked_for_each_time(tmp_path: Path) -> None:
    """A key that was read again is in the very next request."""
    keys = iter(["adk_01", "adk_02"])
    with Server() as server, make_client(server.url, key=lambda: next(keys)) as client:
        client.upload(make_item(tmp_path))
        client.probe()
    assert [request.headers["x-device-key"] for request in server.requests] == ["adk_01", "adk_02"]


def test_what_is_too_large_is_not_sent(tmp_path: Path) -> None:
    """A body of 50,000,000 bytes or more never leaves: the platform would take it and then refuse it."""
    item = make_item(tmp_path)
    most = MAX_BODY - item.size
    with make_client("http://127.0.0.1:9/api") as client:
        assert client.upload(with_metadata(item, "m" * most)).meaning is Meaning.TOO_LARGE


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (200, {"data": {"status": "approved"}}, Meaning.DELIVERED),
        (200, {"data": {"status": "pending"}}, Meaning.DENIED),
        (200, {"data": {"status": "rejected"}}, Meaning.DENIED),
        (200, {"data": {"status": ["pending"]}}, Meaning.DELIVERED),
        (200, {"data": None}, Meaning.DELIVERED),
        (200, None, Meaning.UNPROVEN),
        (401, {"error": {"code": "INVALID_TOKEN"}}, Meaning.DENIED),
        (404, None, Meaning.WRONG_URL),
        (503, None, Meaning.BUSY),
    ],
)
def test_the_probe_asks_and_changes_nothing(status: int, body: object, meaning: Meaning) -> None:
    """`GET /device/self` tells whether the URL is right, the key known and the device approved."""
    router = respx.MockRouter()
    with make_client("http://127.0.0.1:9/api", transport=Routed(router)) as client:
        route = router.get("http://127.0.0.1:9/api/device/self", headers={"X-Device-Key": KEY})
        route.respond(status, json=body)
        assert client.probe().meaning is meaning
        assert route.call_count == 1


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.WriteError, httpx.RemoteProtocolError])
def test_no_foreign_error_comes_out(tmp_path: Path, error: type[Exception]) -> None:
    """Whatever the wire raises is a `LinkFault`; nothing of httpx crosses the boundary."""
    router = respx.MockRouter()
    with make_client("http://127.0.0.1:9/api", transport=Routed(router)) as client:
        router.post("http://127.0.0.1:9/api/device/images/upload").mock(side_effect=error("x"))
        with pytest.raises(LinkFault):
            client.upload(make_item(tmp_path))


def test_nobody_listens(tmp_path: Path) -> None:
    """A refused connection is no link: not a byte was sent, and the reason names the next step."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with make_client(f"http://127.0.0.1:{port}") as client, pytest.raises(LinkFault) as caught:
        client.upload(make_item(tmp_path))
    assert (caught.value.kind, caught.value.sent) == ("connect", False)
    assert "Check that the server runs" in str(caught.value)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid"])
def test_a_name_that_is_not_found(tmp_path: Path, host: str) -> None:
    """Without DNS, or with a name that DNS cannot hold, there is no link."""
    with make_client(f"http://{host}") as client, pytest.raises(LinkFault) as caught:
        client.upload(make_item(tmp_path))
    assert (caught.value.kind, caught.value.sent) == ("dns", False)


def test_no_answer_at_all(tmp_path: Path) -> None:
    """A server that takes everything and says nothing costs one timeout; the outcome is unknown."""

    def behave(connection: Connection) -> None:
        connection.request()
        connection.stall()

    with Server(behave) as server:
        fault, seconds = fault_of(server, make_item(tmp_path))
    assert (fault.kind, fault.sent) == ("timeout", True)
    assert 0.4 < seconds < 1.5


def test_an_upload_that_stalls(tmp_path: Path) -> None:
    """A server that stops reading in mid-body is noticed by the silence."""

    def behave(connection: Connection) -> None:
        connection.head()
        connection.stall()

    with Server(behave) as server:
        fault, seconds = fault_of(server, make_item(tmp_path, LARGE))
    assert (fault.kind, fault.sent) == ("timeout", True)
    assert seconds < 2.5  # the stalled write, then the answer that is waited for


def test_a_slow_upload_that_moves_is_no_stall(tmp_path: Path) -> None:
    """An upload may take much longer than the timeout, as long as bytes move."""

    def behave(connection: Connection) -> None:
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        request = connection.head()
        assert request is not None
        left = int(request.headers["content-length"]) - len(connection._received)
        while left > 0:
            left -= len(connection.sock.recv(min(left, 500_000), socket.MSG_WAITALL))
            connection.server.closing.wait(0.05)
        connection.answer()

    with Server(behave) as server, make_client(server.url, timeout_s=0.4) as client:
        began = time.monotonic()
        assert client.upload(make_item(tmp_path, LARGE)).meaning is Meaning.DELIVERED
    assert time.monotonic() - began > 0.7


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"HTTP/1.1 201 Created\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 1000\r\n\r\n",
        b"HTTP/1.1 100 C\r\n\r\n",
    ],
    ids=["status line", "headers", "body", "informational"],
)
def test_a_slow_loris_has_one_deadline(tmp_path: Path, start: bytes) -> None:
    """An answer that comes a byte at a time has to be whole within one timeout, not one timeout a byte."""

    def behave(connection: Connection) -> None:
        connection.request()
        connection.send(start)
        drip = b"X-Slow: 1\r\n" * 1000 if start.endswith(b"d\r\n") else b"HTTP/1.1 201 " + b"x" * 1000
        for at in range(400):
            connection.send(drip[at : at + 1])
            if connection.server.closing.wait(0.05):
                return

    with Server(behave) as server:
        fault, seconds = fault_of(server, make_item(tmp_path))
    assert (fault.kind, fault.sent) == ("timeout", True)
    assert seconds < 1.2


def endless(connection: Connection, head: bytes) -> None:
    """Answer without end."""
    connection.request()
    connection.send(head)
    piece = b'{"a":"' + b"x" * 1_000_000
    for _ in range(1000):
        connection.send(piece)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 201 X\r\nContent-Length: 1000000000\r\n\r\n",
        b"HTTP/1.1 201 X\r\n\r\n",
        b"HTTP/1.1 201 X\r\nContent-Encoding: gzip\r\n\r\n",
    ],
    ids=["announced", "until close", "compressed"],
)
def test_an_endless_answer_is_cut(tmp_path: Path, head: bytes) -> None:
    """A gigabyte of answer is read to a bound and proves nothing; the connection is not used again."""
    item = make_item(tmp_path)
    with Server(lambda connection: endless(connection, head)) as server, make_client(server.url) as client:
        began = time.monotonic()
        assert client.upload(item).meaning is Meaning.UNPROVEN
        assert time.monotonic() - began < 2
        server.behave = accept_all
        assert client.upload(item).meaning is Meaning.DELIVERED
    assert server.connections == 2


def test_an_answer_up_to_the_bound_is_read(tmp_path: Path) -> None:
    """The bound is far above what the platform says."""
    body = ACCEPTED[:-1] + b', "meta": "' + b"x" * (MAX_ANSWER - len(ACCEPTED) - 12) + b'"}'
    assert len(body) == MAX_ANSWER
    with Server(refuse_all(201, body)) as server, make_client(server.url) as client:
        assert client.upload(make_item(tmp_path)).meaning is Meaning.DELIVERED


def test_a_compressed_answer_is_not_unpacked(tmp_path: Path) -> None:
    """A bomb stays the kilobytes that it is; what was not asked for proves nothing."""
    bomb = gzip.compress(bytes(50_000_000))
    with Server(refuse_all(201, bomb, Content_Encoding="gzip")) as server, make_client(server.url) as client:
        began = time.monotonic()
        assert client.upload(make_item(tmp_path)).meaning is Meaning.UNPROVEN
        assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\0" * 200_000,
        b"SSH-2.0-OpenSSH_9\r\n" * 9000,
        b"HTTP/1.1 abc X\r\n\r\n",
        b"HTTP/1.1 200 X\r\n" + b"A: b\r\n" * 50_000,
    ],
    ids=["zeros", "ssh", "status", "headers"],
)
def test_what_is_no_http_is_a_broken_link(tmp_path: Path, rubbish: bytes) -> None:
    """Another protocol on that port gives one bounded line, whatever it sent."""

    def behave(connection: Connection) -> None:
        connection.request()
        connection.send(rubbish)

    with Server(behave) as server:
        fault, _ = fault_of(server, make_item(tmp_path))
    assert (fault.kind, fault.sent) == ("reset", True)
    assert len(fault.what) <= SHOWN_CHARACTERS + 1
    assert fault.what.isprintable()


def test_an_answer_before_the_whole_body_counts(tmp_path: Path) -> None:
    """A proxy that refuses a large upload early, and closes, is heard: 413 is no broken link."""

    def behave(connection: Connection) -> None:
        connection.head()
        connection.answer(413, b"", Connection="close")
        connection.sock.shutdown(socket.SHUT_WR)
        while connection.sock.recv(65_536):
            pass

    with Server(behave) as server, make_client(server.url) as client:
        assert client.upload(make_item(tmp_path, LARGE)).meaning is Meaning.TOO_LARGE


def test_a_reset_in_mid_body_leaves_the_outcome_unknown(tmp_path: Path) -> None:
    """Bytes had gone out, so the platform may have stored something."""

    def behave(connection: Connection) -> None:
        connection.head()
        connection.sock.recv(100_000)
        connection.reset()

    with Server(behave) as server:
        fault, _ = fault_of(server, make_item(tmp_path, LARGE))
    assert (fault.kind, fault.sent) == ("reset", True)


def test_half_an_answer_is_none(tmp_path: Path) -> None:
    """An answer that ends before its announced length proves nothing, however good its beginning."""

    def behave(connection: Connection) -> None:
        connection.request()
        connection.send(b"HTTP/1.1 201 X\r\nContent-Length: 500\r\n\r\n" + ACCEPTED)

    with Server(behave) as server:
        fault, _ = fault_of(server, make_item(tmp_path))
    assert (fault.kind, fault.sent) == ("reset", True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_i7_a_redirect_is_never_followed(tmp_path: Path, status: int) -> None:
    """The key goes to the server that was configured and to no other, on an upload or on a probe."""
    with Server() as other:
        behave = refuse_all(status, b"", Location=f"{other.url}/device/images/upload")
        with Server(behave) as server, make_client(server.url) as client:
            verdict = client.upload(make_item(tmp_path))
            assert verdict.meaning is client.probe().meaning is Meaning.WRONG_URL
            assert f"127.0.0.1:{other.port}" in verdict.reason
    assert other.connections == 0


def test_the_environments_proxies_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that some login script set does not get the key."""
    with Server() as proxy, Server() as server:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        with make_client(server.url) as client:
            client.upload(make_item(tmp_path))
    assert (proxy.connections, server.connections) == (0, 1)


@pytest.mark.parametrize("metadata", [2, STRIDE - 700, STRIDE, 600_000])
@pytest.mark.parametrize("size", [1, 500_000])
def test_every_byte_is_paced_in_strides(tmp_path: Path, size: int, metadata: int) -> None:
    """The rate cap and the watchdog see all that goes out, in strides that a slow link still makes in time.

    That holds for what goes before the picture, too, however much it is, and all of it arrives in its order.
    """
    taken: list[int] = []
    picture = os.urandom(size)
    item = with_metadata(make_item(tmp_path, picture), "m" * metadata)
    with Server() as server, make_client(server.url, pace=taken.append) as client:
        client.upload(item)
    (request,) = server.requests
    assert request.whole
    assert b"m" * metadata in request.body
    assert picture in request.body
    assert sum(taken) > len(request.body)
    assert max(taken) <= STRIDE


def test_i8_cookies_are_not_kept(tmp_path: Path) -> None:
    """A server that sets a new cookie each time neither gets them back nor fills the memory."""

    def behave(connection: Connection) -> None:
        number = 0
        while connection.request():
            number += 1
            connection.answer(Set_Cookie=f"name-{number}={'x' * 1000}; Path=/")

    with Server(behave) as server, make_client(server.url) as client:
        for _ in range(5):
            client.upload(make_item(tmp_path))
    assert all("cookie" not in request.headers for request in server.requests)


def once(connection: Connection) -> None:
    """Answer one request as if the connection stayed, then close it."""
    connection.request()
    connection.answer()


def test_a_connection_that_the_server_closed_is_replaced(tmp_path: Path) -> None:
    """A keep-alive connection that went away while idle costs no attempt."""
    item = make_item(tmp_path)
    with Server(once) as server, make_client(server.url) as client:
        for _ in range(3):
            assert client.upload(item).meaning is Meaning.DELIVERED
            time.sleep(0.05)  # until the server's close has arrived
    assert server.connections == 3


def test_a_probe_on_a_connection_that_breaks_is_asked_again() -> None:
    """A question that changes nothing may be repeated at once, on a new connection, one time."""
    seen: list[int] = []

    def behave(connection: Connection) -> None:
        seen.append(connection.server.connections)
        connection.request()
        if len(seen) > 1:
            connection.answer()

    with Server(behave) as server, make_client(server.url) as client:
        assert client.probe().meaning is Meaning.DELIVERED
    assert seen == [1, 2]


def test_a_server_never_gets_the_whole_of_a_changed_picture(tmp_path: Path) -> None:
    """A rewritten file ends its upload before the body is complete; the client is fit for the next item."""
    item, next_one = make_item(tmp_path, LARGE), make_item(tmp_path, number=8)
    item.path.write_bytes(LARGE[:-1] + b"\1")
    with Server() as server, make_client(server.url) as client:
        with pytest.raises(PictureChanged):
            client.upload(item)
        assert client.upload(next_one).meaning is Meaning.DELIVERED
    changed, whole = server.requests
    assert not changed.whole
    assert len(changed.body) < int(changed.headers["content-length"])
    assert whole.whole


def test_i4_an_upload_that_blocks_is_broken_off(tmp_path: Path) -> None:
    """`abort`, from another thread, ends an upload that hangs in a write or in a read, at once."""
    began = threading.Event()

    def never_read(connection: Connection) -> None:
        connection.head()
        began.set()
        connection.stall()

    def never_answer(connection: Connection) -> None:
        connection.request()
        began.set()
        connection.stall()

    for behave in (never_read, never_answer):
        began.clear()
        with Server(behave) as server, make_client(server.url, timeout_s=20) as client:
            assert abort_after(began, client.abort, lambda: client.upload(make_item(tmp_path, LARGE))) < 0.5


def abort_after(began: threading.Event, abort: Callable[[], None], upload: Callable[[], object]) -> float:
    """Call `abort` from a thread once the server has begun; return how long the upload took to notice."""
    at: list[float] = []

    def work() -> None:
        began.wait(5)
        time.sleep(0.1)  # until the client blocks
        at.append(time.monotonic())
        abort()

    thread = threading.Thread(target=work)
    thread.start()
    with pytest.raises(LinkFault) as caught:
        upload()
    seconds = time.monotonic() - at[0]
    thread.join()
    assert caught.value.kind == "reset"
    return seconds


def test_abort_before_and_after_is_harmless(tmp_path: Path) -> None:
    """Without a connection, or with an idle one, there is nothing to break; the next upload makes a new one."""
    with Server() as server, make_client(server.url) as client:
        client.abort()
        assert client.upload(make_item(tmp_path)).meaning is Meaning.DELIVERED
        client.abort()
        assert client.upload(make_item(tmp_path)).meaning is Meaning.DELIVERED
    client.abort()


def test_i7_the_key_is_in_the_header_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not in a representation, an error, the body, the target, or any library's log at DEBUG."""
    caplog.set_level(logging.DEBUG)
    item = make_item(tmp_path, LARGE[:100_000])
    said: list[str] = []

    def echo(connection: Connection) -> None:
        request = connection.request()
        assert request is not None
        connection.send(f"HTTP/1.1 {request.headers['x-device-key']} rubbish\r\n\r\n".encode())

    with capture_logs() as logs, Server() as server, make_client(server.url) as client:
        client.upload(item)
        said += [repr(client), repr(vars(client)), repr(vars(client._transport))]
        server.behave = refuse_all(401, b'{"error": {"message": "unknown key ' + KEY.encode() + b'"}}')
        client.abort()
        said += [repr(client.upload(item)), caplog.text]
        server.behave = echo
        client.abort()
        with pytest.raises(LinkFault) as caught:
            client.upload(item)
        said += [str(caught.value), repr(caught.value), repr(vars(caught.value))]
    assert len(server.requests) == 3
    for request in server.requests:
        assert request.headers.pop("x-device-key") == KEY
    said += [repr(logs), repr(server.requests)]
    assert all("c0ffee" not in text for text in said)


def test_i7_a_key_that_no_header_can_hold_is_not_shown(tmp_path: Path) -> None:
    """The configuration refuses such keys; if one came through, the error would still not quote it."""
    with Server() as server, make_client(server.url, key=lambda: f"{KEY}\n") as client:
        with pytest.raises(LinkFault) as caught:
            client.upload(make_item(tmp_path))
    assert "c0ffee" not in str(caught.value)
