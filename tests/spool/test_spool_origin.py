from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from spool_rig import die_at, origin_of

from agent.errors import SpoolUnavailable
from agent.spool.origin import finish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.frame import Origin


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Return a picture in a watched folder."""
    watched = tmp_path / "watched"
    watched.mkdir()
    path = watched / "a.jpg"
    path.write_bytes(b"picture")
    return path


@pytest.fixture(params=["same file system", "another file system"])
def done(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Return a folder to move into, which does not exist yet."""
    if request.param == "same file system":
        yield tmp_path / "out" / "done"
        return
    memory = Path("/dev/shm")  # noqa: S108 (the one other mount that every Linux has)
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no file system in memory here")
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name) / "out" / "done"


def content(folder: Path) -> dict[str, bytes]:
    """Return every name in a folder, hidden ones too, with its bytes."""
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def aside_of(origin: Origin) -> Path:
    """Return where a file lies while its end is being decided."""
    return origin.path.with_name(f".acusight-agent-{origin.inode}-{origin.mtime_ns}")


def test_nothing_happens_unless_its_owner_said_so(picture: Path) -> None:
    """`keep` leaves file and sidecar where they are."""
    (picture.parent / "a.json").write_bytes(b"{}")
    assert finish(origin_of(picture, after="keep", sidecar=picture.parent / "a.json")) is False
    assert content(picture.parent) == {"a.jpg": b"picture", "a.json": b"{}"}


def test_delete_takes_the_file_and_its_sidecar(picture: Path) -> None:
    """`delete` removes both, and nothing else."""
    (picture.parent / "a.json").write_bytes(b"{}")
    (picture.parent / "b.jpg").write_bytes(b"other")
    assert finish(origin_of(picture, sidecar=picture.parent / "a.json")) is True
    assert content(picture.parent) == {"b.jpg": b"other"}


def test_move_takes_the_file_and_its_sidecar(picture: Path, done: Path) -> None:
    """`move` makes the folder and puts both there under their names, with their times."""
    (picture.parent / "a.json").write_bytes(b"{}")
    os.utime(picture, ns=(1, 1_700_000_000_123_456_789))
    assert finish(origin_of(picture, after="move", move_to=done, sidecar=picture.parent / "a.json")) is True
    assert content(picture.parent) == {}
    assert content(done) == {"a.jpg": b"picture", "a.json": b"{}"}
    assert (done / "a.jpg").stat().st_mtime_ns == 1_700_000_000_123_456_789


def test_move_replaces_nothing(picture: Path, done: Path) -> None:
    """A name that is taken in the target gets a number; what has it stays, be it a dangling link."""
    done.mkdir(parents=True)
    (done / "a.jpg").write_bytes(b"first")
    (done / "a-1.jpg").symlink_to("nowhere")
    assert finish(origin_of(picture, after="move", move_to=done)) is True
    assert (done / "a.jpg").read_bytes() == b"first"
    assert (done / "a-1.jpg").is_symlink()
    assert (done / "a-2.jpg").read_bytes() == b"picture"


@pytest.mark.parametrize("after", ["delete", "move"])
def test_a_file_that_replaced_the_delivered_one_is_left_alone(picture: Path, tmp_path: Path, after: str) -> None:
    """A new file under the old name is not the one that was delivered, whatever its size and time."""
    origin = origin_of(picture, after=after, move_to=tmp_path / "done")
    (picture.parent / "incoming").write_bytes(b"another")
    os.utime(picture.parent / "incoming", ns=(1, origin.mtime_ns))
    (picture.parent / "incoming").rename(picture)
    assert finish(origin) is False
    assert content(picture.parent) == {"a.jpg": b"another"}
    assert content(tmp_path / "done") == {}


def test_a_file_modified_in_place_is_left_alone(picture: Path) -> None:
    """The same inode with other bytes is a new capture, not the delivered one."""
    origin = origin_of(picture)
    os.utime(picture, ns=(1, origin.mtime_ns + 1))
    assert finish(origin) is False
    picture.write_bytes(b"picture and more")
    assert finish(origin) is False
    assert content(picture.parent) == {"a.jpg": b"picture and more"}


def test_a_symlink_under_the_name_is_left_alone(picture: Path) -> None:
    """A link to the delivered file is not that file."""
    origin = origin_of(picture)
    picture.rename(picture.parent / "real.jpg")
    picture.symlink_to("real.jpg")
    assert finish(origin) is False
    assert content(picture.parent) == {"a.jpg": b"picture", "real.jpg": b"picture"}


def test_a_changed_sidecar_stays(picture: Path) -> None:
    """The sidecar goes only if it is the one that was delivered, too."""
    sidecar = picture.parent / "a.json"
    sidecar.write_bytes(b"{}")
    origin = origin_of(picture, sidecar=sidecar)
    sidecar.write_bytes(b'{"new": 1}')
    assert finish(origin) is True
    assert content(picture.parent) == {"a.json": b'{"new": 1}'}


def test_a_file_that_is_gone_is_fine(picture: Path) -> None:
    """An owner may take the file away first; so may its whole folder go."""
    origin = origin_of(picture)
    picture.unlink()
    assert finish(origin) is False
    picture.parent.rmdir()
    assert finish(origin) is False


@pytest.mark.parametrize("newcomer", [False, True], ids=["name free", "name taken"])
def test_an_end_that_was_cut_off_is_finished_the_next_time(picture: Path, *, newcomer: bool) -> None:
    """A file that lies aside still goes, with its sidecar, also when a new file has its name by now."""
    sidecar = picture.parent / "a.json"
    sidecar.write_bytes(b"{}")
    origin = origin_of(picture, sidecar=sidecar)
    picture.rename(aside_of(origin))
    if newcomer:
        picture.write_bytes(b"another")
    assert finish(origin) is True
    assert content(picture.parent) == ({"a.jpg": b"another"} if newcomer else {})


def test_a_stranger_that_was_taken_aside_gets_its_name_back(picture: Path) -> None:
    """A file that came between the look and the rename is put back, or beside what took its name meanwhile."""
    origin = origin_of(picture)
    picture.unlink()
    aside_of(origin).write_bytes(b"a stranger")
    assert finish(origin) is False
    assert content(picture.parent) == {"a.jpg": b"a stranger"}

    aside_of(origin).write_bytes(b"another one")
    assert finish(origin) is False
    assert content(picture.parent) == {"a.jpg": b"a stranger", "a-1.jpg": b"another one"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop its powers")
def test_where_links_are_refused_a_rename_does() -> None:
    """A file that the agent may not write can still be moved, and a stranger put back, without replacing anything."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        for each in ("a.jpg", "b.jpg"):
            (folder / each).write_bytes(each.encode())
        (folder / "done").mkdir()
        (folder / "done").chmod(0o777)
        (folder / "done/a.jpg").write_bytes(b"first")
        moved = origin_of(folder / "a.jpg", after="move", move_to=folder / "done")
        gone = origin_of(folder / "b.jpg")._replace(mtime_ns=1)
        (folder / "b.jpg").rename(aside_of(gone))
        os.setegid(65534)
        os.seteuid(65534)
        try:
            assert finish(moved) is True
            assert finish(gone) is False
        finally:
            os.seteuid(0)
            os.setegid(0)
        assert content(folder / "done") == {"a.jpg": b"first", "a-1.jpg": b"a.jpg"}
        assert (folder / "b.jpg").read_bytes() == b"b.jpg"


def test_a_refusal_is_told_in_the_agents_words(picture: Path) -> None:
    """What the target refuses is `SpoolUnavailable`; the file is still there, and the next try succeeds."""
    blocked = picture.parent / "blocked"
    blocked.write_bytes(b"a file, no folder")
    origin = origin_of(picture, after="move", move_to=blocked)
    with pytest.raises(SpoolUnavailable, match="blocked"):
        finish(origin)
    assert b"picture" in content(picture.parent).values()
    blocked.unlink()
    assert finish(origin) is True
    assert content(blocked) == {"a.jpg": b"picture"}


def test_a_kill_anywhere_loses_neither_picture_nor_sidecar(picture: Path, done: Path) -> None:
    """Killed at any touch of the disk, both files exist somewhere, and the next run completes the move."""
    sidecar = picture.parent / "a.json"
    for event in range(1, 50):
        picture.write_bytes(b"picture")
        sidecar.write_bytes(b"{}")
        origin = origin_of(picture, after="move", move_to=done, sidecar=sidecar)
        killed = die_at(event, partial(finish, origin))
        found = [*content(picture.parent).values(), *content(done).values()]
        assert b"picture" in found, f"the picture was lost at {event}"
        assert b"{}" in found, f"the sidecar was lost at {event}"
        finish(origin)
        assert content(picture.parent) == {}, f"something was left behind at {event}"
        visible = {name for name in content(done) if not name.startswith(".")}
        assert {"a.jpg", "a.json"} <= visible
        for path in done.iterdir():
            path.unlink()
        if not killed:
            return
    pytest.fail("the move never came to its end")
