from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = "acusight-agent.service"
DROP_INS = sorted(path.stem for path in (SYSTEMD / "drop-ins").glob("*.conf"))
MOST_EXPOSURE = 15
"""In tenths of systemd's scale, with a camera of any kind: what a drop-in opens it pays for elsewhere."""

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Return a folder with the units, whose programs exist here."""
    for path in [*SYSTEMD.glob("*.service"), *SYSTEMD.glob("*.path")]:
        text = path.read_text(encoding="utf-8").replace("/opt/acusight-agent/bin/acusight-agent", "/bin/true")
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    return tmp_path


def add(units: Path, name: str) -> Path:
    """Put a drop-in beside the unit, and return its path."""
    target = units / f"{UNIT}.d" / f"{name}.conf"
    target.parent.mkdir()
    return Path(shutil.copy(SYSTEMD / "drop-ins" / target.name, target))


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze."""
    command = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.parametrize("name", DROP_INS)
def test_systemd_has_nothing_to_say_about_a_drop_in(units: Path, name: str) -> None:
    """`verify` prints nothing about the unit with a drop-in; a misspelt line in it would be seen."""
    path = add(units, name)
    result = analyze("verify", units / UNIT)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    path.write_text(path.read_text(encoding="utf-8") + "ReadWritePath=/srv\n", encoding="utf-8")
    assert "ReadWritePath" in analyze("verify", units / UNIT).stderr


@pytest.mark.parametrize("name", DROP_INS)
def test_a_drop_in_keeps_the_exposure_low(units: Path, name: str) -> None:
    """With any drop-in the exposure is at most 1.5 of 10; one that opened netlink as well would be seen."""
    path = add(units, name)
    security = ("security", "--offline=true", f"--threshold={MOST_EXPOSURE}", units / UNIT)
    assert analyze(*security).returncode == 0
    more = "[Service]\nRestrictAddressFamilies=AF_NETLINK AF_PACKET\n"
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")
    assert analyze(*security).returncode != 0


def test_systemd_has_nothing_to_say_about_the_key_watch(units: Path) -> None:
    """`verify` prints nothing about the units that see to a new device key."""
    result = analyze("verify", units / "acusight-agent-key.path", units / "acusight-agent-key.service")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
