from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from spool_rig import ROOMY, adopted, check, claim, draft, own, put, put_file, rows

from agent.errors import SpoolFull, SpoolUnavailable, Wait
from agent.spool.budget import OVERHEAD_BYTES, Limits, Usage
from agent.spool.records import Opened
from agent.spool.shelf import REWRITTEN, Shelf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.spool.records import Draft
    from agent.spool.spool import Spool

NOBODY = 65534


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """Return a spool on the disk of the test."""
    with own(tmp_path / "spool") as opened:
        yield opened


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on another mount than the test's own."""
    memory = Path("/dev/shm")  # noqa: S108 (the one other mount that every Linux has)
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no file system in memory here")
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Run the block without root's powers over other people's files."""
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def pictures(spool: Spool) -> list[Path]:
    """Return every file that the spool holds, half-written ones included."""
    return sorted(path for place in ("items", "tmp") for path in (spool.directory / place).rglob("*") if path.is_file())


def test_a_watched_file_is_adopted_without_writing_its_bytes(spool: Spool, tmp_path: Path) -> None:
    """On one mount the item is the very file, under a second name, and its sidecar lies beside it."""
    watched, sidecar = tmp_path / "a.jpg", tmp_path / "a.json"
    watched.write_bytes(b"picture")
    sidecar.write_text("{}")
    staged = put_file(spool, watched, sidecar=sidecar)
    assert staged.copied_because is None
    assert staged.path.stat().st_ino == watched.stat().st_ino
    assert staged.beside == staged.path.with_name(f"{staged.filename}.sidecar.json")
    assert claim(spool).beside == staged.beside
    assert staged.beside.stat().st_ino == sidecar.stat().st_ino


def test_a_picture_of_a_camera_is_written_once(spool: Spool) -> None:
    """Bytes from memory lie under their upload name, and no temporary stays."""
    item_file = Path(Shelf(spool.directory).write(1234, "cam-1.jpg", b"picture"))
    assert item_file == spool.directory / "items/000001/cam-1.jpg"
    assert pictures(spool) == [item_file]


def test_another_mount_takes_the_link_in_a_hidden_folder(spool: Spool, elsewhere: Path) -> None:
    """Where the spool is on another mount, the link lies in the watched directory, private, and nothing is copied."""
    watched = elsewhere / "a.jpg"
    watched.write_bytes(b"picture")
    staged = put_file(spool, watched, hidden=elsewhere / ".acusight-agent")
    assert staged.copied_because is None
    assert staged.path == elsewhere / ".acusight-agent/000000" / staged.filename
    assert staged.path.stat().st_ino == watched.stat().st_ino
    assert (elsewhere / ".acusight-agent").stat().st_mode & 0o777 == 0o700
    assert claim(spool).path == staged.path
    assert pictures(spool) == []


def test_another_mount_without_a_hidden_folder_takes_a_copy(spool: Spool, elsewhere: Path) -> None:
    """Without a hidden folder the bytes are copied, and the reason says what would spare it."""
    watched = elsewhere / "a.jpg"
    watched.write_bytes(b"picture" * 100_000)
    staged = put_file(spool, watched)
    assert staged.copied_because is not None
    assert "spool.dir" in staged.copied_because
    assert pictures(spool) == [staged.path]
    check(spool.directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop its powers")
@pytest.mark.skipif(
    Path("/proc/sys/fs/protected_hardlinks").read_text().strip() != "1", reason="this kernel links anybody's files"
)
def test_a_link_that_the_kernel_refuses_becomes_a_copy_with_the_remedy() -> None:
    """`protected_hardlinks` refuses files that the agent may not write; they are copied, and the remedy is said."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o777)
        (root / "a.jpg").write_bytes(b"somebody else's")
        (root / "a.jpg").chmod(0o644)
        with as_nobody(), own(root / "spool") as spool:
            staged = put_file(spool, root / "a.jpg")
            check(spool.directory)
        assert staged.copied_because is not None
        assert "protected_hardlinks" in staged.copied_because
        assert staged.path.stat().st_nlink == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop its powers")
def test_a_directory_that_may_not_be_written_becomes_a_copy(elsewhere: Path) -> None:
    """Where the hidden folder cannot be made either, the bytes are copied, and the remedy speaks of the directory."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        elsewhere.chmod(0o755)
        (elsewhere / "a.jpg").write_bytes(b"picture")
        with as_nobody(), own(Path(name) / "spool") as spool:
            staged = put_file(spool, elsewhere / "a.jpg", hidden=elsewhere / ".acusight-agent")
        assert staged.copied_because is not None
        assert "write access to the directory" in staged.copied_because


def test_a_file_known_to_be_rewritten_gets_bytes_of_its_own(spool: Spool, tmp_path: Path) -> None:
    """A copy can be asked for; later writes to the original do not reach it."""
    watched = tmp_path / "latest.jpg"
    watched.write_bytes(b"first")
    staged = put_file(spool, watched, copy=True)
    watched.write_bytes(b"second")
    assert staged.copied_because == REWRITTEN
    assert staged.path.read_bytes() == b"first"


@pytest.mark.parametrize(
    "now", [b"picturf", b"pic", b"picture and more", b""], ids=["same size", "cut", "grown", "emptied"]
)
def test_a_file_that_changed_before_it_was_copied_waits(spool: Spool, tmp_path: Path, now: bytes) -> None:
    """A copy holds the checked bytes or is none: the file waits, and nothing of it stays in the spool."""
    watched = tmp_path / "a.jpg"
    watched.write_bytes(b"picture")
    with adopted(watched, copy=True) as one:
        watched.write_bytes(now)
        with pytest.raises(Wait, match="changed"):
            spool.inbox.stage(one)
    assert pictures(spool) == []
    assert spool.allowance.bytes_set_aside == 0


def test_a_copy_of_a_file_without_end_stops_at_the_checked_size(spool: Spool) -> None:
    """A source that never ends costs a piece, not the disk."""
    with Path("/dev/zero").open("rb") as endless:
        one = draft(b"abc")._replace(body=Opened(endless.fileno(), copy=True))
        with pytest.raises(Wait, match="changed"):
            spool.inbox.stage(one)
    assert pictures(spool) == []


def test_i5_the_floor_holds_before_a_copy_is_written(spool: Spool, elsewhere: Path) -> None:
    """A link costs no space, the copy that replaces it does: it is refused before its first byte."""
    watched = elsewhere / "a.jpg"
    watched.write_bytes(b"x" * 100_000)
    spool.allowance.limits = Limits(ROOMY.max_bytes, 1_000_000)
    spool.allowance._measure = lambda: Usage(0, 1_000_000 + OVERHEAD_BYTES + 50_000)
    with adopted(watched) as one, pytest.raises(SpoolFull, match="nearly full"):
        spool.inbox.stage(one)
    assert pictures(spool) == []
    assert spool.allowance.bytes_set_aside == 0


def test_a_name_that_is_taken_is_no_reason_to_copy(spool: Spool, tmp_path: Path) -> None:
    """What links refuse for this moment only is an error to wait for, and the file in the way is untouched."""
    watched = tmp_path / "a.jpg"
    watched.write_bytes(b"picture")
    with adopted(watched) as one:
        first = spool.inbox.stage(one)
        spool.inbox._sequences = range(first.id, first.id + 1)
        with pytest.raises(SpoolUnavailable, match="File exists"):
            spool.inbox.stage(one)
        assert pictures(spool) == [first.path]
        spool.inbox.commit([first])


def test_a_sidecar_that_cannot_be_linked_costs_nothing(spool: Spool, elsewhere: Path, tmp_path: Path) -> None:
    """Only salvage reads the link to a sidecar: where it is refused the picture is an item all the same."""
    (tmp_path / "a.jpg").write_bytes(b"picture")
    (elsewhere / "a.json").write_text("{}")
    staged = put_file(spool, tmp_path / "a.jpg", sidecar=elsewhere / "a.json")
    assert staged.beside is None
    assert claim(spool).filename == staged.filename


def test_the_next_free_number_is_above_all_that_lie_here(tmp_path: Path) -> None:
    """The folder alone says which numbers are taken, foreign names and empty folders aside."""
    shelf = Shelf(tmp_path)
    shelf.prepare()
    assert shelf.next_free() == 1
    for folder, name in [
        ("000000", "cam-20260314T081502.417Z-999.jpg"),
        ("000012", "cam-20260314T081502.417Z-12007.jpg"),
    ]:
        (tmp_path / "items" / folder).mkdir()
        (tmp_path / "items" / folder / name).touch()
    (tmp_path / "items/000012/notes.txt").touch()
    (tmp_path / "items/000013").mkdir()
    (tmp_path / "items/zzz").mkdir()
    assert shelf.next_free() == 12008


def test_a_file_replaced_while_it_was_checked_waits(spool: Spool, tmp_path: Path) -> None:
    """A file that lost its name since it was opened is nothing to link and no fault of the disk: it is seen again."""
    watched = tmp_path / "latest.jpg"
    watched.write_bytes(b"first")
    with adopted(watched) as one:
        watched.unlink()
        watched.write_bytes(b"second")
        with pytest.raises(Wait, match="replaced") as caught:
            spool.inbox.stage(one)
    assert type(caught.value) is Wait
    assert pictures(spool) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_full_disk_refuses_and_leaves_nothing(tmp_path: Path) -> None:
    """On a disk that is really full a picture is refused as `SpoolFull`, and what was put before stays."""
    watched = tmp_path / "big.jpg"
    watched.write_bytes(b"x" * 200_000)
    with small_disk(tmp_path / "disk") as disk, own(disk / "spool") as spool:
        with adopted(watched, copy=True) as one:
            filled = fill(spool, one)
        assert filled > 1
        assert len(pictures(spool)) == filled == rows(spool.directory, "SELECT count(*) FROM item")[0][0]
        check(spool.directory)


def fill(spool: Spool, one: Draft) -> int:
    """Put the same picture until there is no room; return how often it went in."""
    filled = 0
    with suppress(SpoolFull):
        while True:
            put(spool, one)
            filled += 1
    return filled


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """Mount two megabytes of memory."""
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], check=False, capture_output=True)
    if mount.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)
