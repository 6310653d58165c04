from __future__ import annotations

import tempfile

import pytest

from agent.annotations.read import read_sidecar
from agent.demo.shots import CLASSES, SIZE, Shot, shots
from agent.pictures.inspect import inspect
from agent.pictures.limits import PictureLimits

WIDTH, HEIGHT = SIZE


@pytest.fixture(scope="module")
def album() -> list[Shot]:
    """Return the tour's pictures."""
    return shots(20)


def test_a_sidecar_says_what_was_drawn(album: list[Shot]) -> None:
    """Read as the agent reads it, each sidecar gives the boxes of its picture, in order, by name."""
    for shot in album:
        data = shot.sidecar.encode()
        labels = read_sidecar(shot.sidecar_name, data, classes=CLASSES, width=WIDTH, height=HEIGHT)
        assert labels.dropped == labels.unnamed == 0
        assert [found.class_value for found in labels.annotations] == [box.class_value for box in shot.boxes]
        for found, box in zip(labels.annotations, shot.boxes, strict=True):
            assert found.geometry == pytest.approx(box.geometry, abs=1e-5)


def test_the_album_shows_all_there_is_to_show(album: list[Shot]) -> None:
    """Every picture is whole and differs; all have boxes; each sidecar format comes before and after its picture."""
    assert len({shot.picture for shot in album}) == len({shot.name for shot in album}) == 20
    assert all(shot.boxes for shot in album)
    assert {(shot.sidecar_name.partition(".")[2], shot.sidecar_first) for shot in album} == {
        ("annotations.json", True),
        ("annotations.json", False),
        ("txt", True),
        ("txt", False),
    }
    for shot in album:
        with tempfile.TemporaryFile() as file:
            file.write(shot.picture)
            file.flush()
            picture = inspect(file.fileno(), PictureLimits())
        assert (picture.width, picture.height) == SIZE


def test_the_files_of_a_shot_come_in_its_order(album: list[Shot]) -> None:
    """Picture and sidecar are both written, the sidecar first where the shot says so."""
    for shot in album:
        names = [name for name, _ in shot.files()]
        assert sorted(names) == sorted([shot.name, shot.sidecar_name])
        assert (names[0] == shot.sidecar_name) == shot.sidecar_first
        assert dict(shot.files())[shot.name] == shot.picture
