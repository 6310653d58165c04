"""How configuration and key are judged: real files, read as the daemon reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.config.environment import Environment
from agent.doctor import configuration
from agent.doctor.bundle import secrets_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.doctor.finding import Finding

KEY = "adk_c0ffee0badc0de42"
CONFIG = """\
[server]
url = "https://127.0.0.1:9"
device_key_file = "key"
{server}
[[watch]]
path = "in"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a sound configuration and its key."""
    (tmp_path / "config.toml").write_text(CONFIG.format(server=""), encoding="ascii")
    (tmp_path / "key").write_text(KEY, encoding="ascii")
    (tmp_path / "key").chmod(0o600)
    return tmp_path


def found(folder: Path) -> dict[str, Finding]:
    """Return the findings of the folder's configuration, by check."""
    read = configuration.read(folder / "config.toml", Environment())
    return {finding.check: finding for finding in configuration.findings(read)}


def write(name: str, text: str) -> Callable[[Path], object]:
    """Return what replaces a file's content."""
    return lambda folder: (folder / name).write_text(text, encoding="ascii")


def test_a_sound_one_has_nothing_to_mend(folder: Path) -> None:
    """Its sources are counted, and where the key comes from is told, never the key."""
    findings = found(folder)
    assert [finding.state for finding in findings.values()] == ["ok", "ok"]
    assert findings["key"].what == f"from {folder}/key"
    assert KEY not in repr(findings)


@pytest.mark.parametrize(
    ("change", "check", "section"),
    [
        (lambda folder: (folder / "key").chmod(0o644), "key", "key-can-be-read-by-others"),
        (write("key", "apt_0123"), "key", "key-is-a-token"),
        (write("key", "'adk_12'"), "key", "key-is-none"),
        (lambda folder: (folder / "key").unlink(), "key", "there-is-no-device-key"),
        (write("config.toml", "[uplod]\nx = 1\n"), "configuration", "configuration-is-invalid"),
        (write("config.toml", "[log]\n"), "configuration", "nothing-to-run"),
        (
            write("config.toml", CONFIG.format(server='ca_file = "none.pem"')),
            "certificates",
            "a-certificate-file-cannot-be-used",
        ),
    ],
)
def test_what_is_wrong_has_its_place_and_its_command(
    folder: Path, change: Callable[[Path], object], check: str, section: str
) -> None:
    """Each fault of configuration, key and certificates leads to its section, with one command."""
    change(folder)
    finding = found(folder)[check]
    assert (finding.state, finding.section) == ("problem", section)
    assert finding.command
    assert finding.why


def test_an_open_key_is_closed_by_the_command(folder: Path) -> None:
    """The command is the one of the error's own sentence."""
    (folder / "key").chmod(0o644)
    assert found(folder)["key"].command == f"chmod 600 {folder}/key"


def test_the_services_key_is_looked_for_where_the_unit_takes_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's configuration names no key file: a command beside it finds the file that the unit hands over."""
    path = folder / "config.toml"
    path.write_text('[[watch]]\npath = "in"\n', encoding="ascii")
    monkeypatch.setattr("agent.doctor.configuration.SYSTEM_CONFIG", path)
    monkeypatch.setattr("agent.doctor.configuration.SYSTEM_KEY", folder / "key")
    assert found(folder)["key"].what == f"from {folder}/key"
    (folder / "key").write_text("apt_1", encoding="ascii")
    assert found(folder)["key"].section == "key-is-a-token"
    (folder / "key").unlink()
    finding = found(folder)["key"]
    assert finding.command == f"sudo install -m 600 /dev/stdin {folder}/key"


def test_every_password_of_a_source_is_a_secret(folder: Path) -> None:
    """User information and parameters, as written and decoded; short ones would blot out half of every text."""
    sources = [
        "rtsp://admin:s3cr@t/1@10.0.0.1/x",
        "http://10.0.0.1/cgi?user=a&pwd=sword%21fish",
        "rtsp://onlyauser@10.0.0.1/x",
        "rtsp://a:b@10.0.0.1/x",
    ]
    cameras = "".join(f'[[camera]]\nname = "c{n}"\nsource = "{source}"\n' for n, source in enumerate(sources))
    (folder / "config.toml").write_text(CONFIG.format(server="") + cameras, encoding="ascii")
    secrets = secrets_of(configuration.read(folder / "config.toml", Environment()))
    assert set(secrets) == {KEY, "s3cr@t/1", "sword%21fish", "sword!fish", "onlyauser"}
    assert secrets == sorted(secrets, key=len, reverse=True)
