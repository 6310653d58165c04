from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest
from house_rig import House, video

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return a house with a configured camera, which is a video file."""
    with House(tmp_path, online=False) as house:
        video(house.root / "belt.avi", 30)
        house.configure(camera=[{"name": "belt", "source": str(house.root / "belt.avi")}])
        yield house


def test_the_list_is_told_to_people_and_to_programs(house: House) -> None:
    """`camera list` ends with 0 whether there are cameras or not, and its JSON has a list of them."""
    assert house.call("camera", "list").returncode == 0
    told = json.loads(house.call("camera", "list", "--json").stdout)
    assert told["schema"] == 1
    assert isinstance(told["cameras"], list)


def test_a_configured_camera_is_probed_by_its_name(house: House) -> None:
    """A name is looked up in the configuration, so that no password need stand on a command line."""
    ended = house.call("camera", "probe", "belt")
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0] == f"source    {house.root}/belt.avi"
    assert "got       MJPG 160x120 25 fps" in lines
    assert any(line.startswith("frames    30 in ") for line in lines)
    assert lines[-1] == "black     no"


def test_a_probe_is_told_to_programs(house: House) -> None:
    """With `--json` the same facts come as a document, also where there is a problem."""
    told = json.loads(house.call("camera", "probe", str(house.root / "belt.avi"), "--json").stdout)
    assert (told["schema"], told["opened"], told["frames"], told["problem"]) == (1, True, 30, "")
    ended = house.call("camera", "probe", str(house.root / "*.mp4"), "--json")
    assert ended.returncode == 1
    assert json.loads(ended.stdout)["problem"] == f"no file matches {house.root}/*.mp4"


def test_a_snapshot_is_one_whole_picture(house: House) -> None:
    """OUT holds a JPEG that others may read, in place of what was there, and nothing lies beside it."""
    out = house.root / "shots" / "now.jpg"
    out.parent.mkdir()
    out.write_text("old", encoding="ascii")
    ended = house.call("camera", "snapshot", "belt", str(out))
    assert (ended.returncode, ended.stderr) == (0, "")
    data = out.read_bytes()
    assert (data[:3], data[-2:]) == (b"\xff\xd8\xff", b"\xff\xd9")
    assert ended.stdout == f"wrote {out}: 160x120, {len(data)} bytes, of {house.root}/belt.avi\n"
    assert [path.name for path in out.parent.iterdir()] == ["now.jpg"]
    assert stat.S_IMODE(out.stat().st_mode) & 0o044 == 0o044


@pytest.mark.parametrize("out", ["/dev/null", ".", "nowhere/now.jpg"])
def test_a_snapshot_replaces_nothing_but_a_file(house: House, out: str) -> None:
    """A device, a folder or a path that leads nowhere is refused before the camera is opened."""
    ended = house.call("camera", "snapshot", "belt", out)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1


def test_an_unknown_name_is_answered_with_the_known_ones(house: House) -> None:
    """What is neither a camera nor a file is a usage error that names the cameras there are."""
    ended = house.call("camera", "probe", "west")
    assert ended.returncode == 2
    assert ended.stderr == "acusight-agent: west is neither a configured camera nor a file; configured are: belt\n"


def test_no_password_is_shown(house: House) -> None:
    """A camera whose URL holds a password is named without it, on both outputs."""
    source = "rtsp://admin:hunter2@127.0.0.1:9/x"
    for arguments in (["probe", source], ["probe", source, "--json"], ["snapshot", source, "x.jpg"]):
        ended = house.call("camera", *arguments)
        assert ended.returncode == 1
        assert "hunter2" not in ended.stdout + ended.stderr
        assert "rtsp://***@127.0.0.1:9/x cannot be opened" in ended.stderr
