from __future__ import annotations

import ssl
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from wire_rig import Connection, Server, Still, make_client, make_item

from agent.errors import LinkFault
from agent.platform.answers import Meaning
from agent.platform.client import present, tls_context
from agent.platform.faults import CLOCK_REMEDY, is_clocks_fault

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)
UNSET = datetime(1970, 1, 1, 0, 2, tzinfo=UTC)


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
        ("127.0.0.1", NOW + timedelta(days=1), None, "not yet valid", "the dates of the server's certificate"),
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
    """Host name and dates are checked; with a clock that can be trusted, the certificate is at fault."""
    with Server(tls=serving(authority, host, not_before=not_before, not_after=not_after)) as server:
        fault = refusal(server, ca_file, tmp_path)
    assert words in fault.what
    assert remedy in fault.remedy


@pytest.mark.parametrize(
    ("what", "wall", "trusted", "clocks"),
    [
        ("certificate is not yet valid", UNSET, False, True),
        ("certificate is not yet valid", NOW, False, True),
        ("certificate is not yet valid", NOW, True, False),
        ("certificate has expired", UNSET, False, True),
        ("certificate has expired", datetime(2070, 1, 1, tzinfo=UTC), False, True),
        ("certificate has expired", NOW, False, False),
        ("certificate has expired", NOW, True, False),
        ("unable to get local issuer certificate", UNSET, False, False),
    ],
)
def test_the_clock_is_blamed_where_it_may_be_wrong(what: str, wall: datetime, *, trusted: bool, clocks: bool) -> None:
    """A certificate's dates are the clock's fault only while it is not trusted; an expired one, if it is absurd too."""
    assert is_clocks_fault(what, wall, trusted=trusted) is clocks


def test_a_wrong_clock_is_told_as_such(authority: trustme.CA, ca_file: Path, tmp_path: Path) -> None:
    """Before the clock is set, a certificate from the future is reported with the date that the device believes."""
    with Server(tls=serving(authority, not_before=NOW + timedelta(days=1))) as server:
        clock = Still(UNSET, is_trusted=False)
        with make_client(server.url, context=tls_context(server.url, ca_file), clock=clock) as client:
            with pytest.raises(LinkFault) as caught:
                client.upload(make_item(tmp_path))
    assert "not yet valid, but this device's clock is not set: it says 1970-01-01" in caught.value.what
    assert caught.value.remedy == CLOCK_REMEDY


@dataclass(frozen=True)
class Card:
    """A device's own certificate and key, as files."""

    cert: Path
    key: Path
    both: Path


@pytest.fixture
def card(authority: trustme.CA, tmp_path: Path) -> Card:
    """Return a certificate that the server's authority issued to the device."""
    issued = authority.issue_cert("device-7.example")
    card = Card(tmp_path / "client.pem", tmp_path / "client.key", tmp_path / "both.pem")
    issued.cert_chain_pems[0].write_to_path(card.cert)
    issued.private_key_pem.write_to_path(card.key)
    issued.private_key_and_cert_chain_pem.write_to_path(card.both)
    return card


def asking(authority: trustme.CA, version: ssl.TLSVersion) -> ssl.SSLContext:
    """Return a server's side that takes nobody without a certificate."""
    context = serving(authority)
    context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("together", [False, True], ids=["two files", "one file"])
def test_the_device_shows_its_certificate(
    authority: trustme.CA, ca_file: Path, tmp_path: Path, card: Card, version: ssl.TLSVersion, *, together: bool
) -> None:
    """A server that asks for a client certificate gets the configured one, and takes the picture."""
    with Server(tls=asking(authority, version)) as server:
        context = tls_context(server.url, ca_file)
        assert context is not None
        present(context, *((card.both, None) if together else (card.cert, card.key)))
        with make_client(server.url, context=context) as client:
            assert client.upload(make_item(tmp_path)).meaning is Meaning.DELIVERED


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_missing_client_certificate_is_named(
    authority: trustme.CA, ca_file: Path, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """Without one the server hangs up; the fault is TLS, and the remedy names the setting."""
    with Server(tls=asking(authority, version)) as server:
        with make_client(server.url, context=tls_context(server.url, ca_file)) as client:
            with pytest.raises(LinkFault) as caught:
                client.upload(make_item(tmp_path))
        assert server.requests == []
    assert caught.value.kind == "tls"
    assert "server.client_cert_file" in caught.value.remedy


def test_a_key_that_does_not_fit_is_refused(tmp_path: Path, card: Card) -> None:
    """A certificate and a foreign key never get as far as a connection."""
    foreign = tmp_path / "foreign.key"
    trustme.CA().issue_cert("other.example").private_key_pem.write_to_path(foreign)
    with pytest.raises(ssl.SSLError):
        present(ssl.create_default_context(), card.cert, foreign)


def test_a_key_with_a_passphrase_asks_nobody(tmp_path: Path, card: Card) -> None:
    """A service has no terminal: a locked key is an error at once."""
    locked = tmp_path / "locked.key"
    key = serialization.load_pem_private_key(card.key.read_bytes(), None)
    sealed = serialization.BestAvailableEncryption(b"secret")
    form = serialization.PrivateFormat.TraditionalOpenSSL
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, sealed))
    with pytest.raises((ssl.SSLError, OSError)):
        present(ssl.create_default_context(), card.cert, locked)


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
