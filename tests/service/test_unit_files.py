from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from agent.config.settings import Settings
from agent.errors import ConfigError

UNIT = Path(__file__).parents[2] / "systemd" / "acusight-agent.service"
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Return a copy of the unit whose program exists here."""
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace("/opt/acusight-agent/bin/acusight-agent", "/bin/true"))
    return path


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze."""
    command = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def setting(name: str) -> str:
    """Return the value that the unit gives to `name`."""
    (value,) = [line.partition("=")[2] for line in UNIT.read_text().splitlines() if line.startswith(f"{name}=")]
    return value


@needs_systemd
def test_systemd_has_nothing_to_say(unit: Path) -> None:
    """`systemd-analyze verify` prints nothing: it ends with 0 even where it ignores a line."""
    result = analyze("verify", unit)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@needs_systemd
def test_a_misspelt_line_would_be_seen(unit: Path) -> None:
    """The control: an unknown key makes the check above fail."""
    unit.write_text(unit.read_text().replace("PrivateTmp=", "PrivatTmp="))
    assert "PrivatTmp" in analyze("verify", unit).stderr


@needs_systemd
def test_the_unit_is_hardened(unit: Path) -> None:
    """The exposure is at most 1.5 of 10, cameras allowed; a unit without the filters would fail."""
    assert analyze("security", "--offline=true", "--threshold=15", unit).returncode == 0
    unit.write_text(unit.read_text().replace("SystemCallFilter=", "# SystemCallFilter="))
    assert analyze("security", "--offline=true", "--threshold=15", unit).returncode != 0


def test_the_unit_fits_the_agent() -> None:
    """Exit code, grace, credential and folders in the unit are those of the agent."""
    assert setting("RestartPreventExitStatus") == str(ConfigError.exit_code)
    assert float(setting("TimeoutStopSec")) > Settings().upload.grace_s + 1
    assert setting("LoadCredential").startswith("device_key:")
    assert setting("StateDirectory") == setting("RuntimeDirectory") == "acusight-agent"
    assert setting("StateDirectoryMode") == "0700"
    assert setting("Type") == "notify"
