from __future__ import annotations

import socket
import time
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from wire_rig import ACCEPTED, Connection, Server, make_client, make_item

from agent.platform.answers import Meaning
from agent.platform.connection import Connection as OurConnection

if TYPE_CHECKING:
    from pathlib import Path

    from agent.platform.answers import Verdict


def answering(raw: bytes, folder: Path) -> Verdict:
    """Upload twice to a server that answers the first time with these bytes; return what the first answer meant."""

    def behave(connection: Connection) -> None:
        connection.request()
        if connection.server.connections == 1 and len(connection.server.requests) == 1:
            connection.send(raw)
            connection.request()
        connection.answer()

    with Server(behave) as server, make_client(server.url, timeout_s=2) as client:
        verdict = client.upload(make_item(folder))
        assert client.upload(make_item(folder)).meaning is Meaning.DELIVERED
        return verdict


def plain(status: int, headers: bytes = b"", body: bytes = ACCEPTED) -> bytes:
    """Write an answer."""
    return b"HTTP/1.1 %d X\r\n%sContent-Length: %d\r\n\r\n%s" % (status, headers, len(body), body)


@pytest.mark.parametrize("name", ["Location", "Server", "Retry-After", "Date"])
@pytest.mark.parametrize("value", ["http://portal/anmeldung-für-gäste".encode(), b"\xff\xfe", "пароль".encode()])
def test_headers_need_not_be_ascii(tmp_path: Path, name: str, value: bytes) -> None:
    """Portals and proxies put what they like into headers; it is read, and shown on one line (I9)."""
    verdict = answering(plain(302, name.encode() + b": " + value + b"\r\n"), tmp_path)
    assert verdict.meaning is Meaning.WRONG_URL
    assert verdict.reason.isprintable()


@pytest.mark.parametrize("status", [100, 102, 103, 199])
@pytest.mark.parametrize("count", [1, 5])
def test_informational_answers_are_passed_over(tmp_path: Path, status: int, count: int) -> None:
    """Early hints and the like come before the answer and are none."""
    hints = b"HTTP/1.1 %d Hint\r\nLink: </style.css>\r\n\r\n" % status * count
    assert answering(hints + plain(201), tmp_path).meaning is Meaning.DELIVERED


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(ACCEPTED), ACCEPTED),
        b"HTTP/1.1 201\r\nContent-Length: %d\r\n\r\n%s" % (len(ACCEPTED), ACCEPTED),
        b"HTTP/1.1 201 X\ncontent-length: %d\n\n%s" % (len(ACCEPTED), ACCEPTED),
        plain(201, b"X-Long: " + b"x" * 60_000 + b"\r\n"),
        plain(201, b"Set-Cookie: a=b\r\n" * 90),
    ],
    ids=["chunked", "no reason", "bare newlines", "long header", "many headers"],
)
def test_every_lawful_answer_is_understood(tmp_path: Path, raw: bytes) -> None:
    """What servers really send counts as what it says."""
    assert answering(raw, tmp_path).meaning is Meaning.DELIVERED


@pytest.mark.parametrize("pause_s", [0.0, 0.05])
def test_a_second_answer_to_one_question_is_not_taken_for_the_next(tmp_path: Path, pause_s: float) -> None:
    """Bytes after an answer belong to nobody, with it or later: the next upload gets an answer of its own."""

    def behave(connection: Connection) -> None:
        connection.request()
        connection.send(plain(500, body=b""))
        connection.server.closing.wait(pause_s)
        connection.send(plain(201))
        if connection.request():
            connection.answer(422, b"{}")

    with Server(behave) as server, make_client(server.url) as client:
        assert client.upload(make_item(tmp_path)).meaning is Meaning.SERVER_ERROR
        time.sleep(0.1)  # until the stray answer has arrived
        assert client.upload(make_item(tmp_path)).meaning is not Meaning.DELIVERED


PIECES = st.sampled_from(
    [
        b"HTTP/1.1 201 X\r\n",
        b"HTTP/1.1 103 X\r\n\r\n",
        b"HTTP/9.9 2000 \r\n",
        b"HTTP/1.1 204 X\r\n\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: 999999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"\r\n",
        b"\n",
        b" folded\r\n",
        b":\r\n",
        b"5\r\nhello\r\n",
        b"fffffffffffffffff\r\n",
        b"-1\r\n",
        b"0\r\n\r\n",
        b"\0",
        b"\x85\xa0",
    ]
)


@settings(max_examples=400, deadline=None)
@given(answer=st.lists(PIECES | st.binary(max_size=8), max_size=12).map(b"".join), started=st.booleans())
@example(answer=b"", started=True)
def test_no_bytes_crash_the_reader(answer: bytes, *, started: bool) -> None:
    """Whatever stands on the wire there is an answer or one of httpx's transport errors (I9)."""
    ours, theirs = socket.socketpair()
    with closing(theirs):
        theirs.sendall((b"HTTP/1.1 201 X\r\n" if started else b"") + answer)
        theirs.shutdown(socket.SHUT_WR)
        with closing(OurConnection(ours, ours.dup())) as connection:
            try:
                got = connection.receive("POST", timeout_s=1)
                assert all(isinstance(name + value, bytes) for name, value in got.headers)
                assert sum(len(piece) for piece in got.pieces) < 1000
                got.close()
            except httpx.TransportError:
                pass
