"""One HTTP/1.1 connection: request out, answer back, each within its deadline.

Plain sockets, because the layers of httpcore and h11 cost twice the time of the upload itself and have no deadline over
a whole answer: their time-outs are per system call, so a server that sends a byte now and then holds a thread for ever.
Here a request may take as long as its bytes move, and the answer has one deadline from the moment the request is out.
The standard library parses what answers are not plain.
"""

from __future__ import annotations

import io
import select
import socket
import ssl
import time
from dataclasses import dataclass
from http.client import HTTPResponse
from itertools import islice
from typing import TYPE_CHECKING

import httpx

from agent.buffers import MARGIN, PIECE
from agent.platform.dialing import dial
from agent.platform.glance import Plain, glance
from agent.platform.translation import CONNECTING, RECEIVING, SENDING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STRIDE = PIECE + MARGIN
# The answer's deadline begins when the request is out, so the kernel must not hold megabytes of it: on a slow link they
# would still be under way when the time is up. The number is Linux's; Python names it only on some systems.
TCP_NOTSENT_LOWAT = 25
UNSENT = 131_072
ANSWER_PIECE = 65_536
FIRST_PIECE = 16_384
MOMENT_S = 0.005
KEEPALIVE_S = 30.0
INFORMATIONAL = frozenset(range(100, 200)) - {101}  # come before the answer, and are none
EARLY_ANSWER_S = 1.0  # a server that refuses in the middle of a body has answered already


@dataclass(slots=True)
class Reply:
    """An answer of which the head is there: header names and values as they stood on the wire.

    `keeps` tells, once the pieces have been read, whether the connection may carry another request.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    pieces: Iterator[bytes]
    keeps: Callable[[], bool]
    close: Callable[[], None] = lambda: None


class Connection:
    """A connected socket; `lever` is a second descriptor of it, by which another thread may shut it."""

    def __init__(self, sock: socket.socket, lever: socket.socket) -> None:
        self._sock = sock
        self._lever = lever
        self._idle_since = time.monotonic()
        self._heard = select.poll()
        self._heard.register(sock, select.POLLIN)

    @classmethod
    def open(
        cls,
        host: str,
        port: int,
        *,
        context: ssl.SSLContext | None,
        timeout_s: float,
        hold: Callable[[socket.socket], None],
    ) -> Connection:
        """Connect, with TLS where there is a context; raises `httpx.ConnectError` or `httpx.ConnectTimeout`.

        `hold` gets the lever as soon as there is one, before the handshake, which may block too.
        """
        with CONNECTING:
            sock = dial(host, port, timeout_s)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT)
                lever = sock.dup()
            except OSError:
                sock.close()
                raise
            hold(lever)
            try:
                return cls(context.wrap_socket(sock, server_hostname=host) if context else sock, lever)
            except BaseException:
                sock.close()
                lever.close()
                raise

    def usable(self) -> bool:
        """Tell whether an idle connection may carry another request: a server that closed it has made it readable."""
        if time.monotonic() - self._idle_since > KEEPALIVE_S:
            return False
        return not self._heard.poll(0)

    def send(self, head: bytes, pieces: Iterator[bytes], *, timeout_s: float, pace: Callable[[int], None]) -> bool:
        """Send; return false where the server stopped reading, so that its answer may tell why.

        The head goes along with the first piece: a packet of its own would cost a small upload two system calls here
        and one there, to join them a copy of the picture. Raises `httpx.WriteTimeout` when nothing moved for
        `timeout_s`, and whatever `pieces` raises.
        """
        _limit(self._sock, timeout_s)
        parts = [memoryview(head), memoryview(next(pieces, b""))]
        while parts:
            try:
                with SENDING:
                    count = self._send(parts)
            except httpx.WriteError:
                return False
            pace(count)
            parts = _rest(parts, count) or [memoryview(piece) for piece in islice(pieces, 1)]
        return True

    def _send(self, parts: list[memoryview]) -> int:
        if len(parts) == 1 or isinstance(self._sock, ssl.SSLSocket):  # which knows no `sendmsg`
            return self._sock.send(parts[0][:STRIDE])
        head, piece = parts
        return self._sock.sendmsg([head[:STRIDE], piece[: max(0, STRIDE - len(head))]])

    def receive(self, method: str, *, timeout_s: float) -> Reply:
        """Return the answer once its head is there; its body shares the deadline of `timeout_s`."""
        hearing = _Hearing(self._sock, timeout_s)
        with RECEIVING:
            data = hearing.some(FIRST_PIECE)
            while isinstance(found := glance(data), int) and (more := hearing.some(FIRST_PIECE)):
                data += more
            if isinstance(found, Plain) and method != "HEAD":
                keeps = found.keeps
                return Reply(found.status, found.headers, iter((found.body,)), lambda: keeps)
            return _parsed(_Raw(hearing, data), method)

    def rest(self) -> None:
        """Note that the connection is idle from now on."""
        self._idle_since = time.monotonic()

    def close(self) -> None:
        """Close the connection."""
        self._sock.close()
        self._lever.close()


def _rest(parts: list[memoryview], count: int) -> list[memoryview]:
    """Return what is left of the parts when so many bytes of them are gone."""
    left = []
    for part in parts:
        if count < len(part):
            left.append(part[count:])
        count = max(0, count - len(part))
    return left


def _parsed(raw: _Raw, method: str) -> Reply:
    """Have the standard library read an answer."""
    answer = HTTPResponse(_Source(raw), method=method)  # type: ignore[arg-type]  # all that it asks of a socket is a file
    answer.begin()
    while answer.status in INFORMATIONAL:
        answer.headers = None  # type: ignore[assignment]  # which makes `begin` read on
        answer.begin()
    # As they stood on the wire: proxies put other things than ASCII into headers, which httpx refuses as text.
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.getheaders()]
    return Reply(
        answer.status, headers, _body_of(answer), lambda: answer.isclosed() and not answer.will_close, answer.close
    )


def _body_of(answer: HTTPResponse) -> Iterator[bytes]:
    """Yield an answer's body undecoded; one that ends before its announced length is an error."""
    with RECEIVING:
        while piece := answer.read(ANSWER_PIECE):
            yield piece
        if answer.length:
            raise httpx.RemoteProtocolError("the answer ends before its announced length")


class _Source:
    """What the standard library takes for a socket: it only asks for a file to read from."""

    def __init__(self, raw: _Raw) -> None:
        self._raw = raw

    def makefile(self, mode: str) -> io.BufferedReader:
        del mode
        return io.BufferedReader(self._raw)


class _Raw(io.RawIOBase):
    """What has been heard `ahead`, and then what is still to be heard."""

    def __init__(self, hearing: _Hearing, ahead: bytes) -> None:
        super().__init__()
        self._hearing = hearing
        self._ahead = ahead

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # a writable buffer, as io promises
        piece, self._ahead = self._ahead[: len(buffer)], self._ahead[len(buffer) :]
        piece = piece or self._hearing.some(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


class _Hearing:
    """Reads from a socket, all reads together until one deadline."""

    def __init__(self, sock: socket.socket, timeout_s: float) -> None:
        self._sock = sock
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s

    def some(self, most: int) -> bytes:
        """Return what has come, as soon as anything has."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        # At the first piece all is left, but for some microseconds.
        _limit(self._sock, self._timeout_s if self._timeout_s - left < MOMENT_S else left)
        return self._sock.recv(most)


def _limit(sock: socket.socket, timeout_s: float) -> None:
    """Have operations wait so long; where that is so already, it is not worth a system call."""
    if sock.gettimeout() != timeout_s:
        sock.settimeout(timeout_s)
