from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from agent.config.page import PageSettings

UNITS = Path(__file__).parents[2] / "systemd"
SERVICE, SOCKET = UNITS / "acusight-agent-page.service", UNITS / "acusight-agent-page.socket"
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """Return copies of the units whose program exists here."""
    for path in (SERVICE, SOCKET):
        text = path.read_text().replace("/opt/acusight-agent/bin/acusight-agent", "/bin/true")
        (tmp_path / path.name).write_text(text)
    return [tmp_path / SERVICE.name, tmp_path / SOCKET.name]


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze."""
    command = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


@needs_systemd
def test_systemd_has_nothing_to_say(units: list[Path]) -> None:
    """`systemd-analyze verify` prints nothing of the page's service and its socket, which belong together."""
    result = analyze("verify", *units)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@needs_systemd
def test_the_page_is_shut_in_more_tightly_than_the_agent(units: list[Path]) -> None:
    """Its exposure is at most 0.6 of 10: it opens no network of its own; without that line it would fail."""
    assert analyze("security", "--offline=true", "--threshold=6", units[0]).returncode == 0
    units[0].write_text(units[0].read_text().replace("PrivateNetwork=", "# PrivateNetwork="))
    assert analyze("security", "--offline=true", "--threshold=6", units[0]).returncode != 0


def test_the_socket_is_where_the_page_says_that_it_is() -> None:
    """The unit's address is the setting's default, and it is this machine's alone."""
    assert f"ListenStream={PageSettings().listen}\n" in SOCKET.read_text()
    assert "\nUser=acusight\n" in SERVICE.read_text()
