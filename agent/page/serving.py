"""The page put together and run: on a socket of its own, or on one that systemd opened and hands over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from uvicorn import Config

from agent.clock import SystemClock
from agent.config.listening import is_loopback, place
from agent.config.regular import read_regular
from agent.errors import ConfigError, Halt
from agent.page.desk import Desk
from agent.page.gate import Gate
from agent.page.sight import Window
from agent.sandbox.wire import QuietServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.clock import Clock
    from agent.config.configuration import Configuration
    from agent.config.environment import Environment

FIRST_HANDED = 3
LOOK_EVERY_S = 5.0
KEEP_ALIVE_S = 15
SHORTEST_TOKEN = 16
OWNER_ONLY = 0o077
REMEDY = 'Set page.token_file, or listen on "127.0.0.1:8585".'


def serve(configuration: Configuration, environment: Environment, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM, or, where systemd started it, until nobody has looked for a while.

    `ready` gets the address. Raises ConfigError where the page would be open to others, Halt where it cannot listen.
    """
    page, clock = configuration.settings.page, SystemClock()
    token = read_token(page.token_file)
    handed = environment.listen_pid == os.getpid() and bool(environment.listen_fds)
    check_reach(place(page.listen), token)
    with handed_over() if handed else listening(place(page.listen)) as listener:
        address = listener.getsockname()
        check_reach(address, token)  # what systemd opened is another unit's file
        host = socket.gethostname()
        desk = Desk(Window(configuration), environment, host)
        names = frozenset({"localhost", host.lower(), f"{host.lower()}.local"})
        gate = Gate(desk.application(), token=token, names=names, clock=clock)
        idle_s = page.idle_s if handed else None
        Server(gate, idle_s, clock, lambda: ready(address_text(address))).run([listener])


class Server(QuietServer):
    """uvicorn's server, which ends when nobody has looked for `idle_s`."""

    def __init__(self, gate: Gate, idle_s: float | None, clock: Clock, ready: Callable[[], None]) -> None:
        super().__init__(
            Config(
                gate,
                http="h11",
                ws="none",
                loop="asyncio",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=2,
                limit_concurrency=64,
            ),
            ready,
        )
        self._gate = gate
        self._idle_s = idle_s
        self._clock = clock

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, and to watch whether somebody comes."""
        await super().startup(sockets)
        if self._idle_s is not None:
            self._watcher = asyncio.create_task(self._end_when_idle(self._idle_s))

    async def _end_when_idle(self, idle_s: float) -> None:
        while not self.should_exit:
            await asyncio.sleep(min(LOOK_EVERY_S, idle_s / 4))
            if self._clock.boot() - self._gate.visited_at >= idle_s:
                self.should_exit = True


def read_token(path: Path | None) -> str | None:
    """Return the token in a file, None where none is configured; raises ConfigError for one that is no secret."""
    if path is None:
        return None
    found = read_regular(path, "token file", largest=4096)
    if found is None:
        raise ConfigError(f"there is no token file {path}", remedy="Make one: openssl rand -hex 24 > FILE; chmod 600.")
    content, mode = found
    token = content.decode("utf-8", "replace").strip()
    if mode & OWNER_ONLY:
        raise ConfigError(f"the token file {path} may be read by others", remedy=f"chmod 600 {path}")
    if len(token) < SHORTEST_TOKEN:
        raise ConfigError(f"the token in {path} has fewer than {SHORTEST_TOKEN} characters")
    return token


def check_reach(address: object, token: str | None) -> None:
    """Raise ConfigError where others than this machine would reach the page without a token."""
    host = address[0] if isinstance(address, tuple) else None
    if token is None and host is not None and not is_loopback(str(host)):
        raise ConfigError(f"the page would be open to everybody who reaches {host}", remedy=REMEDY)


def address_text(address: object) -> str:
    """Write a socket's address as people type it."""
    if not isinstance(address, tuple):
        return str(address)
    host, port, *_ = address
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


@contextlib.contextmanager
def handed_over() -> Iterator[socket.socket]:
    """Take the socket that systemd opened."""
    try:
        listener = socket.socket(fileno=FIRST_HANDED)
    except OSError as error:
        raise Halt(f"the socket that was handed over cannot be used: {error.strerror}") from error
    with listener:
        yield listener


@contextlib.contextmanager
def listening(where: tuple[str, int] | str) -> Iterator[socket.socket]:
    """Listen on an address and port, or on a Unix socket for this user and its group, which goes away at the end."""
    with _listen_at(Path(where)) if isinstance(where, str) else _listen_on(*where) as listener:
        try:
            yield listener
        finally:
            if isinstance(where, str):
                Path(where).unlink(missing_ok=True)


def _listen_on(host: str, port: int) -> socket.socket:
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        what = f"the page cannot listen on {host} port {port}: {error.strerror}"
        raise Halt(what, remedy="Choose another page.listen.") from error
    # Without it an answer's body waits 40 ms for the browser to acknowledge its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _listen_at(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        if path.is_socket() and listener.connect_ex(str(path)) != 0:
            path.unlink()  # of one that was killed
            listener.close()
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        listener.bind(str(path))
        path.chmod(0o660)
        listener.listen(64)
    except OSError as error:
        listener.close()
        what = f"the page cannot listen on {path}: {error.strerror}"
        raise Halt(what, remedy="Choose another page.listen.") from error
    return listener
