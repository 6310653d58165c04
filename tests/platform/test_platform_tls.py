from __future__ import annotations

import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trustme
from wire_rig import Connection, Server, make_client, make_item

from agent.errors import LinkFault
from agent.platform.answers import Meaning
from agent.platform.client import CLOCK_REMEDY, tls_context

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return a made-up authority."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """Return the authority's certificate as the file that `server.ca_file` names."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


def serving(
    authority: trustme.CA,
    host: str = "127.0.0.1",
    *,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
) -> ssl.SSLContext:
    """Return a server's side with a certificate for `host`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, not_before=not_before, not_after=not_after).configure_cert(context)
    return context


def refusal(server: Server, ca_file: Path | None, folder: Path) -> LinkFault:
    """Upload to a server that must not be trusted; return why it was not."""
    with make_client(server.url, context=tls_context(server.url, ca_file)) as client:
        with pytest.raises(LinkFault) as caught:
            client.upload(make_item(folder))
    assert (caught.value.kind, caught.value.sent, server.requests) == ("tls", False, [])
    return caught.value


def test_a_trusted_server_is_used(authority: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    """With its authority in `ca_file` and its name in the certificate, an upload goes through, on TLS 1.2 or newer."""
    versions: list[str | None] = []

    def behave(connection: Connection) -> None:
        assert isinstance(connection.sock, ssl.SSLSocket)
        versions.append(connection.sock.version())
        while connection.request():
            connection.answer()

    with Server(behave, tls=serving(authority)) as server:
        with make_client(server.url, context=tls_context(server.url, ca_file)) as client:
            item = make_item(tmp_path, bytes(3_000_000))
            assert client.upload(item).meaning is client.upload(item).meaning is Meaning.DELIVERED
    assert versions == ["TLSv1.3"]


def test_an_unknown_authority_is_refused(authority: trustme.CA, tmp_path: Path) -> None:
    """Without `ca_file` the system's store decides, and it does not know a made-up authority."""
    with Server(tls=serving(authority)) as server:
        fault = refusal(server, None, tmp_path)
    assert "server.ca_file" in fault.remedy


def test_ca_file_replaces_the_store(authority: trustme.CA, tmp_path: Path) -> None:
    """With `ca_file` nobody else is trusted: a server of another authority is refused."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    context = tls_context("https://x", other)
    assert context is not None
    assert len(context.get_ca_certs()) == 1
    with Server(tls=serving(authority)) as server:
        refusal(server, other, tmp_path)


@pytest.mark.parametrize(
    ("host", "not_before", "not_after", "words", "remedy"),
    [
        ("acusight.example", None, None, "not valid for", "host name in server.url"),
        ("127.0.0.1", None, NOW - timedelta(days=1), "expired", "server.ca_file"),
        ("127.0.0.1", NOW + timedelta(days=1), None, "not yet valid", CLOCK_REMEDY),
    ],
    ids=["wrong host", "expired", "not yet valid"],
)
def test_a_certificate_has_to_fit(
    authority: trustme.CA,
    ca_file: Path,
    tmp_path: Path,
    host: str,
    not_before: datetime | None,
    not_after: datetime | None,
    words: str,
    remedy: str,
) -> None:
    """Host name and dates are checked; one that is not yet valid is first of all a wrong clock."""
    with Server(tls=serving(authority, host, not_before=not_before, not_after=not_after)) as server:
        fault = refusal(server, ca_file, tmp_path)
    assert words in fault.what
    assert remedy in fault.remedy


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_protocols_are_refused(authority: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    """A server that speaks nothing newer than TLS 1.1 gets no key."""
    context = serving(authority)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with Server(tls=context) as server:
        refusal(server, ca_file, tmp_path)
    ours = tls_context("https://x", None)
    assert ours is not None
    assert ours.minimum_version is ssl.TLSVersion.TLSv1_2
    assert ours.check_hostname
    assert ours.verify_mode is ssl.CERT_REQUIRED


def test_plain_http_on_a_tls_port_is_no_tls(ca_file: Path, tmp_path: Path) -> None:
    """A server that does not speak TLS is refused in the handshake, before the key."""

    def behave(connection: Connection) -> None:
        connection.sock.recv(100)
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with Server(behave) as server:
        server_url = server.url.replace("http:", "https:")
        with make_client(server_url, context=tls_context(server_url, ca_file)) as client:
            with pytest.raises(LinkFault) as caught:
                client.upload(make_item(tmp_path))
    assert (caught.value.kind, caught.value.sent) == ("tls", False)


@pytest.mark.parametrize(("url", "secured"), [("http://h", False), ("https://h", True), ("HTTPS://h", True)])
def test_every_https_address_has_our_context(ca_file: Path, url: str, *, secured: bool) -> None:
    """However the scheme is written, `ca_file` holds."""
    assert (tls_context(url, ca_file) is not None) is secured


def test_a_handshake_that_hangs_has_a_deadline(ca_file: Path, tmp_path: Path) -> None:
    """A port that accepts and says nothing costs the connect timeout."""
    with Server(lambda connection: connection.stall()) as server:
        url = server.url.replace("http:", "https:")
        with make_client(url, context=tls_context(url, ca_file), connect_timeout_s=0.3) as client:
            began = time.monotonic()
            with pytest.raises(LinkFault) as caught:
                client.upload(make_item(tmp_path))
    assert (caught.value.kind, caught.value.sent) == ("timeout", False)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("hang", ["handshake", "upload", "answer"])
def test_i4_abort_reaches_through_tls(authority: trustme.CA, ca_file: Path, tmp_path: Path, hang: str) -> None:
    """TLS takes the socket over; an upload, and the handshake before it, can be broken off all the same."""
    began = threading.Event()

    def behave(connection: Connection) -> None:
        if hang == "upload":
            connection.head()
        elif hang == "answer":
            connection.request()
        began.set()
        connection.stall()

    with Server(behave, tls=None if hang == "handshake" else serving(authority)) as server:
        url = server.url.replace("http:", "https:")
        context = tls_context(url, ca_file)
        with make_client(url, context=context, timeout_s=20, connect_timeout_s=20) as client:
            aborted: list[float] = []

            def abort() -> None:
                began.wait(5)
                time.sleep(0.1)  # until the client blocks
                aborted.append(time.monotonic())
                client.abort()

            thread = threading.Thread(target=abort)
            thread.start()
            with pytest.raises(LinkFault):
                client.upload(make_item(tmp_path, bytes(8_000_000)))
            assert time.monotonic() - aborted[0] < 0.5
            thread.join()
