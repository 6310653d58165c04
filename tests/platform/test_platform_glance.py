"""Answers that are told at a glance, held against the standard library."""

from __future__ import annotations

import io
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.platform.glance import Plain, glance

if TYPE_CHECKING:
    import socket

BODY = b'{"success": true}'
ORDINARY = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n" + BODY


class Wire:
    """What the standard library takes for a socket."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> io.BytesIO:
        """Return what came."""
        del mode
        return io.BytesIO(self._data)


def library(data: bytes) -> tuple[int, list[tuple[str, str]], bytes, bool]:
    """Have the standard library read an answer."""
    wire: socket.socket = Wire(data)  # type: ignore[assignment]
    answer = HTTPResponse(wire, method="POST")
    answer.begin()
    keeps = not answer.will_close
    return answer.status, answer.getheaders(), answer.read(), keeps


def test_an_ordinary_answer_is_told_whole() -> None:
    """Status, headers as they came, body, and that the connection stays."""
    headers = [(b"Content-Type", b"application/json"), (b"Content-Length", b"17")]
    assert glance(ORDINARY) == Plain(201, headers, BODY, keeps=True)


@pytest.mark.parametrize("cut", [1, 5, 17])
def test_what_is_still_to_come_is_counted(cut: int) -> None:
    """Of an answer whose body has not all come, the bytes that are missing are told."""
    assert glance(ORDINARY[:-cut]) == cut


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        ORDINARY[:40],
        ORDINARY + b"x",
        ORDINARY.replace(b"1.1", b"1.0"),
        ORDINARY.replace(b"201", b"100"),
        ORDINARY.replace(b"201", b"204"),
        ORDINARY.replace(b"201", b"304"),
        ORDINARY.replace(b": 17", b": +17"),
        ORDINARY.replace(b": 17", b": 999999"),
        ORDINARY.replace(b"Content-Length: 17\r\n", b""),
        ORDINARY.replace(b"Content-Length: 17\r\n", b"Content-Length: 17\r\n" * 2),
        ORDINARY.replace(b"Content-Type: ", b"Transfer-Encoding: chunked\r\nX: "),
        ORDINARY.replace(b"Content-Type: ", b"X: 1\r\n folded: "),
        ORDINARY.replace(b"Content-Type: ", b"X : "),
        ORDINARY.replace(b"\r\n", b"\n"),
    ],
)
def test_what_is_not_plain_is_left_to_the_library(answer: bytes) -> None:
    """Whatever is out of the ordinary, or of which the head has not all come, is not judged here."""
    assert glance(answer) is None


NAMES = st.sampled_from(
    [b"Date", b"Connection", b"connection", b"Content-Length", b"Retry-After", b"X-\xff", b"X Y", b"E"]
)
VALUES = st.one_of(
    st.sampled_from(
        [b"close", b"Keep-Alive", b"keep-alive, Close", b"17", b" 17 ", b"0", b"3\t", b"", b"a:b", b"\xc3\xa4"]
    ),
    st.binary(max_size=6),
)
LINES = st.tuples(
    NAMES, st.sampled_from([b":", b": ", b":\t", b" : "]), VALUES, st.sampled_from([b"\r\n", b"\r\n", b"\n"])
)


@settings(max_examples=500, deadline=None)
@given(
    first=st.sampled_from(
        [b"HTTP/1.1 201 Created\r\n", b"HTTP/1.1 429\r\n", b"HTTP/1.1 500 \xc3\xa4\r\n", b"HTTP/1.1 99 X\r\n"]
    ),
    lines=st.lists(LINES.map(b"".join), max_size=5),
    length=st.sampled_from([b"Content-Length: 17\r\n", b"content-length:17\r\n", b""]),
    body=st.sampled_from([BODY, BODY[:3], b"", BODY + b"more"]),
)
def test_a_glance_tells_what_the_library_tells(first: bytes, lines: list[bytes], length: bytes, body: bytes) -> None:
    """What is told at a glance is what the standard library would tell: status, headers, body, and whether it stays.

    But for blanks behind a value, which are no part of it and which the library leaves there.
    """
    data = first + b"".join(lines) + length + b"\r\n" + body
    found = glance(data)
    if not isinstance(found, Plain):
        return
    try:
        status, headers, content, keeps = library(data)
    except HTTPException as error:
        pytest.fail(f"the library refuses it: {error!r}")
    assert (found.status, found.body) == (status, content)
    assert [(name.decode("latin-1"), value.decode("latin-1")) for name, value in found.headers] == [
        (name, value.rstrip(" \t")) for name, value in headers
    ]
    assert found.keeps <= keeps
