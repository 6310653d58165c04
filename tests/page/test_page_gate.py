from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from starlette.datastructures import Headers

from agent.config.listening import is_loopback, place
from agent.config.page import PageSettings
from agent.errors import ConfigError
from agent.page.desk import ordered
from agent.page.gate import is_known, is_ours, is_own_form
from agent.page.serving import address_text, check_reach, read_token

if TYPE_CHECKING:
    from pathlib import Path

NAMES = frozenset({"localhost", "pi-7", "pi-7.local"})
TOKEN = "0123456789abcdef0123"


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8585", "localhost", "LOCALHOST:9000", "[::1]:8585", "192.168.1.20:8585", "pi-7.local:8585"]
)
def test_this_machine_answers_to_its_names(host: str) -> None:
    """An address cannot be rebound, whatever the port of a tunnel; names are those that we have."""
    assert is_ours(host, NAMES)


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8585", "", "localhost.evil.example", "127.0.0.1.nip.io"]
)
def test_a_name_that_was_made_to_point_here_is_turned_away(host: str) -> None:
    """DNS rebinding fails: a page of elsewhere has its own name in `Host`."""
    assert not is_ours(host, NAMES)


@pytest.mark.parametrize(
    ("headers", "fine"),
    [
        ({"origin": "http://127.0.0.1:8585"}, True),
        ({"origin": "https://127.0.0.1:8585", "sec-fetch-site": "same-origin"}, True),
        ({"origin": "http://127.0.0.1:8585", "sec-fetch-site": "cross-site"}, False),
        ({"origin": "http://127.0.0.1:8586"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({}, False),
    ],
)
def test_only_the_pages_own_forms_change_anything(headers: dict[str, str], *, fine: bool) -> None:
    """A form of another site (CSRF), of another port, or of nobody knows where is refused."""
    assert is_own_form("127.0.0.1:8585", Headers(headers)) is fine


@pytest.mark.parametrize(
    ("authorization", "known"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer {TOKEN}", True),
        ("Basic " + base64.b64encode(f"anybody:{TOKEN}".encode()).decode(), True),
        ("Basic " + base64.b64encode(f"{TOKEN}:".encode()).decode(), False),
        ("Basic !!!", False),
        ("Basic //79", False),
        (f"Digest {TOKEN}", False),
        ("Bearer wrong", False),
        ("", False),
    ],
)
def test_the_token_is_a_password_or_a_bearer(authorization: str, *, known: bool) -> None:
    """Browsers ask their user for it, Prometheus sends it; nothing else counts."""
    assert is_known(authorization, TOKEN) is known


@pytest.mark.parametrize("address", [("127.0.0.1", 1), ("::1", 1, 0, 0), ("localhost", 1), "/run/page.sock"])
def test_this_machine_needs_no_token(address: object) -> None:
    """Loopback and a Unix socket are nobody else's."""
    check_reach(address, None)


@pytest.mark.parametrize("address", [("0.0.0.0", 1), ("::", 1, 0, 0), ("192.168.1.20", 1), ("pi-7", 1)])  # noqa: S104 (an address to be refused)
def test_beyond_this_machine_a_token_is_needed(address: object) -> None:
    """Else it ends with 78, before it listens, and says what to set."""
    with pytest.raises(ConfigError, match=r"open to everybody .* page\.token_file") as refused:
        check_reach(address, None)
    assert refused.value.exit_code == 78
    check_reach(address, TOKEN)


def test_a_token_file_is_a_secret(tmp_path: Path) -> None:
    """Missing, short or readable by others it is refused, and what it holds is never said."""
    file = tmp_path / "token"
    with pytest.raises(ConfigError, match="no token file"):
        read_token(file)
    file.write_text(TOKEN + "\n")
    file.chmod(0o640)
    with pytest.raises(ConfigError, match="may be read by others") as refused:
        read_token(file)
    assert TOKEN not in str(refused.value)
    file.chmod(0o600)
    assert read_token(file) == TOKEN
    assert read_token(None) is None
    file.write_text("short")
    with pytest.raises(ConfigError, match="fewer than 16") as refused:
        read_token(file)
    assert "short" not in str(refused.value).replace(str(file), "")


@pytest.mark.parametrize(
    ("listen", "found"),
    [("127.0.0.1:8585", ("127.0.0.1", 8585)), ("[::1]:80", ("::1", 80)), ("pi:0", ("pi", 0)), ("/run/a", "/run/a")],
)
def test_a_place_is_an_address_or_a_path(listen: str, found: object) -> None:
    """Both are read as they are written."""
    assert place(listen) == found
    assert PageSettings(listen=listen).listen == listen


@pytest.mark.parametrize("listen", ["", "8585", ":8585", "127.0.0.1", "::1:80", "a:65536", "run/a", "http://a:1"])
def test_what_is_no_place_is_an_error(listen: str) -> None:
    """It is said when the configuration is checked, not when the page is started."""
    with pytest.raises(ValueError, match="must be an address with a port"):
        PageSettings(listen=listen)


def test_loopback_is_what_nobody_else_reaches() -> None:
    """All of 127/8 and ::1; a name only where it is localhost, as others may be pointed elsewhere."""
    assert [is_loopback(host) for host in ("127.9.9.9", "::1", "localhost", "10.0.0.1", "pi")] == [True] * 3 + [
        False
    ] * 2
    assert address_text(("::1", 80, 0, 0)) == "http://[::1]:80/"
    assert address_text("/run/a") == "/run/a"


@pytest.mark.parametrize(
    ("name", "form"), [("drop", ""), ("retry", "id=x"), ("retry", "id=-1"), ("retry", "id=" + "9" * 30)]
)
def test_other_orders_than_three_do_not_exist(name: str, form: str) -> None:
    """The page retries, pauses and resumes; it cannot drop anything, and reads no nonsense as a number."""
    assert ordered(name, form) is None
