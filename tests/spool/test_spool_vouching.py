from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import pytest
from spool_rig import adopted, claim, draft, own, put

from agent.file_state import FileState, file_state
from agent.spool.records import Mark
from agent.spool.vouching import KEPT, TICK_NS, VOUCHED_S, Vouching, state_adopted, state_written

if TYPE_CHECKING:
    from pathlib import Path

    from spool_rig import MovedClock

STATE: FileState = (65024, 12, 200_000, 1_000, 2_000)


def facts(**changes: int) -> os.stat_result:
    """Return what the kernel says of a file that got another name a second after it was written, on a disk."""
    said = {"mode": 0o100644, "ino": 12, "dev": 65024, "nlink": 2, "uid": 0, "gid": 0, "size": 200_000}
    times = {"atime": 0, "mtime": 5 * 10**9, "ctime": 6 * 10**9} | {
        name: value for name, value in changes.items() if name.endswith("time")
    }
    numbers = list((said | {name: value for name, value in changes.items() if name in said}).values())
    whole = [nanoseconds // 10**9 for nanoseconds in times.values()]
    return os.stat_result(
        [*numbers, *whole],
        {f"st_{name}_ns": value for name, value in times.items()}
        | {f"st_{name}": value / 1e9 for name, value in times.items()},
    )


MARK = Mark("a.jpg", 12, 200_000, 5 * 10**9, "abc")


def test_a_file_counts_as_sound_once(clock: MovedClock) -> None:
    """What was vouched for is for one attempt: the next one may be in weeks, and reads what the disk has then."""
    vouching = Vouching(clock)
    vouching.vouch(7, STATE)
    assert [vouching.take(7), vouching.take(7), vouching.take(8)] == [STATE, None, None]


def test_a_picture_that_waits_is_read_again(clock: MovedClock) -> None:
    """After some seconds nobody vouches for what lies on the card."""
    vouching = Vouching(clock)
    for number in (1, 2):
        vouching.vouch(number, STATE)
    clock.advance(VOUCHED_S - 0.1)
    assert vouching.take(1) == STATE
    clock.advance(0.1)
    assert vouching.take(2) is None


def test_few_are_remembered(clock: MovedClock) -> None:
    """However many are taken in and never sent, the memory stays small; the last ones count."""
    vouching = Vouching(clock)
    for number in range(KEPT + 10):
        vouching.vouch(number, STATE)
    assert vouching.take(9) is None
    assert vouching.take(10) == STATE


def test_a_new_name_leaves_the_bytes_as_they_were() -> None:
    """With the size and time at which it was hashed, a linked file has those bytes; only the link came since."""
    assert state_adopted(facts(), MARK) == file_state(facts())


@pytest.mark.parametrize(
    "changes",
    [{"ino": 13}, {"size": 199_999}, {"mtime": 5 * 10**9 + 1}, {"dev": 53}, {"mtime": 6 * 10**9 - TICK_NS}],
    ids=["another file", "another size", "written since", "no disk's file system", "written a moment ago"],
)
def test_any_doubt_means_that_it_is_read_again(changes: dict[str, int]) -> None:
    """Nobody vouches for another state, for a network's files, or for what may have been written in the same tick."""
    mark = MARK._replace(mtime_ns=changes["mtime"]) if changes.get("mtime") == 6 * 10**9 - TICK_NS else MARK
    assert state_adopted(facts(**changes), mark) is None


def test_what_was_not_marked_is_read_again() -> None:
    """A picture put in by hand has no mark to be held against."""
    assert state_adopted(facts(), None) is None


def test_a_linked_picture_is_vouched_for_by_its_state_in_the_spool(tmp_path: Path, clock: MovedClock) -> None:
    """From the commit on, what was taken in by a link counts as sound in the state that the file has there."""
    with own(tmp_path / "spool", clock=clock) as spool:
        source = tmp_path / "a.jpg"
        source.write_bytes(b"a picture")
        os.utime(source, (1, 1))
        with adopted(source) as one:
            staged = spool.inbox.stage(one)
            assert spool.vouching.take(staged.id) is None
            spool.inbox.commit([staged])
        item = claim(spool)
        assert spool.vouching.take(item.id) == file_state(item.path.stat())


@pytest.mark.parametrize("copied", [False, True])
def test_what_the_spool_wrote_itself_is_vouched_for(tmp_path: Path, clock: MovedClock, *, copied: bool) -> None:
    """What came from memory, or was copied, was hashed meanwhile, and nobody else writes into its file."""
    source = tmp_path / "a.jpg"
    source.write_bytes(b"a picture")
    with own(tmp_path / "spool", clock=clock) as spool, adopted(source, copy=True) as one:
        put(spool, one if copied else draft(b"a picture"))
        item = claim(spool)
        assert spool.vouching.take(item.id) == file_state(item.path.stat())


def test_what_is_not_there_any_more_is_not_vouched_for(tmp_path: Path) -> None:
    """Whatever became of a file that was written a moment ago, the upload finds it out, as ever."""
    assert state_written(str(tmp_path / "gone.jpg")) is None


def test_a_file_system_in_memory_is_not_taken_at_its_word() -> None:
    """What has no device of its own may be another machine's; its files are read again."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        assert state_written(file.name) is None
