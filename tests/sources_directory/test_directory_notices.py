from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest
from directory_rig import names, refuse_inotify, until, without_privileges
from structlog.testing import capture_logs
from watchdog.events import DirCreatedEvent, DirMovedEvent, FileClosedEvent, FileMovedEvent, FileSystemEvent

from agent.sources import notices as room
from agent.sources.notices import Notices
from agent.workers import Bell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a directory to watch."""
    (tmp_path / "watched").mkdir()
    return tmp_path / "watched"


@pytest.fixture
def bell() -> Bell:
    """Return what is rung at each notice."""
    return Bell()


@pytest.fixture
def notices(root: Path, bell: Bell) -> Iterator[Notices]:
    """Return notices of that directory alone, watching."""
    with Notices(root, recursive=False, ring=bell.ring) as heard:
        heard.ensure()
        yield heard


def heard(notices: Notices, name: str) -> bool:
    """Wait for a name, and tell whether it came within a second."""
    try:
        until(lambda: name in notices.take(), seconds=1.0)
    except AssertionError:
        return False
    return True


def test_files_that_come_are_heard(root: Path, notices: Notices, bell: Bell) -> None:
    """A written, a renamed and a linked file ring the bell and are named relative to the directory."""
    before = bell.rings()
    (root / "written.jpg").write_bytes(b"1")
    assert heard(notices, "written.jpg")
    (root / "written.jpg").rename(root / "renamed.jpg")
    assert heard(notices, "renamed.jpg")
    (root.parent / "outside.jpg").write_bytes(b"1")
    (root.parent / "outside.jpg").rename(root / "moved in.jpg")
    assert heard(notices, "moved in.jpg")
    (root / "linked.jpg").hardlink_to(root / "renamed.jpg")
    assert heard(notices, "linked.jpg")
    assert bell.rings() > before


def test_a_name_is_taken_once(notices: Notices, root: Path) -> None:
    """Many events of one file are one name."""
    for _ in range(5):
        notices.on_any_event(FileClosedEvent(str(root / "a.jpg")))
    assert (notices.take(), notices.take()) == (["a.jpg"], [])


@pytest.mark.parametrize("name", [".a.jpg", ".acusight-agent/000000/a.jpg", "sub/.part/a.jpg", "../outside.jpg"])
def test_hidden_and_foreign_names_are_not_heard(notices: Notices, root: Path, bell: Bell, name: str) -> None:
    """What the agent itself does in its hidden folder wakes nobody."""
    before = bell.rings()
    notices.on_any_event(FileClosedEvent(os.path.normpath(root / name)))
    notices.on_any_event(DirCreatedEvent(os.path.normpath(root / name)))
    assert (notices.take(), notices.take_overflow(), bell.rings()) == ([], False, before)


def test_too_many_events_ask_for_a_scan(notices: Notices, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are held within a bound; beyond it only the fact that some were missed is kept, and told once."""
    monkeypatch.setattr(room, "BOUND", 3)
    for number in range(5):
        notices.on_any_event(FileClosedEvent(str(root / f"{number}.jpg")))
    assert notices.take() == ["0.jpg", "1.jpg", "2.jpg"]
    assert (notices.take_overflow(), notices.take_overflow()) == (True, False)


@pytest.mark.parametrize("kind", [DirCreatedEvent, DirMovedEvent])
@pytest.mark.parametrize("recursive", [True, False])
def test_a_new_folder_asks_for_a_scan(tmp_path: Path, kind: type[FileSystemEvent], *, recursive: bool) -> None:
    """What is in a folder that came whole is found by a scan, where folders count."""
    notices = Notices(tmp_path, recursive=recursive, ring=lambda: None)
    notices.on_any_event(kind(str(tmp_path / "sub"), str(tmp_path / "renamed")))
    assert notices.take_overflow() is recursive


def test_a_move_counts_where_it_ends(notices: Notices, root: Path) -> None:
    """Of a renamed file the new name is noted."""
    notices.on_any_event(FileMovedEvent(str(root / "a.jpg.part"), str(root / "a.jpg")))
    assert notices.take() == ["a.jpg"]


def test_a_directory_that_comes_late_is_heard(tmp_path: Path, bell: Bell) -> None:
    """Nothing is watched where nothing is; the next scan's `ensure` watches what has come."""
    with capture_logs() as logs, Notices(tmp_path / "late", recursive=False, ring=bell.ring) as notices:
        notices.ensure()
        (tmp_path / "late").mkdir()
        notices.ensure()
        (tmp_path / "late" / "a.jpg").write_bytes(b"1")
        assert heard(notices, "a.jpg")
    assert logs == []


@pytest.mark.parametrize("how", ["removed", "renamed", "again"])
def test_a_directory_that_was_made_again_is_heard(root: Path, notices: Notices, how: str) -> None:
    """Whether its inode is another one or by chance the same, the directory under the name is the one that counts."""
    for _ in range(1 if how != "again" else 3):
        if how == "renamed":
            root.rename(root.with_name("aside"))
        else:
            root.rmdir()
            until(lambda: not all(emitter.is_alive() for emitter in notices._observer.emitters), 2.0)  # type: ignore[union-attr]
        root.mkdir()
        notices.ensure()
    (root / "a.jpg").write_bytes(b"1")
    assert heard(notices, "a.jpg")


def test_nothing_is_done_where_nothing_changed(notices: Notices) -> None:
    """As long as the directory is the same one, `ensure` leaves the watch alone."""
    observer = notices._observer
    notices.ensure()
    assert notices._observer is observer


def test_a_root_behind_a_link_is_heard(tmp_path: Path, root: Path, bell: Bell) -> None:
    """A configured path may be a link; inotify would watch the link itself."""
    link = tmp_path / "link"
    link.symlink_to(root)
    with Notices(link, recursive=True, ring=bell.ring) as notices:
        notices.ensure()
        (root / "a.jpg").write_bytes(b"1")
        assert heard(notices, "a.jpg")
        link.unlink()
        (tmp_path / "other").mkdir()
        link.symlink_to(tmp_path / "other")
        notices.ensure()
        (tmp_path / "other" / "b.jpg").write_bytes(b"1")
        assert heard(notices, "b.jpg")


def test_a_kernel_that_refuses_is_said_once(root: Path, notices: Notices, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without events the scans go on alone; each `ensure` tries again, and only news is said."""
    notices.__exit__()
    with capture_logs() as logs:
        monkeypatch.setattr(room, "Observer", refuse_inotify)
        for _ in range(3):
            notices.ensure()
        assert names(logs, "events_unavailable") == [str(root)]
        monkeypatch.undo()
        notices.ensure()
        (root / "a.jpg").write_bytes(b"1")
        assert heard(notices, "a.jpg")
        assert len(logs) == 1


def test_a_watch_that_cannot_start_leaves_no_thread(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the directory goes between the look and the watch, what had started of it is ended again."""
    before = threading.active_count()
    monkeypatch.setattr(room, "_identity", lambda _: (str(root / "missing"), 0, 0))
    with capture_logs() as logs, Notices(root, recursive=False, ring=lambda: None) as notices:
        notices.ensure()
        assert threading.active_count() == before
        notices.ensure()
    assert [entry["reason"] for entry in logs] == ["No such file or directory"]


def test_an_unreadable_directory_is_watched_once_it_can_be(root: Path, bell: Bell) -> None:
    """The kernel's refusal to watch what may not be read is not taken for a watch."""
    with without_privileges(), Notices(root, recursive=False, ring=bell.ring) as notices:
        root.chmod(0)
        notices.ensure()
        root.chmod(0o700)
        notices.ensure()
        (root / "a.jpg").write_bytes(b"1")
        assert heard(notices, "a.jpg")
