from __future__ import annotations

import os
import shlex
import subprocess
import sys
from contextlib import contextmanager, suppress
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import loop_disk
import pytest
from house_rig import House, arrive, photograph, until
from spool_rig import check

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from house_rig import Agent, Table

BUSY: Table = {"status": 503}
FPS = 25
CAMERA = f"""
import sys, time
picture, number = open(sys.argv[1], "rb").read(), 0
while True:
    sys.stdout.buffer.write(picture[:2] + b"\\xff\\xfe\\x00\\x0a%08d" % number + picture[2:])
    sys.stdout.buffer.flush()
    number += 1
    time.sleep(1 / {FPS})
"""


@cache
def unmountable() -> str:
    """Say why nothing can be mounted here; empty where it can."""
    if os.geteuid() != 0:
        return "needs root, to mount a file system"
    tried = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=False, capture_output=True)
    return "" if tried.returncode == 0 else "needs the right to mount"


needs_mounts = pytest.mark.skipif(bool(unmountable()), reason=unmountable())


@contextmanager
def memory_disk(point: Path, options: str) -> Iterator[Path]:
    """Mount a small file system in memory."""
    point.mkdir()
    with loop_disk.own_mounts():
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", point], check=True)
        try:
            yield point
        finally:
            subprocess.run(["umount", point], check=True)


@contextmanager
def exchanged(disk: loop_disk.LoopDisk) -> Iterator[None]:
    """Put a copy of a disk in its place, read-only at first, and at once: whoever looks sees one or the other."""
    image, point = disk.image.with_name("copy.img"), disk.point.with_name("copy")
    point.mkdir()
    subprocess.run(["cp", "--sparse=always", disk.image, image], check=True)
    subprocess.run(["mount", "-o", "loop", image, point], check=True)
    subprocess.run(["mount", "-o", "remount,ro", point], check=True)
    subprocess.run(["mount", "--bind", point, disk.point], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", disk.point], check=True)
        subprocess.run(["umount", "-l", point], check=True)


def camera(house: House, when_full: str) -> Table:
    """Return a camera that shows another picture each time, twenty-five times a second."""
    (house.root / "picture.jpg").write_bytes(photograph(1, width=640, height=480))
    (house.root / "camera.py").write_text(CAMERA, encoding="ascii")
    line = shlex.join([sys.executable, "-S", str(house.root / "camera.py"), str(house.root / "picture.jpg")])
    return {"name": "gate", "source": f"cmd:{line}", "interval_s": 0, "when_full": when_full}


def books(house: House) -> dict[str, int]:
    """Return what the ledger says, all sources together."""
    told = house.rows("SELECT what, sum(items) AS n FROM tally GROUP BY what")
    return {"delivered": 0, "dropped": 0} | {row["what"]: row["n"] for row in told}


def use_up(disk: Path) -> None:
    """Fill a disk to its last byte, as another program would."""
    with suppress(OSError), (disk / "others").open("ab", buffering=0) as file:
        for size in (65_536, 512, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)


def use_up_inodes(disk: Path) -> None:
    """Leave no name to be made, as another program would."""
    with suppress(OSError):
        for number in range(100_000):
            (disk / f"other-{number}").touch()


def drained(house: House, agent: Agent) -> None:
    """Wait until much was delivered that waited, then stop, and hold the spool against its invariants."""
    before = books(house)["delivered"]
    until(lambda: books(house)["delivered"] > before + 20, said=agent.tail)
    agent.stop()
    house.fault()
    house.configure(watch=[])
    house.once()
    check(house.spool)
    totals = books(house)
    assert totals["captured"] == totals["delivered"] + totals["dropped"]
    receipts = {row["sha256"] for row in house.rows("SELECT sha256 FROM receipt")}
    assert receipts == {upload["sha256"] for upload in house.sandbox.uploads()}


@needs_mounts
def test_i2_i5_a_disk_that_is_full_to_its_last_byte_drains(tmp_path: Path) -> None:
    """The daemon goes on, thins what waits, and delivers as soon as it can, also after a kill and a start."""
    with memory_disk(tmp_path / "disk", "size=6m") as disk, House(tmp_path / "house") as house:
        house.spool = disk / "spool"
        house.configure(camera=[camera(house, "thin")], watch=[])
        house.fault(**BUSY)
        agent = house.run()
        agent.until("items_dropped")
        seconds = [
            row["at"]
            for row in house.rows("SELECT julianday(captured_at) * 86400 AS at FROM item ORDER BY captured_at")
        ]
        gaps = [later - earlier for earlier, later in pairwise(seconds)]
        assert len(gaps) > 20
        assert max(gaps) < 10 * sum(gaps) / len(gaps)
        use_up(disk)
        agent.until("item_spooled", len(agent.events("item_spooled")) + FPS)
        agent.kill()
        use_up(disk)
        house.fault()
        agent = house.run()
        drained(house, agent)


@needs_mounts
def test_i2_i5_a_disk_without_inodes_drains(tmp_path: Path) -> None:
    """The floor of inodes holds; where others use up the last one, the daemon goes on, and can be started again."""
    with memory_disk(tmp_path / "disk", "size=64m,nr_inodes=90") as disk, House(tmp_path / "house") as house:
        house.spool = disk / "spool"
        house.configure(camera=[camera(house, "newest")], watch=[], spool={"min_free_inodes": 20})
        house.fault(**BUSY)
        agent = house.run()
        agent.until("intake_paused")
        house.says("intake    gate paused: the disk is nearly out of inodes")
        assert os.statvfs(disk).f_favail >= 20
        use_up_inodes(disk)
        agent.stop()
        assert os.statvfs(disk).f_favail < 20
        house.fault()
        agent = house.run()
        drained(house, agent)


@pytest.mark.skipif(bool(loop_disk.missing("ext4")), reason=loop_disk.missing("ext4"))
def test_i2_a_disk_that_fails_under_the_daemon_is_waited_for(tmp_path: Path) -> None:
    """Read-only from one moment to the next: it pauses and says why; with a good disk in its place it goes on.

    It has let go of the failed one by then, and waits for as long as the new one refuses, too.
    """
    with loop_disk.loop_disk("ext4", tmp_path / "ext4") as disk, House(tmp_path / "house") as house:
        house.spool = disk.point / "spool"
        house.configure(watch=[{"after_delivery": "delete"}])
        digests = [arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(3)]
        agent = house.run()
        house.settled(3)
        house.fault(**BUSY)
        digests += [arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(3, 6)]
        agent.until("item_spooled", 6)
        disk.flush()
        subprocess.run(["mount", "-o", "remount,abort", disk.point], check=True)
        digests += [arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(6, 9)]
        agent.until("intake_paused")
        house.says("intake    captures paused: cannot write to the spool's index")
        house.fault()
        assert agent.process.poll() is None
        with exchanged(disk):
            agent.until("spool_replaced")
            agent.until("spool_unavailable")
            subprocess.run(["mount", "-o", "remount,rw", disk.point], check=True)
            house.settled(9)
            agent.stop()
            check(house.spool)
            house.check(digests)
            assert not list(house.watched.glob("*.jpg"))


@pytest.mark.skipif(bool(loop_disk.missing("ext4")), reason=loop_disk.missing("ext4"))
def test_i2_a_disk_that_failed_for_good_can_be_mounted_again(tmp_path: Path) -> None:
    """The daemon lets go of it, so that it can be unmounted, checked and mounted; then it goes on by itself."""
    with loop_disk.loop_disk("ext4", tmp_path / "ext4") as disk, House(tmp_path / "house") as house:
        house.spool = disk.point / "spool"
        house.configure()
        house.fault(**BUSY)
        digests = [arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(3)]
        agent = house.run()
        agent.until("item_spooled", 3)
        disk.flush()
        subprocess.run(["mount", "-o", "remount,abort", disk.point], check=True)
        digests += [arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(3, 6)]
        agent.until("intake_paused")
        agent.until("spool_let_go")
        house.fault()
        agent.until("spool_unavailable")
        until(lambda: subprocess.run(["umount", disk.point], check=False, capture_output=True).returncode == 0)
        disk.mount()
        house.settled(6)
        agent.stop()
        check(house.spool)
        house.check(digests)


def test_i5_a_spool_at_its_cap_says_so_and_goes_on(tmp_path: Path) -> None:
    """A folder's files wait where they are, and `status` says for whom and why; nothing of them is dropped."""
    with House(tmp_path) as house:
        house.configure(spool={"max_items": 3})
        house.fault(**BUSY)
        digests = [arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(6)]
        agent = house.run()
        house.says("intake    captures paused: the spool is full: 3 pictures wait, spool.max_items = 3")
        house.fault()
        assert house.call("queue", "flush").returncode == 0
        house.settled(6)
        until(lambda: "paused" not in house.call("status").stdout)
        agent.stop()
        house.check(digests)
