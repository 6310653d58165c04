from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from directory_rig import jpeg

from agent.annotations.plan import AnnotationPlan
from agent.sources import bare
from agent.sources.bare import FOLDERS, MANY, MOST, BareFolders, is_telling
from agent.sources.sidecars import Sidecars

if TYPE_CHECKING:
    from pathlib import Path

    from directory_rig import MovedClock

    from agent.file_state import FileState

SECOND = 10**9
NOW = datetime(2026, 3, 14, 8, 0, tzinfo=UTC)
THEN_NS = int(NOW.timestamp()) * SECOND


def after_many(folders: BareFolders, folder: str = "") -> bool:
    """Look as often as it takes until a folder is listed, and return what is known of it then."""
    return [folders.has(folder) for _ in range(MANY)][-1]


@pytest.mark.parametrize("folder", ["", "below"])
def test_a_folder_without_sidecars_is_known_after_many_looks(tmp_path: Path, folder: str, clock: MovedClock) -> None:
    """Only pictures are in it: from then on none of them has to be looked beside."""
    place = tmp_path / folder
    place.mkdir(exist_ok=True)
    (place / "a.jpg").write_bytes(jpeg())
    folders = BareFolders(tmp_path, clock)
    assert [folders.has(folder) for _ in range(MANY - 1)] == [False] * (MANY - 1)
    assert folders.has(folder)
    assert folders.has(folder)


@pytest.mark.parametrize("name", ["a.json", "a.jpg.json", "a.annotations.json", "a.txt", "a.xml", "a.csv"])
def test_a_sidecar_that_comes_ends_that_at_once(tmp_path: Path, name: str, clock: MovedClock) -> None:
    """Whatever is put into the folder changes its time, and it counts for the very next picture."""
    folders = BareFolders(tmp_path, clock)
    assert after_many(folders)
    (tmp_path / name).write_bytes(b"{}")
    assert not folders.has("")
    assert not any(folders.has("") for _ in range(2 * MANY))


def test_a_sidecar_that_is_moved_in_ends_that_at_once(tmp_path: Path, clock: MovedClock) -> None:
    """Renamed into its place, as careful programs do, it counts like one that is written there."""
    watched = tmp_path / "watched"
    watched.mkdir()
    (tmp_path / "a.txt").write_bytes(b"0 0.5 0.5 0.2 0.2\n")
    folders = BareFolders(watched, clock)
    assert after_many(folders)
    (tmp_path / "a.txt").rename(watched / "a.txt")
    assert not folders.has("")


def test_a_folder_whose_sidecars_went_is_listed_again(tmp_path: Path, clock: MovedClock) -> None:
    """After as many looks more, at the earliest: where pictures come and go it is not listed for each of them."""
    (tmp_path / "a.txt").write_bytes(b"")
    folders = BareFolders(tmp_path, clock)
    assert not after_many(folders)
    (tmp_path / "a.txt").unlink()
    assert not any(folders.has("") for _ in range(MANY - 1))
    assert folders.has("")


def test_a_folder_that_just_changed_is_not_believed(tmp_path: Path, clock: MovedClock) -> None:
    """Two changes within one tick of the kernel's clock would leave it one time."""
    clock.advance(tmp_path.stat().st_ctime - clock.wall().timestamp())
    folders = BareFolders(tmp_path, clock)
    assert not after_many(folders)
    clock.advance(1.5)
    assert after_many(folders)


def test_a_folder_that_is_gone_is_not_bare(tmp_path: Path, clock: MovedClock) -> None:
    """What cannot be listed says nothing."""
    assert not after_many(BareFolders(tmp_path, clock), "nowhere")


def test_a_folder_with_very_many_names_is_not_listed_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: MovedClock
) -> None:
    """A listing is bounded; then each picture is looked beside, as before."""
    assert MOST > MANY
    monkeypatch.setattr(bare, "MOST", 3)
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(b"")
    folders = BareFolders(tmp_path, clock)
    assert not after_many(folders)
    (tmp_path / "0.jpg").unlink()
    assert after_many(folders)


def test_few_folders_are_remembered(tmp_path: Path, clock: MovedClock) -> None:
    """A tree of a great many folders does not fill the memory; the oldest are found out about anew."""
    folders = BareFolders(tmp_path, clock)
    assert after_many(folders)
    for number in range(FOLDERS):
        folders.has(str(number))
    assert not folders.has("")


@pytest.mark.parametrize(
    ("state", "telling"),
    [
        ((65024, 2, 0, THEN_NS - 2 * SECOND, THEN_NS - 2 * SECOND), True),
        ((53, 2, 0, THEN_NS - 2 * SECOND, THEN_NS - 2 * SECOND), False),
        ((65024, 2, 0, THEN_NS - SECOND // 2, THEN_NS - SECOND // 2), False),
        ((65024, 2, 0, THEN_NS - 9 * SECOND, THEN_NS - SECOND // 2), False),
        ((65024, 2, 0, THEN_NS + 9 * SECOND, THEN_NS + 9 * SECOND), True),
    ],
    ids=["at rest", "no disk's", "changed just now", "time put back just now", "clock was set back since"],
)
def test_when_a_folders_state_tells(state: FileState, telling: bool) -> None:  # noqa: FBT001 (pytest hands it over by name)
    """On a disk's own file system, a second after the last change: then any change makes another state of it."""
    assert is_telling(state, NOW) is telling


def test_pictures_of_a_bare_folder_are_told_to_have_no_sidecar(tmp_path: Path, clock: MovedClock) -> None:
    """The two ways to look agree: with one listing, and with six names beside each picture; until one comes."""
    sidecars = Sidecars(tmp_path, AnnotationPlan(), clock)
    names = [f"{number:03}.jpg" for number in range(2 * MANY)]
    assert [sidecars.look(name) for name in names] == [None] * len(names)
    (tmp_path / "005.txt").write_bytes(b"0 0.5 0.5 0.2 0.2\n")
    assert sidecars.look("005.jpg") is not None
    assert sidecars.look("006.jpg") is None
    with sidecars.open("005.jpg") as sidecar:
        assert sidecar is not None
        assert sidecar.name == "005.txt"
