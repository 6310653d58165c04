"""The Acusight client: one a thread, one connection each.

It speaks to its transport without an `httpx.Client` in between: that would keep cookies, may read proxies from the
environment, can follow redirects with the key to another host, and costs a third of a small upload's time. An answer
is taken undecoded and cut at a bound, so that neither its size nor its compression can hurt.
"""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import httpx
from tenacity import Retrying, retry_if_exception, stop_after_attempt

from agent import __version__
from agent.clock import is_plausible
from agent.errors import LinkFault
from agent.platform.answers import Answer, Meaning, Verdict, read_answer, shown
from agent.platform.body import MAX_BODY, UploadBody, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from agent.clock import Clock
    from agent.frame import Item
    from agent.platform.transport import Transport

MAX_ANSWER = 65_536
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
    ) -> None:
        base = endpoint.url.rstrip("/")
        self._upload_url = httpx.URL(f"{base}/device/images/upload")
        self._self_url = httpx.URL(f"{base}/device/self")
        self._host = self._upload_url.netloc
        self._key = key
        self._clock = clock
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
            body = UploadBody(item, descriptor)
            if body.length >= MAX_BODY:
                return Verdict(
                    Meaning.TOO_LARGE, f"{body.length} bytes with its metadata, the platform takes {MAX_BODY}"
                )
            headers = [("content-type", body.content_type), ("content-length", str(body.length))]
            answer = self._ask("POST", self._upload_url, headers, body)
        return read_answer(answer, self._clock.wall())

    def probe(self) -> Verdict:
        """Ask `GET /device/self`: is the URL right, the key known, the device approved? It changes nothing."""
        fresh = Retrying(stop=stop_after_attempt(2), retry=retry_if_exception(_is_stale), reraise=True)
        answer = fresh(self._ask, "GET", self._self_url, [], None)
        verdict = read_answer(answer, self._clock.wall())
        if verdict.meaning is Meaning.DELIVERED:
            status = _device_status(answer.body)
            if status in {"pending", "rejected"}:
                return Verdict(Meaning.DENIED, f"the device is {status} on the platform")
        return verdict

    def abort(self) -> None:
        """Break off what is under way, from any thread."""
        self._transport.abort()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _ask(self, method: str, url: httpx.URL, headers: list[tuple[str, str]], body: UploadBody | None) -> Answer:
        request = httpx.Request(
            method,
            url,
            headers=[
                ("host", self._host.decode()),
                ("user-agent", f"acusight-agent/{__version__}"),
                ("accept", "application/json"),
                ("accept-encoding", "identity"),
                ("x-device-key", self._key()),
                *headers,
            ],
            stream=_Stream(body) if body else httpx.ByteStream(b""),
            extensions=self._extensions,
        )
        with _link_errors(body, self._clock):
            response = self._transport.handle_request(request)
            try:
                return Answer(response.status_code, _headers(response), _bounded(response))
            finally:
                response.close()


class _Stream(httpx.SyncByteStream):
    def __init__(self, body: UploadBody) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)


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


def _headers(response: httpx.Response) -> dict[str, str]:
    return {name: response.headers[name] for name in ("retry-after", "date", "location") if name in response.headers}


def _bounded(response: httpx.Response) -> bytes:
    body = bytearray()
    for piece in response.iter_raw():
        body += piece
        if len(body) > MAX_ANSWER:
            break
    return bytes(body[:MAX_ANSWER])


def _device_status(body: bytes) -> str:
    data: Any = json.loads(body).get("data")
    status = data.get("status") if isinstance(data, dict) else None
    return status if isinstance(status, str) else ""


@contextmanager
def _link_errors(body: UploadBody | None, clock: Clock) -> Iterator[None]:
    """Translate what the wire raises; nothing of httpx goes further."""
    try:
        yield
    except httpx.TransportError as error:
        sent = body is not None and body.sent > 0
        kind, what = _kind(error)
        what = shown(what)  # it may quote what the server sent
        remedy = REMEDIES[kind]
        if kind == "tls" and is_clocks_fault(what, clock.wall(), trusted=clock.trusted()):
            what = f"{what}, but this device's clock is not set: it says {clock.wall():%Y-%m-%d}"
            remedy = CLOCK_REMEDY
        elif "ALERT" in what:
            remedy = ALERT_REMEDY
        raise LinkFault(what, kind=kind, sent=sent, remedy=remedy) from error


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
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_stale(error: BaseException) -> bool:
    """Tell whether a kept-alive connection had been closed under us; a new one settles that at once."""
    return isinstance(error, LinkFault) and error.kind == "reset"
