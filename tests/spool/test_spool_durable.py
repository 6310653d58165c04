from __future__ import annotations

import errno
import hashlib
import os
import resource
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from agent.errors import SpoolFull, SpoolUnavailable, Wait
from agent.spool.durable import disk_errors, link_through, make_directory, remove, write_file
from agent.spool.records import Draft, Opened
from agent.spool.shelf import UNFLUSHED, Shelf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_a_file_appears_whole_under_its_name(tmp_path: Path) -> None:
    """All pieces are there, private to the agent, and the temporary name is gone."""
    target = tmp_path / "a.jpg"
    write_file(tmp_path / "tmp", target, (b"one ", b"", b"two"))
    assert target.read_bytes() == b"one two"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]


def test_writing_replaces_the_name_not_the_file_behind_it(tmp_path: Path) -> None:
    """A file that is linked elsewhere keeps its bytes there."""
    target, elsewhere = tmp_path / "a", tmp_path / "b"
    elsewhere.write_bytes(b"old")
    target.hardlink_to(elsewhere)
    write_file(tmp_path / "tmp", target, (b"new",))
    assert (target.read_bytes(), elsewhere.read_bytes()) == (b"new", b"old")


@pytest.mark.parametrize("error", [Wait("changed"), KeyboardInterrupt(), ValueError("defect")])
def test_pieces_that_break_off_leave_nothing(tmp_path: Path, error: BaseException) -> None:
    """Whatever interrupts the pieces, neither the file nor its temporary stays, and an old file is untouched."""

    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise error

    (tmp_path / "old").write_bytes(b"old")
    for name in ("new", "old"):
        with pytest.raises(type(error)):
            write_file(tmp_path / "tmp", tmp_path / name, pieces())
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_bytes() == b"old"


def test_a_write_that_the_system_cuts_off_leaves_nothing(tmp_path: Path) -> None:
    """A real short write, by the limit on file sizes, is an error and no file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(SpoolUnavailable, match="File too large"):
            write_file(tmp_path / "tmp", tmp_path / "a", (b"x" * 6_000, b"x" * 6_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_cannot_be_taken_leaves_nothing(tmp_path: Path) -> None:
    """Where the rename fails, the written bytes go again."""
    (tmp_path / "target").mkdir()
    with pytest.raises(SpoolUnavailable, match="target"):
        write_file(tmp_path / "tmp", tmp_path / "target", (b"x",))
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_the_checked_file_is_linked_not_what_took_its_name(tmp_path: Path) -> None:
    """A file put under the old name between the check and the link cannot slip in."""
    watched, target = tmp_path / "latest.jpg", tmp_path / "adopted"
    watched.write_bytes(b"checked")
    with watched.open("rb") as opened:
        (tmp_path / "incoming").write_bytes(b"replaced")
        (tmp_path / "incoming").rename(watched)
        # The checked file has lost its only name, and the kernel gives none to a nameless file.
        with pytest.raises(FileNotFoundError):
            link_through(opened.fileno(), target)
    assert not target.exists()

    (tmp_path / "second name").hardlink_to(watched)
    with watched.open("rb") as opened:
        watched.unlink()
        watched.write_bytes(b"a third")
        link_through(opened.fileno(), target)
    assert target.read_bytes() == b"replaced"


def test_a_symlink_put_under_the_name_is_not_followed(tmp_path: Path) -> None:
    """The link goes to the open file, whatever its name points to by now."""
    watched, secret, target = tmp_path / "a.jpg", tmp_path / "secret", tmp_path / "adopted"
    watched.write_bytes(b"picture")
    secret.write_bytes(b"secret")
    with watched.open("rb") as opened:
        watched.rename(tmp_path / "moved.jpg")
        watched.symlink_to(secret)
        link_through(opened.fileno(), target)
    assert target.read_bytes() == b"picture"
    assert target.stat().st_ino == (tmp_path / "moved.jpg").stat().st_ino


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, SpoolFull), (errno.EDQUOT, SpoolFull), (errno.EIO, SpoolUnavailable), (0, SpoolUnavailable)],
)
def test_what_a_disk_refuses_has_two_names(tmp_path: Path, number: int, kind: type[Wait]) -> None:
    """No space is `SpoolFull`, anything else `SpoolUnavailable`; the message names the thing and the reason."""
    with pytest.raises(Wait) as caught, disk_errors("write", tmp_path):
        raise OSError(number, os.strerror(number)) if number else OSError("strange")
    assert type(caught.value) is kind
    assert str(tmp_path) in str(caught.value)
    assert (os.strerror(number) if number else "strange") in str(caught.value)


def test_directories_are_made_with_their_parents_and_private(tmp_path: Path) -> None:
    """Every level is made, for this user alone; one that is there already stays as it is."""
    tmp_path.chmod(0o755)
    make_directory(tmp_path / "a/b")
    make_directory(tmp_path / "a/b")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path, tmp_path / "a", tmp_path / "a/b")] == [
        0o755,
        0o700,
        0o700,
    ]
    (tmp_path / "file").touch()
    with pytest.raises(SpoolUnavailable, match="/file: File exists"):
        make_directory(tmp_path / "file/c")


def test_removing_what_is_gone_is_fine(tmp_path: Path) -> None:
    """A file may be removed twice; what cannot be removed is said."""
    (tmp_path / "a").touch()
    remove(tmp_path / "a")
    remove(tmp_path / "a")
    with pytest.raises(SpoolUnavailable):
        remove(tmp_path)


def test_a_flush_that_fails_is_never_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second answer may be yes while the disk holds old bytes, so the next pictures are written anew."""
    asked: list[int] = []

    def fail(descriptor: int) -> None:
        asked.append(os.fstat(descriptor).st_ino)
        raise OSError(errno.EIO, "Input/output error")

    shelf = Shelf(tmp_path)
    shelf.prepare()
    picture = tmp_path / "linked.jpg"
    picture.write_bytes(b"picture")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(SpoolUnavailable):
            shelf.flush([picture])
    assert asked == [picture.stat().st_ino]
    digest = hashlib.sha256(b"picture").hexdigest()
    draft = Draft("door", datetime.now(UTC), "image/jpeg", 7, digest, "{}", b"")
    with picture.open("rb") as opened:
        target, because = shelf.adopt(1, "door-1.jpg", Opened(opened.fileno()), draft, lambda: None)
    assert because == UNFLUSHED
    assert os.stat(target).st_ino not in asked  # noqa: PTH116 (it is no Path)
