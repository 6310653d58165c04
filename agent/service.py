"""The service manager's side: systemd's notify protocol, and the signals that end or reload the daemon."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from typing import TYPE_CHECKING, ClassVar, Self

from agent.config.redaction import redacted
from agent.errors import Interrupted

if TYPE_CHECKING:
    from types import TracebackType

    from agent.config.environment import Environment

_SEND_TIMEOUT_S = 1.0
_LONGEST_STATUS = 500


class Notifier:
    """Tells systemd how the daemon is; says nothing where there is no systemd.

    `socket_path` is `$NOTIFY_SOCKET`; one that begins with `@` lies in the abstract name space. Every method may be
    called from any thread and never raises: a service manager that does not listen is no reason to stop working.
    """

    def __init__(self, socket_path: str | None) -> None:
        self._address = "\0" + socket_path[1:] if socket_path and socket_path.startswith("@") else socket_path

    def ready(self) -> None:
        """Say that the start, or a reload, is done."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Say that the configuration is being read again; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Show one line in `systemctl status`; line breaks would be read as further messages, so they are folded."""
        line = " ".join(redacted(text).split())
        self._send(f"STATUS={line[:_LONGEST_STATUS]}")

    def watchdog(self) -> None:
        """Say that work goes on; systemd kills the daemon when this stops."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(_SEND_TIMEOUT_S)
            sock.sendto(message.encode("utf-8", "backslashreplace"), self._address)


def watchdog_interval_s(environment: Environment) -> float | None:
    """Return how often systemd wants to hear `watchdog`, in seconds; None where it does not watch this process.

    It is half of the time after which systemd would kill the process, as systemd advises.
    """
    if not environment.watchdog_usec or environment.watchdog_pid not in {None, os.getpid()}:
        return None
    return environment.watchdog_usec / 2_000_000


class Signals:
    """Receives SIGTERM and SIGINT (`stop`) and SIGHUP (`reload`), for the main thread.

    The handlers do nothing: the interpreter writes the signal's number to a socket, and `wait` reads it. Setting a
    `threading.Event` in a handler can deadlock a main thread that is inside `Event.wait`. A context manager; leaving
    it restores what was there.
    """

    _MEANING: ClassVar[dict[int, str]] = {signal.SIGTERM: "stop", signal.SIGINT: "stop", signal.SIGHUP: "reload"}

    def __enter__(self) -> Self:
        # Two, so that a flood of wakes cannot crowd out a signal.
        self._signalled, self._signals = _channel()
        self._woken, self._wakes = _channel()
        self._wakeup = signal.set_wakeup_fd(self._signals.fileno(), warn_on_full_buffer=False)
        self._asked: set[str] = set()
        self._previous = {number: signal.signal(number, _ignore) for number in self._MEANING}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            if handler is not None:  # None: it was not installed from Python, and cannot be put back from here
                signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup)
        for sock in (self._signalled, self._signals, self._woken, self._wakes):
            sock.close()

    def wait(self, timeout_s: float | None) -> set[str]:
        """Sleep until a signal, a `wake`, or `timeout_s` (None: without end); return what was asked for."""
        poll = select.poll()
        poll.register(self._signalled, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        poll.poll(0 if self._asked else None if timeout_s is None else timeout_s * 1000)
        _drained(self._woken)
        self._note()
        asked, self._asked = self._asked, set()
        return asked

    def wait_for(self, descriptor: int, timeout_s: float) -> bool:
        """Tell whether a descriptor can be read within some seconds; what is asked for meanwhile is kept for `wait`.

        Raises `Interrupted` where that is a stop.
        """
        poll = select.poll()
        poll.register(self._signalled, select.POLLIN)
        poll.register(descriptor, select.POLLIN)
        found = [ready for ready, _ in poll.poll(timeout_s * 1000)]
        self._note()
        if "stop" in self._asked:
            raise Interrupted("interrupted")
        return descriptor in found

    def _note(self) -> None:
        self._asked |= {self._MEANING[number] for number in _drained(self._signalled) if number in self._MEANING}

    def wake(self) -> None:
        """End a `wait` early, from any thread; it then returns an empty set."""
        with contextlib.suppress(OSError):  # full: it wakes anyway; closed: nobody waits any more
            self._wakes.send(b"\0")


def _channel() -> tuple[socket.socket, socket.socket]:
    receiver, sender = socket.socketpair()
    receiver.setblocking(False)
    sender.setblocking(False)
    return receiver, sender


def _drained(receiver: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(BlockingIOError):
        while part := receiver.recv(65_536):
            received += part
    return received


def _ignore(_number: int, _frame: object) -> None:
    """Let the interpreter's own note in the wake-up socket be all that happens."""
