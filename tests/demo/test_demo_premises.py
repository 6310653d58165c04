from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.config.derived import period_of
from agent.config.environment import parse_environment
from agent.config.load import load
from agent.demo.premises import CAMERA, FOLDER, Premises, Scene, disk, listed, quoted
from agent.demo.tour import WATCH
from agent.errors import Halt
from agent.sources.grammar import parse_source

if TYPE_CHECKING:
    from agent.config.configuration import Configuration

SCENE = Scene(("--fps", "2", "--frames", "4"), interval_s=0.5)
URL = "http://127.0.0.1:8600"


def premises(root: Path) -> Premises:
    """Return premises as the demo has them."""
    return Premises(root / ".demo", root / "captures")


def configured(place: Premises, watch: str = "") -> Configuration:
    """Write a configuration, and read it as the agent does."""
    with place.occupied():
        place.configure(URL, SCENE, watch=watch)
        return load(place.config_file, parse_environment({}, Path("/")))


@pytest.mark.parametrize(
    "name", ["plain", "with space", "quo'te\"s", "back\\slash", "tab\tand\x7fdel", "zürich 🦔", "#]="]
)
def test_any_folder_name_makes_a_valid_configuration(tmp_path: Path, name: str) -> None:
    """Whatever the folder is called, the agent reads back the paths, the camera's program and the key."""
    place = premises(tmp_path / name)
    read = configured(place)
    watch, camera = read.settings.watch[0], read.settings.camera[0]
    assert (watch.name, watch.path, camera.name) == (FOLDER, place.captures, CAMERA)
    assert parse_source(camera.source).arguments[1:] == ["-m", "agent.sandbox.scene", *SCENE.options]
    assert (read.spool_dir, read.settings.server.url, period_of(camera)) == (place.spool, URL, 0.5)
    assert read.device_key is not None
    assert read.device_key.get_secret_value() == place.key_file.read_text(encoding="ascii").strip()


def test_a_tour_adds_to_the_watched_folder(tmp_path: Path) -> None:
    """The tour's classes and short waits are valid keys of the watched folder."""
    watch = configured(premises(tmp_path), WATCH).settings.watch[0]
    assert watch.classes == ("plate", "washer", "wedge")
    assert watch.settle_s < 1


def test_the_key_is_new_each_time_and_private(tmp_path: Path) -> None:
    """Each run has a key of its own, in a file that its owner alone can read, whatever was there."""
    place = premises(tmp_path)
    place.folder.mkdir()
    place.key_file.touch(0o666)
    keys = set()
    for _ in range(2):
        with place.occupied():
            keys.add(place.key_file.read_text(encoding="ascii"))
            assert stat.S_IMODE(place.key_file.stat().st_mode) == 0o600
    assert len(keys) == 2


def test_premises_hold_one_demo_at_a_time(tmp_path: Path) -> None:
    """A second demo in the same folder is refused, and the first keeps its key; afterwards the folder is free."""
    place = premises(tmp_path)
    with place.occupied():
        key = place.key_file.read_bytes()
        with pytest.raises(Halt, match=r"another demo runs in .*\.demo"), place.occupied():
            pass
        assert place.key_file.read_bytes() == key
    with place.occupied():
        pass


def test_what_is_kept_stays(tmp_path: Path) -> None:
    """Pictures and spool of an earlier run are left alone."""
    place = premises(tmp_path)
    kept = [place.captures / "a.jpg", place.spool / "index", place.platform / "x"]
    for path in kept:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"kept")
    configured(place)
    assert [path.read_bytes() for path in kept] == [b"kept"] * 3


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    """Where a file is in the way the demo says so and names --dir."""
    (tmp_path / ".demo").touch()
    with (
        pytest.raises(Halt, match=r"the demo cannot use .*\.demo: .*Choose another --dir"),
        premises(tmp_path).occupied(),
    ):
        pass


def test_a_folder_without_a_text_name_is_refused(tmp_path: Path) -> None:
    """A name that is no UTF-8 cannot stand in a configuration: said, not raised as something else."""
    with pytest.raises(Halt, match="a name that is no text"):
        configured(premises(tmp_path / os.fsdecode(b"\xff")))


def test_texts_are_quoted_as_toml_wants_it() -> None:
    """Quotes and control characters are escaped, other characters stay as they are."""
    assert quoted('a"\\\n\x7fé') == '"a\\"\\\\\\n\\u007fé"'
    assert listed(["a", 'b"']) == '["a", "b\\""]'


def test_the_disk_speaks_the_agents_language(tmp_path: Path) -> None:
    """An OSError inside becomes a Halt that names the path."""
    with pytest.raises(Halt, match=r"x\.jpg: No such file"), disk(tmp_path / "x.jpg"):
        (tmp_path / "x.jpg").read_bytes()
