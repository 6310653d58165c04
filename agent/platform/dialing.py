"""How a server is reached: its addresses are tried a moment apart, and the first that answers is taken.

A network that promises IPv6 and does not carry it would else cost each new connection its whole time limit before the
address that works has its turn (RFC 8305, "Happy Eyeballs").
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections import deque
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Address: TypeAlias = tuple[int, int, int, str, Any]
"""What `getaddrinfo` says of one: family, type, protocol, canonical name, and what `connect` takes."""

STAGGER_S = 0.25  # as the RFC has it: more than a round trip to nearly anywhere
MOST = 8  # addresses of a name that are tried


def dial(
    host: str, port: int, timeout_s: float, *, look_up: Callable[..., Sequence[Address]] = socket.getaddrinfo
) -> socket.socket:
    """Return a connected socket; all attempts together have `timeout_s`, which is the socket's limit from then on.

    Raises `OSError`: what the look-up of the name says, `TimeoutError` where no address answered in time, else what
    the last one said.
    """
    race = _Race(by_turns(look_up(host, port, type=socket.SOCK_STREAM))[:MOST])
    try:
        winner = race.run(time.monotonic() + timeout_s)
    finally:
        race.end()
    winner.settimeout(timeout_s)
    return winner


def by_turns(addresses: Sequence[Address]) -> list[Address]:
    """Return addresses so that those of the first one's family alternate with the others, each in their order."""
    first = [one for one in addresses if one[0] == addresses[0][0]]
    others = [one for one in addresses if one[0] != addresses[0][0]]
    return [one for one in chain.from_iterable(zip_longest(first, others)) if one is not None]


class _Race:
    """The attempts under way; each has a head start before the next."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._coming = deque(addresses)
        self._running: dict[int, socket.socket] = {}
        self._poll = select.poll()
        self._error = OSError("the name has no address")

    def run(self, deadline: float) -> socket.socket:
        """Return the first socket that is connected."""
        next_at = float("-inf")
        while self._coming or self._running:
            now = time.monotonic()
            if now >= deadline:
                raise TimeoutError("no address answered in time")
            if self._coming and (now >= next_at or not self._running):
                self._start(self._coming.popleft())
                next_at = now + STAGGER_S
                continue
            until = min(deadline, next_at) if self._coming else deadline
            for descriptor, _ in self._poll.poll((until - now) * 1e3):
                self._poll.unregister(descriptor)
                sock = self._running.pop(descriptor)
                number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if number == 0:
                    return sock
                self._fail(sock, number)
                next_at = float("-inf")
        raise self._error

    def end(self) -> None:
        """Give up what is under way."""
        for sock in self._running.values():
            sock.close()
        self._running.clear()

    def _start(self, address: Address) -> None:
        family, kind, protocol, _, place = address
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # a kernel without IPv6
            self._error = error
            return
        sock.setblocking(False)
        number = sock.connect_ex(place)
        if number in (0, errno.EINPROGRESS):
            self._running[sock.fileno()] = sock
            self._poll.register(sock, select.POLLOUT)
        else:
            self._fail(sock, number)

    def _fail(self, sock: socket.socket, number: int) -> None:
        sock.close()
        self._error = OSError(number, os.strerror(number))
