"""A TCP proxy between the agent and its platform that spoils one upload when it is told to, and counts it."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE = 65_536
TICK_S = 0.05
SLOW_PIECE, SLOW_S = 2_048, 0.005


@dataclass(frozen=True, slots=True)
class Mischief:
    """What becomes of one upload: how much of the request and of the answer gets through, and what then.

    None is all of it. `hold` leaves the connection open and silent; without it, it is reset.
    """

    name: str
    request_bytes: int | None = None
    answer_bytes: int | None = None
    hold: bool = False
    slow: bool = False


LOST = Mischief("answer lost", answer_bytes=0)
HALF = Mischief("half an answer", answer_bytes=20)
RESET = Mischief("reset in mid-body", request_bytes=9_000)
STALL = Mischief("stall in mid-body", request_bytes=9_000, hold=True)
MUTE = Mischief("answer withheld", answer_bytes=0, hold=True)
SLOW = Mischief("slow link", slow=True)
ALL = (LOST, HALF, RESET, STALL, MUTE, SLOW)


@dataclass(slots=True)
class _Pipe:
    """Two sockets, and how far the upload between them has come."""

    client: socket.socket
    server: socket.socket
    mischief: Mischief | None = None
    seen: dict[str, int] = field(default_factory=lambda: {"request": 0, "answer": 0})


class FlakyProxy:
    """Listens on a port of its own while inside a `with`; honest until it is armed."""

    def __init__(self, target: Callable[[], int]) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._armed: list[Mischief] = []
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self.fired: Counter[str] = Counter()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        for thread in list(self._threads):
            thread.join()
        self._listener.close()

    def arm(self, mischief: Mischief) -> None:
        """Have one of the next uploads spoiled."""
        with self._lock:
            self._armed.append(mischief)

    def disarm(self) -> None:
        """Be honest again."""
        with self._lock:
            self._armed.clear()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            if select.select([self._listener], [], [], TICK_S)[0]:
                client, _ = self._listener.accept()
                self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                server = socket.create_connection(("127.0.0.1", self._target()), timeout=5)
            except OSError:
                _reset(client)
                return
            with server, suppress(OSError):
                self._pump(_Pipe(client, server))

    def _pump(self, pipe: _Pipe) -> None:
        ways = {pipe.client: ("request", pipe.server), pipe.server: ("answer", pipe.client)}
        while not self._closing.is_set():
            for source in select.select(list(ways), [], [], TICK_S)[0]:
                way, sink = ways[source]
                data = source.recv(PIECE)
                if way == "request" and data.startswith(b"POST ") and b"/images/upload" in data[:200]:
                    self._begin(pipe)
                if not data or not self._pass(pipe, way, data, sink):
                    return

    def _begin(self, pipe: _Pipe) -> None:
        pipe.seen = {"request": 0, "answer": 0}
        with self._lock:
            pipe.mischief = self._armed.pop(0) if self._armed else None

    def _pass(self, pipe: _Pipe, way: str, data: bytes, sink: socket.socket) -> bool:
        """Let data through as far as it may; false where the connection is over."""
        mischief = pipe.mischief
        if mischief is None:
            sink.sendall(data)
            return True
        limit = mischief.request_bytes if way == "request" else mischief.answer_bytes
        before = pipe.seen[way]
        pipe.seen[way] += len(data)
        if mischief.slow:
            if before == 0:
                self._count(mischief)
            self._trickle(data, sink)
            return True
        if limit is None:
            sink.sendall(data)
            return True
        sink.sendall(data[: max(0, limit - before)])
        if pipe.seen[way] <= limit:
            return True
        if before <= limit:
            self._count(mischief)
        if not mischief.hold:
            _reset(pipe.client)
        return mischief.hold

    def _trickle(self, data: bytes, sink: socket.socket) -> None:
        for first in range(0, len(data), SLOW_PIECE):
            sink.sendall(data[first : first + SLOW_PIECE])
            self._closing.wait(SLOW_S)

    def _count(self, mischief: Mischief) -> None:
        with self._lock:
            self.fired[mischief.name] += 1


def _reset(connection: socket.socket) -> None:
    """Close a connection so that its other end hears of an error."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
