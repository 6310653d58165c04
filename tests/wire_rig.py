"""A server made of sockets alone, so that it can misbehave in every way; and items to send to it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, Self

import httpx

from agent.frame import Item
from agent.media import JPEG
from agent.platform.client import Client, Endpoint
from agent.platform.connection import Reply
from agent.platform.transport import Transport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import respx

    from agent.clock import Clock

KEY = "adk_00c0ffee00c0ffee"
ACCEPTED = json.dumps({"success": True, "data": {"image_id": "img-1", "batch_id": 7, "storage_key": "o/k"}}).encode()
SEEN = datetime(2026, 3, 14, 8, 15, 2, 417000, tzinfo=UTC)


@dataclass
class Request:
    """What arrived; `whole` tells whether the body was complete."""

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False


class Connection:
    """One accepted connection, in the hands of the behaviour under test."""

    def __init__(self, sock: socket.socket, server: Server) -> None:
        self.sock = sock
        self.server = server
        self._received = b""

    def head(self) -> Request | None:
        """Read a request's head; None when the client is gone."""
        while b"\r\n\r\n" not in self._received:
            if not (piece := self.sock.recv(65_536)):
                return None
            self._received += piece
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        request = Request(method, target, headers)
        self.server.requests.append(request)
        return request

    def request(self) -> Request | None:
        """Read a whole request."""
        request = self.head()
        if request is not None:
            left = int(request.headers.get("content-length", "0"))
            while len(self._received) < left:
                request.body = self._received
                if not (piece := self.sock.recv(65_536)):
                    return None
                self._received += piece
            request.body, self._received = self._received[:left], self._received[left:]
            request.whole = True
        return request

    def send(self, data: bytes) -> None:
        """Send raw bytes."""
        self.sock.sendall(data)

    def answer(self, status: int = 201, body: bytes = ACCEPTED, **headers: str) -> None:
        """Send a well-formed answer."""
        lines = {"Content-Length": str(len(body)), **{key.replace("_", "-"): value for key, value in headers.items()}}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.send(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body)

    def reset(self) -> None:
        """Break the connection off, as a crash or a firewall does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.sock.close()

    def stall(self, seconds: float = 20) -> None:
        """Do nothing, with the connection open, until the test is over."""
        self.server.closing.wait(seconds)


def accept_all(connection: Connection) -> None:
    """Take every request and accept it, on one connection."""
    while connection.request():
        connection.answer()


class Server:
    """Listens on loopback and hands each connection to `behave`, in a thread of its own."""

    def __init__(self, behave: Callable[[Connection], None] = accept_all, *, tls: ssl.SSLContext | None = None) -> None:
        self.behave = behave
        self.requests: list[Request] = []
        self.connections = 0
        self.closing = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="server")]

    @property
    def url(self) -> str:
        """Return the base URL that a device would have in `server.url`."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/api"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self.closing.is_set():
            with contextlib.suppress(OSError):
                sock, _ = self._listener.accept()
                self.connections += 1
                self._open.append(sock)
                thread = threading.Thread(target=self._serve, args=(sock,), name="connection")
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            if self._tls is None:
                self.behave(Connection(sock, self))
                return
            with self._tls.wrap_socket(sock, server_side=True) as secured:
                self._open.append(secured)
                self.behave(Connection(secured, self))


def sha(data: bytes) -> str:
    """Name bytes as the spool does."""
    return hashlib.sha256(data).hexdigest()


def make_item(folder: Path, data: bytes = b"\xff\xd8\xff a picture", *, number: int = 7) -> Item:
    """Write a picture and return the item that promises to deliver it."""
    filename = f"cam-1-20260314T081502.417Z-{number}.jpg"
    path = folder / filename
    path.write_bytes(data)
    return Item(number, "cam-1", filename, str(path), JPEG, len(data), sha(data), '{"source":"cäm-1"}', SEEN)


def with_metadata(item: Item, metadata: str) -> Item:
    """Return the item with other metadata."""
    return item._replace(metadata=metadata)


class Still:
    """A clock that stands."""

    def __init__(self, now: datetime = SEEN, *, is_trusted: bool = True) -> None:
        self.now = now
        self.is_trusted = is_trusted

    def wall(self) -> datetime:
        """Return one moment."""
        return self.now

    def boot(self) -> float:
        """Return one uptime."""
        return 1000.0

    def trusted(self) -> bool:
        """Tell what it was told."""
        return self.is_trusted


def make_client(
    url: str,
    *,
    context: ssl.SSLContext | None = None,
    timeout_s: float = 5.0,
    connect_timeout_s: float = 2.0,
    pace: Callable[[int], None] = lambda _: None,
    transport: Transport | None = None,
    key: Callable[[], str] = lambda: KEY,
    clock: Clock | None = None,
) -> Client:
    """Make a client as the composition root does."""
    return Client(
        Endpoint(url, connect_timeout_s, timeout_s),
        key=key,
        transport=transport or Transport(context, pace=pace),
        clock=clock or Still(),
    )


class Routed(Transport):
    """A transport whose answers come from respx instead of a socket."""

    def __init__(self, router: respx.MockRouter) -> None:
        super().__init__(None)
        self._mock = httpx.MockTransport(router.handler)

    def exchange(
        self, request: httpx.Request, more: Sequence[tuple[bytes, bytes]] = (), body: Iterable[bytes] | None = None
    ) -> Reply:
        """Ask the router."""
        headers, content = [*request.headers.raw, *more], None if body is None else b"".join(map(bytes, body))
        stream = request.stream if content is None else httpx.ByteStream(content)
        answer = self._mock.handle_request(httpx.Request(request.method, request.url, headers=headers, stream=stream))
        return Reply(answer.status_code, answer.headers.raw, iter((answer.read(),)), lambda: True)


class MovedClock(Protocol):
    """The suite's clock, moved by hand."""

    def wall(self) -> datetime:
        """Return the wall time."""
        ...

    def boot(self) -> float:
        """Return the uptime."""
        ...

    def trusted(self) -> bool:
        """Tell whether the wall time is right."""
        ...

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        ...
