"""The wire under httpx: deadlines that hold in sum, and a way to let go of a socket that blocks.

httpcore's timeouts are per system call, so a server that sends a byte now and then could hold an uploader for ever.
Here the whole answer has to come within one deadline from the moment the request is out; while bytes of the request
still move, only a stall counts.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator

KEEPALIVE_S = 30.0
STRIDE = 65_536  # bytes between two calls of `pace`: a slow upload that moves is seen to move


class _Stream(httpcore.NetworkStream):
    """A connection whose reads share one deadline until the next write.

    `lever` is a second descriptor of its socket, by which another thread shuts it: TLS takes the first one over.
    """

    def __init__(self, stream: httpcore.NetworkStream, lever: socket.socket, pace: Callable[[int], None]) -> None:
        self._stream = stream
        self._lever = lever
        self._pace = pace
        self._answer_by: float | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if timeout is not None:
            self._answer_by = self._answer_by or time.monotonic() + timeout
            timeout = self._answer_by - time.monotonic()
            if timeout <= 0:
                raise httpcore.ReadTimeout("the answer took too long")
        return self._stream.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._answer_by = None
        view = memoryview(buffer)
        for begin in range(0, len(view), STRIDE):
            stride = view[begin : begin + STRIDE]
            self._pace(len(stride))
            self._stream.write(stride, timeout)  # type: ignore[arg-type]  # a socket takes any buffer

    def close(self) -> None:
        self._stream.close()
        self._lever.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._lever, self._pace)
        except BaseException:
            self.close()
            raise

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 (httpcore's own signature)
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Opens connections, and remembers the last so that it can be shut from another thread."""

    def __init__(self, pace: Callable[[int], None]) -> None:
        self._backend = httpcore.SyncBackend()
        self._pace = pace
        self._lever: socket.socket | None = None

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            stream = self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        except UnicodeError as error:  # a label that DNS cannot hold
            raise httpcore.ConnectError(str(error)) from error
        try:
            self._lever = lever = stream.get_extra_info("socket").dup()
        except OSError as error:
            stream.close()
            raise httpcore.ConnectError(str(error)) from error
        return _Stream(stream, lever, self._pace)

    def abort(self) -> None:
        """Shut the present connection: a thread blocked in it wakes with an error."""
        if self._lever is not None:
            with suppress(OSError):
                self._lever.shutdown(socket.SHUT_RDWR)


class Transport(httpx.BaseTransport):
    """One connection, kept alive; made for one thread, except `abort`.

    `pace` is told how many bytes are about to go out; it may take its time.
    """

    def __init__(self, ssl_context: ssl.SSLContext | None, *, pace: Callable[[int], None]) -> None:
        self._backend = _Backend(pace)
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl_context,
            max_connections=1,
            max_keepalive_connections=1,
            keepalive_expiry=KEEPALIVE_S,
            network_backend=self._backend,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; httpcore's own exceptions come out, for the client to translate."""
        response = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response), extensions=response.extensions
        )

    def abort(self) -> None:
        """Break off what is under way, from any thread."""
        self._backend.abort()

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()
