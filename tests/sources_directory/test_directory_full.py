from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from directory_rig import jpeg
from structlog.testing import capture_logs

from agent.spool.budget import Limits
from agent.spool.room import REASONS

if TYPE_CHECKING:
    from directory_rig import Yard, YardMaker

FIRST = jpeg(0)
ROOM_FOR_TWO = Limits(max_bytes=2 * len(FIRST) + 10, min_free_bytes=0)


def arrive(yard: Yard, count: int) -> None:
    """Put so many pictures into the directory, one older than the next."""
    for number in range(count):
        yard.put(f"{number}.jpg", jpeg(number), mtime=1_700_000_000 + number)


def test_i2_a_folder_that_gives_up_the_newest_passes_them_over_for_good(still: YardMaker) -> None:
    """What finds no room is on record as dropped, stays in the folder, and is not taken later, nor after a restart."""
    yard = still(limits=ROOM_FOR_TWO)
    yard.plan = replace(yard.plan, when_full="newest")
    yard.reopen()
    arrive(yard, 6)
    with capture_logs() as logs:
        yard.settle()
        yard.settle()
    account = yard.spool.accounts()["door"]
    assert (account.captured, account.waiting, account.dropped) == (6, 2, {REASONS["newest"]: 4})
    said = {entry["event"] for entry in logs if entry["log_level"] == "warning"}
    assert said == {"events_unavailable", "items_dropped"}
    assert len(yard.deliver()) == 2
    yard.settle()
    yard.reopen()
    yard.settle()
    assert yard.items() == []
    assert len(list(yard.root.iterdir())) == 6


def test_a_folder_that_gives_up_the_newest_still_waits_for_a_failing_disk(still: YardMaker) -> None:
    """Only the limits are a reason to pass a file over: what the disk refuses is tried again."""
    yard = still()
    yard.plan = replace(yard.plan, when_full="newest")
    yard.reopen()
    arrive(yard, 2)
    away = yard.spool_dir.with_name("away")
    yard.spool_dir.rename(away)
    with capture_logs():
        yard.settle()
    away.rename(yard.spool_dir)
    assert yard.spool.accounts() == {}
    for _ in range(3):
        yard.step(5)
    assert yard.spool.accounts()["door"].waiting == 2


def test_why_a_folder_waits_can_be_asked(still: YardMaker) -> None:
    """For as long as files wait for room `status` can say why, and no longer."""
    yard = still(limits=ROOM_FOR_TWO)
    arrive(yard, 3)
    pulse = yard.watch._pulse
    with capture_logs():
        yard.settle()
    assert "spool.max_bytes" in pulse.paused()["door"]
    yard.deliver()
    yard.step(5)
    assert len(yard.items()) == 1
    assert pulse.paused() == {}
