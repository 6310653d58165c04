"""What the wire raises, as the one error that the agent knows of it; nothing of httpx goes further."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Protocol

import httpx

from agent.clock import is_plausible
from agent.errors import LinkFault
from agent.platform.answers import shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from agent.clock import Clock

CLOCK_REMEDY = "Set the device's clock, or wait for its time service; then this works by itself."
ALERT_REMEDY = (
    "The server refused this device: where it wants a client certificate, check server.client_cert_file and "
    "server.client_key_file, and who issued them."
)
REMEDIES = {
    "dns": "Check the host name in server.url and the device's DNS.",
    "connect": "Check that the server runs and that the network lets the device reach it.",
    "tls": "Check server.ca_file, the host name in server.url, and the dates of the server's certificate.",
    "timeout": "The link or the server is slow; nothing needs to be done unless it stays so.",
    "reset": "The connection broke; it is tried again.",
}


class Body(Protocol):
    """What goes out with a request; `sent` counts the bytes that were handed to the socket."""

    sent: int

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes, or views of a buffer."""
        ...


def link_fault(error: httpx.TransportError, body: Body | None, clock: Clock) -> LinkFault:
    """Make of whatever the wire raises the agent's own error, with the remedy where there is one."""
    sent = body is not None and body.sent > 0
    kind, what = _kind(error)
    what = shown(what)  # it may quote what the server sent
    remedy = REMEDIES[kind]
    if kind == "tls" and is_clocks_fault(what, clock.wall(), trusted=clock.trusted()):
        what = f"{what}, but this device's clock is not set: it says {clock.wall():%Y-%m-%d}"
        remedy = CLOCK_REMEDY
    elif "ALERT" in what:
        remedy = ALERT_REMEDY
    return LinkFault(what, kind=kind, sent=sent, remedy=remedy)


def is_clocks_fault(what: str, wall: datetime, *, trusted: bool) -> bool:
    """Decide whether a refused certificate is due to the clock; one that has expired, only where the time is absurd."""
    return not trusted and ("not yet valid" in what or ("expired" in what and not is_plausible(wall)))


def _kind(error: Exception) -> tuple[str, str]:
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return "tls", f"TLS failed: {getattr(cause, 'verify_message', '') or cause.reason or cause}"
        if isinstance(cause, socket.gaierror | UnicodeError):
            return "dns", f"the server's name was not found: {getattr(cause, 'strerror', cause)}"
    if isinstance(error, httpx.TimeoutException):
        return "timeout", f"no answer in time ({type(error).__name__})"
    if isinstance(error, httpx.ConnectError):
        return "connect", f"cannot connect: {error}"
    return "reset", f"the connection broke: {str(error) or type(error).__name__}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    told: set[int] = set()
    while error is not None and id(error) not in told:  # one that is raised twice can be its own cause
        told.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def is_stale(error: BaseException) -> bool:
    """Tell whether a kept-alive connection had been closed under us; a new one settles that at once."""
    return isinstance(error, LinkFault) and error.kind == "reset"
