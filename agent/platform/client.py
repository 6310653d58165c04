"""The Acusight client: one a thread, one connection each.

It speaks to its transport without an `httpx.Client` in between: that would keep cookies, may read proxies from the
environment, can follow redirects with the key to another host, and costs a third of a small upload's time. An answer
is taken undecoded and cut at a bound, so that neither its size nor its compression can hurt.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_attempt

from agent import __version__
from agent.platform.answers import Answer, Meaning, Verdict, read_answer
from agent.platform.body import MAX_BODY, UploadBody, opened
from agent.platform.faults import is_stale, link_fault
from agent.platform.identity import UNAPPROVED, read_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from agent.clock import Clock
    from agent.file_state import FileState
    from agent.frame import Item
    from agent.platform.faults import Body
    from agent.platform.transport import Transport

MAX_ANSWER = 65_536
UPLOAD = "/device/images/upload"
HEADERS = [
    ("user-agent", f"acusight-agent/{__version__}"),
    ("accept", "application/json"),
    ("accept-encoding", "identity"),
]
TOLD = frozenset({b"retry-after", b"date", b"location"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the platform is and how long it may take; `url` is used as written, without a trailing slash."""

    url: str
    connect_timeout_s: float
    timeout_s: float


class Client:
    """Speaks to the platform for one thread; `abort` alone may be called from another."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        key: Callable[[], str],
        transport: Transport,
        clock: Clock,
        vouched: Callable[[int], FileState | None] = lambda _: None,
    ) -> None:
        self._base = endpoint.url.rstrip("/")
        self._key = key
        self._requests: dict[tuple[str, str], _Known] = {}
        self._clock = clock
        self._vouched = vouched
        waits = {"connect": endpoint.connect_timeout_s, "read": endpoint.timeout_s, "write": endpoint.timeout_s}
        self._extensions = {"timeout": waits}
        self._transport = transport

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def upload(self, item: Item) -> Verdict:
        """Send one item and say what the answer means.

        Raises `LinkFault` when no whole answer came, `PictureChanged` or `PictureMissing` when the spool's file is
        no longer the item's, `Wait` when it cannot be read now.
        """
        with opened(item) as descriptor:
            body = UploadBody(item, descriptor, vouched=self._vouched(item.id))
            if body.length >= MAX_BODY:
                return Verdict(
                    Meaning.TOO_LARGE, f"{body.length} bytes with its metadata, the platform takes {MAX_BODY}"
                )
            answer = self._ask("POST", UPLOAD, _headers(body.content_type, body.length), body)
        return read_answer(answer, self._clock.wall())

    def probe(self) -> Verdict:
        """Ask `GET /device/self`: is the URL right, the key known, the device approved? It changes nothing."""
        return self.judge(self.identify())

    def judge(self, answer: Answer) -> Verdict:
        """Say what an answer to `identify` means for uploads."""
        verdict = read_answer(answer, self._clock.wall())
        if verdict.meaning is not Meaning.DELIVERED:
            return verdict
        identity = read_identity(answer.body)
        approval = identity.status if identity else ""
        if approval in UNAPPROVED:
            return Verdict(
                Meaning.DENIED,
                f"the device is {approval} on the platform",
                retry_after_s=UNAPPROVED[approval],
                approval=approval,
            )
        return verdict._replace(approval=approval or None)

    def identify(self) -> Answer:
        """Ask `GET /device/self`, and return the answer as it came."""
        fresh = Retrying(stop=stop_after_attempt(2), retry=retry_if_exception(is_stale), reraise=True)
        return fresh(self._ask, "GET", "/device/self", [], None)

    def tell(self, path: str, document: Mapping[str, object]) -> Answer:
        """Post a JSON document to a path of the API, once; raises `LinkFault` when no whole answer came."""
        body = _Words(json.dumps(document).encode())
        return self._ask("POST", path, _headers("application/json", len(body.data)), body)

    def abort(self) -> None:
        """Break off what is under way, from any thread."""
        self._transport.abort()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _ask(self, method: str, path: str, headers: list[tuple[bytes, bytes]], body: Body | None) -> Answer:
        try:
            reply = self._transport.exchange(self._request(method, path), headers, body)
            try:
                return Answer(reply.status, _told(reply.headers), _bounded(reply.pieces))
            finally:
                self._transport.finish(reply)
        except httpx.TransportError as error:
            raise link_fault(error, body, self._clock) from error

    def _request(self, method: str, path: str) -> httpx.Request:
        """Return a request with what is the same each time, made once: of an upload's time it would take a tenth."""
        key, known = self._key(), self._requests.get((method, path))
        if known is None or known.key != key:
            url = httpx.URL(f"{self._base}{path}")
            headers = [("host", url.netloc.decode("ascii")), *HEADERS]
            if key:  # before it is provisioned, a device has none
                headers.append(("x-device-key", key))
            stream = httpx.ByteStream(b"")
            request = httpx.Request(method, url, headers=headers, stream=stream, extensions=self._extensions)
            self._requests[method, path] = known = _Known(key, request)
        return known.request


class _Known:
    """A request, and the key that it was made with. No tuple: that would show the key."""

    def __init__(self, key: str, request: httpx.Request) -> None:
        self.key = key
        self.request = request


class _Words:
    """A small body in memory."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        self.sent = len(self.data)
        yield self.data


def tls_context(url: str, ca_file: Path | None) -> ssl.SSLContext | None:
    """Make the one TLS context of the process: TLS 1.2 or newer, host names checked, `ca_file` in place of the store.

    None for a plain `http` URL. Raises `OSError` or `ssl.SSLError` where `ca_file` cannot be read.
    """
    if not url.lower().startswith("https:"):
        return None
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is None and not context.get_ca_certs():
        context = httpx.create_ssl_context(trust_env=False)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def present(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    """Have the device show its own certificate; without a `key_file` the key is in `cert_file` too.

    Raises `OSError` or `ssl.SSLError` where they cannot be read, do not fit, or the key has a passphrase.
    """
    context.load_cert_chain(cert_file, key_file, password=lambda: b"")  # a terminal is not asked


def _headers(content_type: str, length: int) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", content_type.encode("ascii")), (b"content-length", b"%d" % length)]


def _told(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        if (lower := name.lower()) in TOLD:
            text, key = value.decode("latin-1"), lower.decode()
            found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _bounded(pieces: Iterator[bytes]) -> bytes:
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > MAX_ANSWER:
            break
    return bytes(body[:MAX_ANSWER])
