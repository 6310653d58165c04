from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from agent.config.key_file import LARGEST, KeyFile
from agent.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = "adk_01", "adk_02"


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    """Return a key file with an old key."""
    path = tmp_path / "device_key"
    path.write_text(OLD, encoding="ascii")
    path.chmod(0o600)
    return KeyFile(path)


def secret(keys: KeyFile) -> tuple[str | None, str | None]:
    """Return the key in use and the unproven one."""
    current, unproven = keys.current(), keys.unproven()
    return current.get_secret_value() if current else None, unproven.get_secret_value() if unproven else None


def test_a_new_key_lies_beside_the_old_one_until_it_is_installed(keys: KeyFile) -> None:
    """The old key is in use to the last, and then the new one is, 0600 from its first byte on."""
    place = keys.reserve()
    assert stat.S_IMODE(keys.new.stat().st_mode) == 0o600
    assert secret(keys) == (OLD, None)
    place.keep(NEW)
    place.close(used=True)
    assert secret(keys) == (OLD, NEW)
    keys.install()
    assert secret(keys) == (NEW, None)
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600


def test_the_place_has_room_before_there_is_a_key(keys: KeyFile) -> None:
    """A disk that fills up in between cannot lose a key that is shown once; an empty place is no key."""
    place = keys.reserve()
    assert keys.new.stat().st_blocks * 512 >= LARGEST
    assert keys.unproven() is None
    place.keep(NEW)
    assert keys.new.read_bytes() == f"{NEW}\n".encode()
    place.close(used=True)


def test_an_unused_place_is_taken_away(keys: KeyFile) -> None:
    """A token that was refused leaves nothing behind."""
    keys.reserve().close(used=False)
    assert os.listdir(keys.path.parent) == ["device_key"]  # noqa: PTH208 (names)


def test_two_runs_do_not_share_a_place(keys: KeyFile) -> None:
    """The second is told so, and cannot take away what the first is given."""
    first = keys.reserve()
    with pytest.raises(ConfigError, match="another run"):
        keys.reserve()
    first.keep(NEW)
    first.close(used=True)
    assert secret(keys) == (OLD, NEW)


def test_a_place_that_a_cut_run_left_is_used_again(keys: KeyFile) -> None:
    """Zeros of an earlier run are no key, and no obstacle."""
    keys.new.write_bytes(bytes(LARGEST))
    assert keys.unproven() is None
    place = keys.reserve()
    place.keep(NEW)
    place.close(used=True)
    assert secret(keys) == (OLD, NEW)


def test_a_refused_key_is_kept_out_of_the_way(keys: KeyFile) -> None:
    """Nobody throws away what may turn out to be right."""
    keys.new.write_text(NEW, encoding="ascii")
    keys.set_aside()
    assert secret(keys) == (OLD, None)
    assert keys.refused.read_text(encoding="ascii") == NEW


@pytest.mark.parametrize("content", ["apt_01", "hello", "adk_01 adk_02"])
def test_something_else_in_the_file_is_an_error_without_its_text(keys: KeyFile, content: str) -> None:
    """What is no key is said, never shown, and not overwritten."""
    keys.path.write_text(content, encoding="ascii")
    with pytest.raises(ConfigError) as caught:
        keys.current()
    assert content not in str(caught.value)


def test_a_folder_that_cannot_be_is_said_before_the_token_is_spent(tmp_path: Path) -> None:
    """The place is made first, so a wrong path costs nothing."""
    (tmp_path / "file").write_text("", encoding="ascii")
    with pytest.raises(ConfigError, match="--key-file"):
        KeyFile(tmp_path / "file" / "device_key").reserve()
