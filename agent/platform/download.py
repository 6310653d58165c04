"""A large file fetched from where the platform says, in pieces where the link breaks off, within bounds.

The key goes to the API's own origin alone, and to nobody after a redirect.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import httpx

from agent import __version__
from agent.errors import LinkFault, Reject
from agent.platform.answers import BUSY, REDIRECT, SERVER_ERROR, shown
from agent.platform.faults import link_fault
from agent.platform.transport import Transport
from agent.spool.durable import disk_errors

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent.clock import Clock
    from agent.workers import Stop

HOPS = 3
Nearness = Literal["own", "host", "other"]
WHOLE, PART, PAST_THE_END = 200, 206, 416
PIECE = 262_144
HIGHEST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole file."""

    size: int
    sha256: str


def address(url: str, api: str) -> httpx.URL:
    """Return where to fetch, relative to the API where that is all that is said; raises `Reject` for what may not be.

    Plain http is only for those whose API is plain http too; no address may hold a user or a password.
    """
    try:
        found = httpx.URL(api.rstrip("/") + "/").join(url)
    except (httpx.InvalidURL, ValueError) as error:
        raise Reject("its address is none") from error
    if found.port is not None and not 0 < found.port <= HIGHEST_PORT:
        raise Reject("its address has a port that cannot be")
    if found.scheme not in {"https", "http"} or not found.host:
        raise Reject(f"its address must begin with https://, not {shown(found.scheme) or 'nothing'}:")
    if found.scheme == "http" and httpx.URL(api).scheme != "http":
        raise Reject("its address is plain http, and the API's is https")
    if found.userinfo:
        raise Reject("its address holds a user or a password")
    return found


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return what two addresses of one server have in common."""
    return url.scheme, url.host, url.port


def nearness(url: httpx.URL, api: str) -> Nearness:
    """Return how near an address is to the API's."""
    other = httpx.URL(api)
    if origin(url) == origin(other):
        return "own"
    return "host" if url.host == other.host else "other"


class Downloader:
    """Fetches for one thread; `abort` alone may be called from another.

    `context` makes the TLS context for an address, and is told how near it is to the API: the device's own certificate
    is for the API's origin alone, its authorities for the same host.
    """

    def __init__(
        self,
        api: str,
        *,
        key: Callable[[], str],
        context: Callable[[str, Nearness], ssl.SSLContext | None],
        connect_timeout_s: float,
        timeout_s: float,
        max_bytes: int,
        clock: Clock,
        stop: Stop,
    ) -> None:
        self._api = api
        self._key = key
        self._context = context
        self._timeouts = {"connect": connect_timeout_s, "write": connect_timeout_s, "read": timeout_s}
        self._max_bytes = max_bytes
        self._clock = clock
        self._stop = stop
        self._transport: Transport | None = None

    def abort(self) -> None:
        """Break off what is under way, from any thread."""
        if self._transport is not None:
            self._transport.abort()

    def fetch(self, url: str, part: Path) -> Fetched:
        """Fetch into `part`, going on where an earlier attempt ended; what came so far stays there on a fault.

        Raises `LinkFault` where it may go on later, `Reject` where it never will, `Wait` where the disk refuses.
        """
        where = address(url, self._api)
        own = nearness(where, self._api) == "own"
        for _ in range(HOPS):
            following = self._attempt(where, part, key=self._key() if own else "")
            if following is None:
                return self._measured(part)
            where, own = address(str(where.join(following)), self._api), False
        raise Reject(f"it was redirected {HOPS} times")

    def _attempt(self, where: httpx.URL, part: Path, *, key: str) -> str | None:
        """Ask once; return where it was redirected to, None when the file is whole."""
        begun, mark = _begun(part)
        headers = [
            ("host", where.netloc.decode()),
            ("user-agent", f"acusight-agent/{__version__}"),
            ("accept-encoding", "identity"),
            *([("x-device-key", key)] if key else []),
            *([("range", f"bytes={begun}-"), ("if-range", mark)] if begun and mark else []),
        ]
        request = httpx.Request("GET", where, headers=headers, extensions={"timeout": self._timeouts})
        self._transport = Transport(self._context(str(where), nearness(where, self._api)))
        try:
            response = self._transport.handle_request(request)
            try:
                return self._take(response, part, begun)
            finally:
                response.close()
        except httpx.TransportError as error:
            raise link_fault(error, None, self._clock) from error
        finally:
            self._transport.close()
            self._transport = None

    def _take(self, response: httpx.Response, part: Path, begun: int) -> str | None:
        status = response.status_code
        if status in REDIRECT:
            return str(response.headers.get("location", ""))
        if status == PAST_THE_END or (
            status == PART and not response.headers.get("content-range", "").startswith(f"bytes {begun}-")
        ):
            _forget(part)
            raise LinkFault("what came so far does not fit any more", kind="reset", sent=False)
        if status not in {WHOLE, PART}:
            said = f"the server answered {status}"
            if status in BUSY or status in SERVER_ERROR:
                raise LinkFault(said, kind="reset", sent=False)
            raise Reject(said)
        length = response.headers.get("content-length", "")
        begun = begun if status == PART else 0
        if length.isdecimal() and len(length) < 19 and begun + int(length) > self._max_bytes:  # noqa: PLR2004 (64 bits)
            raise Reject(f"it is larger than {self._max_bytes} bytes (models.max_bytes)")
        self._write(response.iter_raw(), part, begun, _mark(response))
        return None

    def _write(self, pieces: Iterator[bytes], part: Path, begun: int, mark: str) -> None:
        with disk_errors("write", part):
            part.with_suffix(".mark").write_text(mark, encoding="ascii", errors="replace")
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 (a descriptor)
            with disk_errors("write", part):
                file.truncate(begun)
                file.seek(begun)
            size = begun
            for piece in pieces:
                size += len(piece)
                if size > self._max_bytes:
                    _forget(part)
                    raise Reject(f"it is larger than {self._max_bytes} bytes (models.max_bytes)")
                if self._stop.is_set():
                    raise LinkFault("the agent is stopping", kind="reset", sent=False)
                with disk_errors("write", part):
                    file.write(piece)
            with disk_errors("flush", part):
                os.fsync(descriptor)

    def _measured(self, part: Path) -> Fetched:
        digest, size = hashlib.sha256(), 0
        with disk_errors("read", part), part.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                size += len(piece)
        with suppress(OSError):
            part.with_suffix(".mark").unlink()
        return Fetched(size, digest.hexdigest())


def _begun(part: Path) -> tuple[int, str]:
    """Return how much of it is there, and by which mark the server knows that it is the same file still."""
    try:
        return part.stat().st_size, part.with_suffix(".mark").read_text(encoding="ascii")
    except (OSError, ValueError):
        return 0, ""


def _forget(part: Path) -> None:
    with suppress(OSError):
        part.unlink()


def _mark(response: httpx.Response) -> str:
    """Return the file's mark: a strong tag, else its date, which is all that `If-Range` may hold."""
    tag: str = response.headers.get("etag", "")
    return tag if tag.startswith('"') else response.headers.get("last-modified", "")
