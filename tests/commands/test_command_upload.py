from __future__ import annotations

import json
from typing import TYPE_CHECKING

import cv2
import pytest
from house_rig import House, arrive, photograph, sha256

from agent import __version__

if TYPE_CHECKING:
    from pathlib import Path


def test_upload_without_an_agent_queues_and_says_what_is_missing(tmp_path: Path) -> None:
    """The pictures are durable when it returns, and wait for the next run (I2)."""
    with House(tmp_path) as house:
        digest = arrive(house.root / "hand" / "a.jpg", photograph(1))
        ended = house.call("upload", str(house.root / "hand" / "a.jpg"))
        assert ended.returncode == 0
        assert ended.stdout.startswith(f"{house.root}/hand/a.jpg: waiting as upload-")
        assert ended.stderr == "No agent runs on this spool: start one, or call again with --wait.\n"
        house.check([digest], delivered=0)
        house.once()
        house.check([digest])


def test_upload_waits_for_delivery_without_an_agent(tmp_path: Path) -> None:
    """With --wait it sends them itself, sidecars too; the watched directories are left alone."""
    with House(tmp_path) as house:
        house.configure(watch=[{"classes": ["scratch"]}])
        arrive(house.watched / "later.jpg", photograph(9))
        hand = house.root / "hand"
        digest = arrive(hand / "a.png", photograph(1, suffix=".png"))
        arrive(hand / "a.json", b'{"annotations": [{"class_value": "dent", "geometry": [0.5, 0.5, 0.1, 0.1]}]}')
        ended = house.call("upload", "--wait", "--json", "--source", "bench", str(hand / "a.png"), str(hand / "a.json"))
        assert ended.returncode == 0, ended.stderr
        files = json.loads(ended.stdout)["files"]
        assert [(one["path"], one["fate"]) for one in files] == [(str(hand / "a.png"), "delivered")]
        kept = house.sandbox.uploads()
        assert [upload["sha256"] for upload in kept] == [digest]
        assert kept[0]["filename"] == files[0]["filename"]
        assert kept[0]["metadata"]["source"] == "bench"
        assert kept[0]["metadata"]["annotations"][0]["class_value"] == "dent"
        house.check([digest])


def test_upload_takes_the_class_names_of_the_directory_around_it(tmp_path: Path) -> None:
    """A file out of a watched directory is read with that directory's classes."""
    with House(tmp_path) as house:
        house.configure(watch=[{"classes": ["scratch", "dent"]}])
        arrive(house.watched / "a.jpg", photograph(1))
        arrive(house.watched / "a.txt", b"1 0.5 0.5 0.1 0.1\n")
        assert house.call("upload", "--wait", str(house.watched / "a.jpg")).returncode == 0
        assert house.sandbox.uploads()[0]["metadata"]["annotations"][0]["class_value"] == "dent"


def test_upload_beside_a_running_agent_is_sent_by_it(tmp_path: Path) -> None:
    """The daemon notices the rows of another process within its second; --wait sees them arrive."""
    with House(tmp_path) as house:
        agent = house.run()
        digests = [arrive(house.root / "hand" / f"{number}.jpg", photograph(number)) for number in range(3)]
        ended = house.call("upload", "--wait", *(str(house.root / "hand" / f"{number}.jpg") for number in range(3)))
        assert (ended.returncode, ended.stderr) == (0, "")
        assert [line.split(": ")[1].split()[0] for line in ended.stdout.splitlines()] == ["delivered"] * 3
        agent.stop()
        house.check(digests)


def test_a_wait_that_runs_out_says_so(tmp_path: Path) -> None:
    """With a running agent and no platform it ends with 5; the pictures stay queued (I6)."""
    with House(tmp_path, online=False) as house:
        house.run()
        digest = arrive(house.root / "hand" / "a.jpg", photograph(1))
        ended = house.call("upload", "--wait", "--timeout", "1", str(house.root / "hand" / "a.jpg"))
        assert ended.returncode == 5
        assert ended.stderr == "acusight-agent: 1 of 1 pictures still wait after 1 s. They stay queued.\n"
        house.check([digest], delivered=0)


def test_what_is_no_picture_is_named_and_the_rest_goes(tmp_path: Path) -> None:
    """A bad file ends it with 1 and one sentence; the good ones beside it are sent."""
    with House(tmp_path) as house:
        good = arrive(house.root / "hand" / "good.jpg", photograph(1))
        (house.root / "hand" / "bad\n.jpg").write_bytes(b"no picture")
        ended = house.call("upload", "--wait", *map(str, sorted((house.root / "hand").iterdir())))
        assert ended.returncode == 1
        said = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
        assert len(said) == 1
        assert said[0].startswith(f"acusight-agent: {house.root}/hand/bad .jpg was not queued: ")
        assert ended.stdout.count("\n") == 2
        assert "bad\\n.jpg: rejected" in ended.stdout
        house.check([good])


def test_a_refused_upload_ends_with_4(tmp_path: Path) -> None:
    """The sentence names the file and the platform's reason."""
    with House(tmp_path) as house:
        arrive(house.root / "a.jpg", photograph(1))
        house.fault(status=400, code="BAD_IMAGE", message="not today")
        ended = house.call("upload", "--wait", str(house.root / "a.jpg"))
        assert ended.returncode == 4
        assert [line for line in ended.stderr.splitlines() if not line.startswith("{")] == [
            line for line in ended.stderr.splitlines() if "not today" in line and line.startswith("acusight-agent: ")
        ]
        house.check([sha256(photograph(1))], delivered=0)


@pytest.mark.parametrize("source", ["a b", "../x", "", "."])
def test_a_source_that_cannot_be_in_a_filename_is_refused(tmp_path: Path, source: str) -> None:
    """The name becomes part of file names, so it is checked like those of the configuration."""
    with House(tmp_path, online=False) as house:
        arrive(house.root / "a.jpg", photograph(1))
        ended = house.call("upload", "--source", source, str(house.root / "a.jpg"))
        assert ended.returncode == 2
        assert "cannot be a source name" in ended.stderr
        assert not house.spool.exists()


def test_version_is_told_without_a_configuration(tmp_path: Path) -> None:
    """Also where the configuration is broken: it is what a person is asked for first."""
    with House(tmp_path, online=False) as house:
        house.config.write_text("[[", encoding="utf-8")
        assert house.call("version").stdout.startswith(f"acusight-agent {__version__} (Python 3.")
        told = json.loads(house.call("version", "--json").stdout)
        assert (told["schema"], told["version"]) == (1, __version__)


def test_upload_applies_the_masks_of_the_directory_around_it(tmp_path: Path) -> None:
    """A file out of a watched directory is blackened as if the watch had found it, whatever way its name is written."""
    with House(tmp_path) as house:
        house.configure(watch=[{"mask": [[0, 0, 1, 1]]}])
        arrive(house.watched / "a.jpg", photograph(1))
        assert house.call("upload", "--wait", f"{house.watched}/../{house.watched.name}/a.jpg").returncode == 0
        (sent,) = (house.sandbox.folder / "images").glob("*.jpg")
        pixels = cv2.imread(str(sent))
        assert pixels is not None
        assert pixels.max() == 0
