from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.config.device_key import DeviceKeySource, read_device_key
from agent.config.environment import Environment
from agent.config.load import check, load
from agent.errors import ConfigError

if TYPE_CHECKING:
    from agent.config.secret import Secret

Write = Callable[..., Path]


def shown(secret: Secret | None) -> str | None:
    """Return the key itself."""
    return secret.get_secret_value() if secret else None


def test_where_the_key_is_looked_for(write: Write, tmp_path: Path) -> None:
    """The variable wins over the file's key, that over the key file, that over the credential."""
    key_file, credential = tmp_path / "key", tmp_path / "device_key"
    key_file.write_text("adk_03\n")
    key_file.chmod(0o600)
    credential.write_text(" adk_04\n")
    here = Environment(credentials_directory=tmp_path)
    variable = {"ACUSIGHT_AGENT_SERVER__DEVICE_KEY": "adk_01"}
    both = '[server]\ndevice_key = "adk_02"\ndevice_key_file = "key"\n'

    def found(text: str, environment: Environment) -> tuple[str | None, str]:
        configuration = load(write(text), environment)
        return shown(configuration.device_key), str(configuration.device_key_source)

    in_all = Environment(credentials_directory=tmp_path, overrides=variable)
    assert found(both, in_all) == ("adk_01", "ACUSIGHT_AGENT_SERVER__DEVICE_KEY")
    assert found(both, here) == ("adk_02", str(tmp_path / "config.toml"))
    assert found('[server]\ndevice_key_file = "key"', here) == ("adk_03", str(key_file))
    assert found("", here) == ("adk_04", str(credential))
    assert found("", Environment()) == (None, "nowhere")


def test_a_rotated_key_is_read_again(tmp_path: Path) -> None:
    """A source that is read again returns what its file holds now, also when it was missing or empty."""
    path = tmp_path / "key"
    source = DeviceKeySource(file=path)
    seen = [shown(read_device_key(source))]
    for text in ("", "adk_aa", "adk_bb\n"):
        path.write_text(text)
        path.chmod(0o600)
        seen.append(shown(read_device_key(source)))
    assert seen == [None, None, "adk_aa", "adk_bb"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_file_open_to_others_is_refused(mode: int, tmp_path: Path, canary: str) -> None:
    """A key file that others can read is refused with the chmod to run; a credential is not."""
    path = tmp_path / "a key"
    path.write_text(canary)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=f"run: chmod 600 '{path}'") as caught:
        read_device_key(DeviceKeySource(file=path))
    assert canary not in str(caught.value)
    assert shown(read_device_key(DeviceKeySource(credential=path))) == canary


def test_a_configuration_with_a_key_open_to_others_is_refused(write: Write, canary: str) -> None:
    """A configuration that holds a key must be private, also where a variable overrides that key."""
    path = write(f'[server]\ndevice_key = "{canary}"\n', 0o644)
    (problem,) = check(path, Environment(overrides={"ACUSIGHT_AGENT_SERVER__DEVICE_KEY": "adk_01"}))
    assert problem.line == 2
    assert f"run: chmod 600 {path}" in str(problem)
    path.chmod(0o600)
    assert not check(path, Environment())
    assert not check(write("[server]\n", 0o644), Environment())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("apt_c0ffee0123", "provisioning token"),
        ("c0ffee0123", "holds no device key"),
        ("adk_c0ffee0123 x", "holds no device key"),
        ("adk_c0ffee0123\r\nX-Evil: 1", "holds no device key"),
        ("adk_", "holds no device key"),
        ("adk_xyzc0ffee0123", "holds no device key"),
        ("\udcff\0", "holds no device key"),
    ],
)
def test_what_is_no_key_is_refused_unseen(text: str, message: str, tmp_path: Path, write: Write) -> None:
    """Anything but adk_<hex> is refused wherever it stands, and the message does not repeat it."""
    path = tmp_path / "key"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    path.chmod(0o600)
    variable = Environment(overrides={"ACUSIGHT_AGENT_SERVER__DEVICE_KEY": text})
    with pytest.raises(ConfigError, match=message) as in_file:
        read_device_key(DeviceKeySource(file=path))
    with pytest.raises(ConfigError, match=message) as in_variable:
        load(write(""), variable)
    assert "c0ffee" not in f"{in_file.value}{in_variable.value}"


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.mkdir(), lambda path: path.symlink_to(path)])
def test_a_key_file_that_is_no_file_is_refused(make: Callable[[Path], None], tmp_path: Path) -> None:
    """A FIFO, a folder or a loop in the key's place is an error at once; nothing waits for it."""
    path = tmp_path / "key"
    make(path)
    with pytest.raises(ConfigError, match="device key file"):
        read_device_key(DeviceKeySource(file=path))


@pytest.mark.parametrize(
    "text",
    [
        '[server]\ndevice_key = "{}"\nulr = 1',
        '[server]\ndevice_key = "{} x"',
        '[server]\ndevice_key = ["{}"]',
        "[server]\ndevice_key = {{{} = 1}}",
        "[server]\n{} = 1",
        "[{}]",
        '[server]\ndevice_kye = "{}"',
        '[server]\nurl = "https://{}@host/api"',
        '[server]\nurl = "{}"',
        '[upload]\nworkers = "{}"',
        '[spool]\nmax_bytes = "{}"',
        '[[watch]]\npath = "a"\nname = "{} x"',
        "a = {}",
        "{} = ",
    ],
)  # fmt: skip
def test_the_key_is_in_no_error(text: str, write: Write, canary: str) -> None:
    """Wherever a key is written by mistake, no problem, error, traceback or repr shows it (I7)."""
    path = write(text.format(canary))
    problems = check(path, Environment())
    assert problems
    with pytest.raises(ConfigError) as caught:
        load(path, Environment())
    trace = "".join(traceback.format_exception(caught.value))
    assert canary not in "".join([*map(str, problems), *map(repr, problems), trace, repr(caught.value)])


def test_the_key_is_in_no_repr(write: Write, canary: str) -> None:
    """Neither configuration nor environment shows the key when printed (I7)."""
    overrides = {"ACUSIGHT_AGENT_SERVER__DEVICE_KEY": canary}
    environment = Environment(overrides=overrides, children=overrides)
    configuration = load(write(""), environment)
    assert shown(configuration.device_key) == canary
    assert canary not in f"{configuration!r}{configuration}{environment!r}{configuration.settings.server.device_key}"
