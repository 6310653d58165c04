from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.app.house import House
from agent.clock import SystemClock
from agent.config.client_key import check_client_key
from agent.config.environment import read_environment
from agent.config.load import check, load
from agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SERVER = '[server]\nurl = "https://acusight.example/api"\ndevice_key = "adk_00"\n'


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_client_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The key of the device's certificate is a secret like the device key: refused, with the chmod to run."""
    path = tmp_path / "client.key"
    path.touch()
    path.chmod(mode)
    with pytest.raises(ConfigError, match=rf"client certificate's key .* run: chmod 600 {path}"):
        check_client_key(path)
    path.chmod(0o600)
    check_client_key(path)


def test_a_client_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error says which file is missing."""
    with pytest.raises(ConfigError, match=r"client\.key: No such file"):
        check_client_key(tmp_path / "client.key")


def test_a_client_key_needs_its_certificate(write: Callable[..., Path]) -> None:
    """A key alone shows nothing to a server: the configuration is refused."""
    path = write('[server]\nclient_key_file = "client.key"\n')
    [problem] = check(path, read_environment())
    assert "client_cert_file" in str(problem)


def test_a_client_certificate_is_checked_before_anything_starts(write: Callable[..., Path], tmp_path: Path) -> None:
    """Paths start at the configuration's folder; an open key, and then a file that is no PEM, stop a start."""
    path = write(f'{SERVER}client_cert_file = "client.pem"\n')
    configuration = load(path, read_environment())
    assert configuration.settings.server.client_cert_file == tmp_path / "client.pem"
    house = House(configuration, read_environment(), clock=SystemClock())
    (tmp_path / "client.pem").write_text("no certificate")
    (tmp_path / "client.pem").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        house.check()
    (tmp_path / "client.pem").chmod(0o600)
    with pytest.raises(ConfigError, match=r"server\.client_cert_file .* cannot be used"):
        house.check()
