"""The connection under the sandbox: it can be reset without an answer, and it ends when the sandbox does."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import struct
from typing import TYPE_CHECKING, Any

from uvicorn import Server
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from uvicorn import Config
    from uvicorn.server import ServerState

HANG_UP = "hang_up"
GRACE_S = 1.0


class Wire(H11Protocol):
    """uvicorn's HTTP/1.1 connection; a request finds the means to cut it at `scope["state"][HANG_UP]`."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, HANG_UP: self.hang_up}, _loop)

    def hang_up(self) -> None:
        """Reset the connection: without linger, the kernel sends RST instead of an orderly end."""
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def shutdown(self) -> None:
        """Let the request in hand end, but not for longer than the grace: a client may be stuck in its upload."""
        super().shutdown()
        self.loop.call_later(GRACE_S, self.transport.abort)


class QuietServer(Server):
    """uvicorn's server, except that SIGINT and SIGTERM are a normal end, and that it tells when it is ready."""

    def __init__(self, config: Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then say so."""
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on a signal; uvicorn's own version raises it again afterwards, and the process dies of it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._end)
        yield

    def _end(self) -> None:
        self.should_exit = True
