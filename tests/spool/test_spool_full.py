from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from spool_rig import ROOMY, check, claim, deliver_all, draft, own, put, rows
from structlog.testing import capture_logs

from agent.clock import SystemClock
from agent.errors import SpoolDamaged, SpoolFull, SpoolUnavailable
from agent.spool.allowance import NoRoom
from agent.spool.budget import Limits, Policy
from agent.spool.place import SpoolReplaced
from agent.spool.reserve import FILES, SIZE, Reserve
from agent.spool.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a file system")
PICTURE = 20_000
BARE = Limits(max_bytes=10**9, min_free_bytes=0)


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[Path]:
    """Mount a small file system in memory."""
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=False, capture_output=True)
    if mount.returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def use_up(disk: Path) -> None:
    """Fill a disk to its last byte, as another program would."""
    with suppress(OSError), (disk / "others").open("ab", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def use_up_inodes(disk: Path) -> None:
    """Take every inode."""
    with suppress(OSError):
        for number in range(10_000):
            (disk / f"other-{number}").touch()


def fill(spool: Spool) -> int:
    """Put pictures until there is no room; return how many went in."""
    filled = 0
    with suppress(NoRoom):
        while True:
            put(spool, draft(os.urandom(PICTURE)))
            filled += 1
    return filled


def reserve(directory: Path) -> list[int]:
    """Return the sizes of the reserve's files."""
    return [path.stat().st_size for path in sorted(directory.glob("reserve-*"))]


@needs_root
def test_a_disk_full_to_its_last_byte_takes_receipts(tmp_path: Path) -> None:
    """The reserve is given up for the receipts that free the disk, and made again before anything comes in (I3)."""
    with small_disk(tmp_path / "disk", "size=4m") as disk, own(disk / "spool", limits=BARE) as spool:
        assert reserve(spool.directory) == [SIZE, 0, 0]
        filled = fill(spool)
        assert filled > 20
        use_up(disk)
        with capture_logs() as logs:
            assert deliver_all(spool) == filled
        assert [entry["event"] for entry in logs] == ["reserve_given_up"]
        assert reserve(spool.directory) == []
        use_up(disk)
        with pytest.raises(NoRoom):
            put(spool, draft(b"picture"))
        (disk / "others").unlink()
        put(spool, draft(b"picture"))
        assert reserve(spool.directory) == [SIZE, 0, 0]
        check(spool.directory)


@needs_root
@pytest.mark.parametrize(("options", "use"), [("size=4m", use_up), ("size=8m,nr_inodes=40", use_up_inodes)])
def test_a_spool_opens_on_a_disk_without_any_room(tmp_path: Path, options: str, use: object) -> None:
    """Whatever ran out, bytes or inodes: the next start finds the reserve, opens the index with it, and drains."""
    assert callable(use)
    with small_disk(tmp_path / "disk", options) as disk:
        with own(disk / "spool", limits=BARE) as spool:
            put(spool, *(draft(os.urandom(PICTURE)) for _ in range(10)))
        use(disk)
        with own(disk / "spool", limits=BARE) as spool:
            assert deliver_all(spool) == 10
            check(spool.directory)


@needs_root
def test_i5_the_floor_of_inodes_holds_on_a_real_disk(tmp_path: Path) -> None:
    """Pictures stop before the last inodes go, and thinning makes room for more of them."""
    limits = Limits(max_bytes=10**9, min_free_bytes=0, min_free_inodes=15)
    with small_disk(tmp_path / "disk", "size=8m,nr_inodes=80") as disk:
        with own(disk / "spool", limits=limits) as spool:
            filled = fill(spool)
            assert filled > 20
            assert os.statvfs(disk).f_favail >= 15
        with own(disk / "spool", limits=limits, policies={"cam-1": Policy("thin")}) as spool:
            for _ in range(2 * filled):
                put(spool, draft(os.urandom(PICTURE)))
                assert os.statvfs(disk).f_favail >= 15
            assert abs(spool.accounts()["cam-1"].waiting - filled) <= 2
            check(spool.directory)


@needs_root
def test_a_thinned_camera_goes_on_while_others_fill_the_disk(tmp_path: Path) -> None:
    """Each frame finds its room at the cost of one that waited, down to a few; nothing is lost without a record."""
    limits = Limits(max_bytes=10**9, min_free_bytes=600_000)
    with small_disk(tmp_path / "disk", "size=8m") as disk:
        with own(disk / "spool", limits=limits, policies={"cam-1": Policy("thin")}) as spool:
            for number in range(400):
                if number == 250:
                    with (disk / "others").open("wb") as file:
                        file.write(b"x" * 500_000)
                put(spool, draft(os.urandom(PICTURE)))
            account = spool.accounts()["cam-1"]
            assert account.captured == 400
            assert account.waiting > 20
            check(spool.directory)


def test_a_reserve_is_made_once(tmp_path: Path) -> None:
    """A start that finds it whole does not write it again; a half one is completed."""
    Reserve(tmp_path, keep=True).restore()
    first = (tmp_path / "reserve-0").stat()
    Reserve(tmp_path, keep=True).restore()
    assert (tmp_path / "reserve-0").stat().st_mtime_ns == first.st_mtime_ns
    os.truncate(tmp_path / "reserve-0", 1000)
    Reserve(tmp_path, keep=True).restore()
    assert reserve(tmp_path) == [SIZE, 0, 0]


def test_only_the_owner_has_a_reserve_to_give(tmp_path: Path) -> None:
    """A process beside the daemon neither makes the reserve nor takes it."""
    own(tmp_path / "spool").close()
    with Spool(tmp_path / "spool", ROOMY, clock=SystemClock(), owner=False):
        beside = Reserve(tmp_path / "spool", keep=False)
        assert beside.missing == 0
        assert not beside.give_up()
    assert len(reserve(tmp_path / "spool")) == FILES


@pytest.mark.parametrize(
    ("error", "spared"),
    [(SpoolFull("full"), True), (SpoolUnavailable("I/O error"), False), (SpoolDamaged("damaged"), False)],
)
def test_the_reserve_is_given_up_for_want_of_room_alone(tmp_path: Path, error: Exception, *, spared: bool) -> None:
    """What fails for another reason fails as before, and is tried once again at most."""
    kept, tried = Reserve(tmp_path, keep=True), []
    kept.restore()

    def work() -> None:
        tried.append(kept.missing)
        raise error

    with capture_logs(), pytest.raises(type(error)):
        kept.spare(work)
    assert tried == ([0, SIZE] if spared else [0])
    assert reserve(tmp_path) == ([] if spared else [SIZE, 0, 0])


def test_a_missing_reserve_counts_against_the_floor(tmp_path: Path) -> None:
    """What is free belongs to the reserve first, so that intake cannot take what receipts need."""
    with own(tmp_path / "spool", limits=BARE) as spool:
        free = spool.usage().free_bytes
        spool.allowance.limits = Limits(10**9, free + SIZE // 2)
        with capture_logs():
            spool.allowance._reserve.give_up()
        with pytest.raises(NoRoom, match="nearly full"):
            put(spool, draft(b"picture"))
        spool.allowance.limits = BARE
        put(spool, draft(b"picture"))
        assert spool.allowance._reserve.missing == 0


def test_no_picture_goes_where_its_row_does_not(tmp_path: Path) -> None:
    """A disk that is taken away under the spool's name is no place to write, and an empty one is not filled."""
    with own(tmp_path / "spool") as spool:
        put(spool, draft(b"a"))
        (tmp_path / "spool").rename(tmp_path / "away")
        with pytest.raises(SpoolUnavailable, match="is gone"):
            put(spool, draft(b"b"))
        assert not (tmp_path / "spool").exists()
        (tmp_path / "away").rename(tmp_path / "spool")
        put(spool, draft(b"c"))
        assert len(rows(spool.directory, "SELECT 1 FROM item")) == 2


def test_another_spool_in_its_place_is_noticed(tmp_path: Path) -> None:
    """After a mount the same name means another index: nothing goes there, and the daemon opens it anew."""
    with own(tmp_path / "spool") as spool:
        put(spool, draft(b"a"))
        shutil.copytree(tmp_path / "spool", tmp_path / "copy")
        (tmp_path / "spool").rename(tmp_path / "away")
        (tmp_path / "copy").rename(tmp_path / "spool")
        with pytest.raises(SpoolReplaced):
            put(spool, draft(b"b"))
    with own(tmp_path / "spool") as spool:
        assert claim(spool).path.read_bytes() == b"a"
