"""The transport of an uploader: one connection, kept alive, made anew when it went stale."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx

from agent.platform.connection import EARLY_ANSWER_S, Connection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from agent.platform.connection import Reply

PORTS = {"http": 80, "https": 443}


class Transport(httpx.BaseTransport):
    """Made for one thread, except `abort`; `pace` is told how many bytes went out, and may take its time."""

    def __init__(self, context: ssl.SSLContext | None, *, pace: Callable[[int], None] = lambda _: None) -> None:
        self._context = context
        self._pace = pace
        self._connection: Connection | None = None
        self._lever: socket.socket | None = None
        self._begun: _Begun | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the answer with its body still to be read; raises httpx's transport errors."""
        reply = self.exchange(request)
        return httpx.Response(reply.status, headers=reply.headers, stream=_Body(reply, lambda: self.finish(reply)))

    def exchange(
        self, request: httpx.Request, more: Sequence[tuple[bytes, bytes]] = (), body: Iterable[bytes] | None = None
    ) -> Reply:
        """Do the same with the answer as it stood on the wire: to make httpx's of it costs a tenth of a small upload.

        As much as that is saved where a request is sent again and again, with `more` headers and a `body` of its own
        each time. Whoever gets the answer must `finish` it.
        """
        timeouts = request.extensions["timeout"]
        connection = self._connected(request.url, timeouts["connect"])
        try:
            pieces = iter(request.stream if body is None else body)  # type: ignore[arg-type]  # ours are synchronous
            return self._exchange(connection, request.method, self._head(request, more), pieces, timeouts)
        except BaseException:
            self._drop()
            raise

    def finish(self, reply: Reply) -> None:
        """Keep the connection where the answer was read whole and the server means to keep it too; else close it."""
        if reply.keeps() and self._connection is not None:
            self._connection.rest()
        else:
            self._drop()
        reply.close()

    def abort(self) -> None:
        """Break off what is under way, from any thread."""
        if self._lever is not None:
            with suppress(OSError):
                self._lever.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._drop()

    def _exchange(
        self, connection: Connection, method: str, head: bytes, pieces: Iterator[bytes], timeouts: dict[str, float]
    ) -> Reply:
        # A body begins with what goes before the picture, which is short; none is one piece alone.
        whole = connection.send(head + next(pieces, b""), pieces, timeout_s=timeouts["write"], pace=self._pace)
        try:
            reply = connection.receive(method, timeout_s=timeouts["read"] if whole else EARLY_ANSWER_S)
        except httpx.TransportError as error:
            if whole:
                raise
            raise httpx.WriteError("the server closed the connection in the middle of the request") from error
        if not whole:
            reply.keeps = lambda: False
        return reply

    def _head(self, request: httpx.Request, more: Sequence[tuple[bytes, bytes]]) -> bytes:
        if self._begun is None or self._begun.request is not request:
            self._begun = _Begun(request)
        return b"%s%s\r\n" % (self._begun.lines, _lines(more))

    def _connected(self, url: httpx.URL, timeout_s: float) -> Connection:
        if self._connection is not None and not self._connection.usable():
            self._drop()
        if self._connection is None:
            port = url.port or PORTS[url.scheme]
            context = self._context if url.scheme == "https" else None
            self._connection = Connection.open(
                url.raw_host.decode("ascii"), port, context=context, timeout_s=timeout_s, hold=self._hold
            )
        return self._connection

    def _hold(self, lever: socket.socket) -> None:
        self._lever = lever

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Begun:
    """What is the same at the head of a request each time it is sent. No tuple: that would show the key."""

    def __init__(self, request: httpx.Request) -> None:
        self.request = request
        line = b"%s %s HTTP/1.1\r\n" % (request.method.encode("ascii"), request.url.raw_path)
        self.lines = line + _lines(request.headers.raw)


class _Body(httpx.SyncByteStream):
    def __init__(self, reply: Reply, finish: Callable[[], None]) -> None:
        self._reply = reply
        self._finish = finish

    def __iter__(self) -> Iterator[bytes]:
        return self._reply.pieces

    def close(self) -> None:
        self._finish()


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    lines = b""
    for name, value in headers:
        if b"\r" in value or b"\n" in value:
            # The value is not shown: it may be the key.
            raise httpx.LocalProtocolError(f"the header {name.decode('ascii')} holds a line break")
        lines += b"%s: %s\r\n" % (name, value)
    return lines
