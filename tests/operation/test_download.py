from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import httpx
import pytest
from wire_rig import KEY, Connection, Server, Still

from agent.errors import LinkFault, Reject
from agent.platform.download import Downloader, address, nearness
from agent.workers import Stop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODEL = os.urandom(300_000)
SHA = hashlib.sha256(MODEL).hexdigest()
TAG = '"v1"'


def downloader(server: Server, *, max_bytes: int = 10**6, stop: Stop | None = None) -> Downloader:
    """Make a downloader for a device of that server's API."""
    return Downloader(
        server.url,
        key=lambda: KEY,
        context=lambda *_: None,
        connect_timeout_s=2,
        timeout_s=2,
        max_bytes=max_bytes,
        clock=Still(),
        stop=stop or Stop(),
    )


def whole(connection: Connection) -> None:
    """Give the whole file."""
    while connection.request():
        connection.answer(200, MODEL, ETag=TAG)


def breaking(at: int, *, tag: str = TAG, honest: bool = True) -> Callable[[Connection], None]:
    """Break off the first answer at that byte; then give the rest, or where not `honest` another part."""

    def behave(connection: Connection) -> None:
        request = connection.request()
        if request is None:
            return
        if len(connection.server.requests) == 1:
            connection.send(f"HTTP/1.1 200 X\r\nETag: {tag}\r\nContent-Length: {len(MODEL)}\r\n\r\n".encode())
            connection.send(MODEL[:at])
            connection.sock.close()
            return
        if "range" not in request.headers:
            connection.answer(200, MODEL, ETag=tag)
            return
        begun = int(request.headers["range"].removeprefix("bytes=").rstrip("-")) - (not honest)
        span = f"bytes {begun}-{len(MODEL) - 1}/{len(MODEL)}"
        connection.answer(206, MODEL[begun:], Content_Range=span, ETag=tag)

    return behave


def test_a_file_of_the_api_comes_with_the_key(tmp_path: Path) -> None:
    """Its bytes, size and digest; the address may be relative to the API."""
    with Server(whole) as server:
        fetched = downloader(server).fetch("models/7", tmp_path / "part")
        assert (fetched.size, fetched.sha256) == (len(MODEL), SHA)
        assert (tmp_path / "part").read_bytes() == MODEL
        (request,) = server.requests
        assert request.target == "/api/models/7"
        assert request.headers["x-device-key"] == KEY
    assert [path.name for path in tmp_path.iterdir()] == ["part"]


def test_nobody_else_gets_the_key(tmp_path: Path) -> None:
    """Another origin is asked without it, and so is whatever a redirect leads to, the API itself included (I7)."""

    def redirect(connection: Connection) -> None:
        while connection.request():
            connection.answer(302, b"", Location=f"{other.url}/x")

    with Server(whole) as other, Server(redirect) as server:
        downloader(server).fetch(f"{other.url}/models/7", tmp_path / "a")
        downloader(server).fetch("models/7", tmp_path / "b")
        assert [request.headers.get("x-device-key") for request in other.requests] == [None, None]
        assert server.requests[0].headers["x-device-key"] == KEY
        assert (tmp_path / "b").read_bytes() == MODEL


@pytest.mark.parametrize(
    ("tag", "ranged"),
    [(TAG, True), ('W/"weak"', False)],
)
def test_a_download_goes_on_where_it_broke_off(tmp_path: Path, tag: str, *, ranged: bool) -> None:
    """With a strong mark only the rest is fetched, and only of the same file; else it begins anew."""
    with Server(breaking(100_000, tag=tag)) as server:
        loader = downloader(server)
        with pytest.raises(LinkFault):
            loader.fetch("m", tmp_path / "part")
        assert (tmp_path / "part").stat().st_size == 100_000
        assert loader.fetch("m", tmp_path / "part").sha256 == SHA
        second = server.requests[1]
        assert (second.headers.get("range"), second.headers.get("if-range")) == (
            ("bytes=100000-", tag) if ranged else (None, None)
        )


def test_a_part_that_does_not_fit_is_thrown_away(tmp_path: Path) -> None:
    """A server that gives other bytes than it was asked for spoils nothing."""
    with Server(breaking(1000, honest=False)) as server:
        loader = downloader(server)
        for _ in range(2):
            with pytest.raises(LinkFault):
                loader.fetch("m", tmp_path / "part")
        assert not (tmp_path / "part").exists()
        assert loader.fetch("m", tmp_path / "part").sha256 == SHA


@pytest.mark.parametrize("told", [True, False])
def test_a_file_has_a_bound(tmp_path: Path, *, told: bool) -> None:
    """Also where its length is not told beforehand."""

    def behave(connection: Connection) -> None:
        connection.request()
        length = f"Content-Length: {len(MODEL)}" if told else "Connection: close"
        connection.send(f"HTTP/1.1 200 X\r\n{length}\r\n\r\n".encode())
        connection.send(MODEL)

    with Server(behave) as server, pytest.raises(Reject, match="larger than 1000 bytes"):
        downloader(server, max_bytes=1000).fetch("m", tmp_path / "part")
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize(
    ("status", "kind"), [(404, Reject), (401, Reject), (204, Reject), (429, LinkFault), (503, LinkFault)]
)
def test_an_answer_that_is_no_file(tmp_path: Path, status: int, kind: type[Exception]) -> None:
    """What may be better later is told from what will not."""

    def behave(connection: Connection) -> None:
        connection.request()
        connection.answer(status, b"")

    with Server(behave) as server, pytest.raises(kind, match=str(status)):
        downloader(server).fetch("m", tmp_path / "part")


def test_redirects_end(tmp_path: Path) -> None:
    """A circle is none of ours."""

    def behave(connection: Connection) -> None:
        while connection.request():
            connection.answer(302, b"", Location="/api/m")

    with Server(behave) as server, pytest.raises(Reject, match="redirected"):
        downloader(server).fetch("m", tmp_path / "part")


def test_a_stop_breaks_it_off(tmp_path: Path) -> None:
    """What came is kept for the next run (I4)."""
    stop = Stop()
    stop.set()
    with Server(whole) as server, pytest.raises(LinkFault, match="stopping"):
        downloader(server, stop=stop).fetch("m", tmp_path / "part")


@pytest.mark.parametrize(
    ("url", "api", "expected"),
    [
        ("https://s3/x?sig=1", "https://h/api", "https://s3/x?sig=1"),
        ("/models/7", "https://h/api", "https://h/models/7"),
        ("models/7", "https://h/api/", "https://h/api/models/7"),
        ("http://10.0.0.9/x", "http://10.0.0.7/api", "http://10.0.0.9/x"),
        ("http://h/x", "https://h/api", None),
        ("ftp://h/x", "https://h/api", None),
        ("file:///etc/shadow", "http://h/api", None),
        ("https://u:p@h/x", "https://h/api", None),
        ("https://h:99999/x", "https://h/api", None),
        ("https://h/\x00", "https://h/api", None),
    ],
)
def test_where_may_be_fetched_from(url: str, api: str, expected: str | None) -> None:
    """Plain http only where the API is, and never with a password or from elsewhere than a server."""
    if expected is None:
        with pytest.raises(Reject):
            address(url, api)
    else:
        assert str(address(url, api)) == expected


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("https://h/x", "own"),
        ("https://H:443/x", "own"),
        ("http://h/", "host"),
        ("https://h:8443/", "host"),
        ("https://h.evil/", "other"),
        ("https://x/", "other"),
    ],
)
def test_scheme_host_and_port_make_an_origin(url: str, near: str) -> None:
    """Any other one is somebody else, who gets neither key nor certificate (I7)."""
    assert nearness(httpx.URL(url), "https://h/api") == near
