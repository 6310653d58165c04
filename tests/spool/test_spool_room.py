from __future__ import annotations

import os
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from spool_rig import SEEN, MovedClock, adopted, check, claim, draft, kill, own, put, put_file, rows
from structlog.testing import capture_logs

from agent.errors import SpoolFull
from agent.frame import Receipt
from agent.spool.allowance import NoRoom
from agent.spool.budget import Limits, Policy, Usage
from agent.spool.room import REASONS
from agent.spool.thinning import FEWEST

if TYPE_CHECKING:
    from pathlib import Path

    from agent.spool.spool import Spool

SIZE = 100
THIN, OLDEST = Policy("thin"), Policy("oldest")


def frames(spool: Spool, seconds: range, source: str = "cam-1", size: int = SIZE) -> None:
    """Put a frame of each of those seconds."""
    for second in seconds:
        put(spool, draft(os.urandom(size), source=source, at=SEEN + timedelta(seconds=second)))


def seconds(spool: Spool, source: str = "cam-1") -> list[int]:
    """Return the seconds of which a source has a picture waiting."""
    found = rows(
        spool.directory,
        "SELECT round((julianday(captured_at) - julianday(?)) * 86400) FROM item WHERE source = ? AND "
        "state = 'waiting' ORDER BY captured_at",
        "2026-03-14T08:15:02.417Z",
        source,
    )
    return [int(second) for (second,) in found]


def room_for(count: int) -> Limits:
    """Return limits with room for so many frames."""
    return Limits(max_bytes=count * SIZE, min_free_bytes=0)


def test_i2_i5_a_thinned_source_keeps_a_picture_of_every_time(tmp_path: Path) -> None:
    """Two hundred frames into room for thirty: never over the cap, evenly spread, and each drop on record."""
    with own(tmp_path / "spool", limits=room_for(30), policies={"cam-1": THIN}) as spool:
        with capture_logs() as logs:
            for second in range(200):
                frames(spool, range(second, second + 1))
                assert spool.usage().spool_bytes <= 30 * SIZE
        kept = seconds(spool)
        gaps = [later - earlier for earlier, later in pairwise(kept)]
        assert (len(kept), kept[0], kept[-1]) == (30, 0, 199)
        assert max(gaps) <= 4 * sum(gaps) / len(gaps)
        account = spool.accounts()["cam-1"]
        assert (account.captured, account.waiting, account.dropped) == (200, 30, {REASONS["thin"]: 170})
        assert len(list(spool.directory.glob("items/*/*"))) == 30
        assert [(entry["items"], entry["reason"]) for entry in logs if entry["event"] == "items_dropped"] == [
            (1, REASONS["thin"])
        ]
        check(spool.directory)


def test_the_oldest_gives_way_where_that_is_asked_for(tmp_path: Path) -> None:
    """What is left is the latest, in one piece."""
    with own(tmp_path / "spool", limits=room_for(10), policies={"cam-1": OLDEST}) as spool:
        frames(spool, range(35))
        assert seconds(spool) == list(range(25, 35))
        assert spool.accounts()["cam-1"].dropped == {REASONS["oldest"]: 25}
        check(spool.directory)


@pytest.mark.parametrize("when_full", ["pause", "newest"])
def test_nothing_that_waits_gives_way_for_what_comes(tmp_path: Path, when_full: str) -> None:
    """A source that pauses, or passes over what comes, keeps all that it has."""
    with own(tmp_path / "spool", limits=room_for(5), policies={"cam-1": Policy(when_full)}) as spool:
        frames(spool, range(5))
        with pytest.raises(NoRoom, match="max_bytes"):
            frames(spool, range(5, 6))
        assert seconds(spool) == list(range(5))
        assert spool.allowance.bytes_set_aside == 0


def test_a_source_without_a_policy_waits(tmp_path: Path) -> None:
    """What a person put in by hand, or a camera that is configured no more, is not dropped for others."""
    with own(tmp_path / "spool", limits=room_for(10), policies={"cam-1": THIN}) as spool:
        frames(spool, range(4), source="upload")
        frames(spool, range(40))
        assert seconds(spool, "upload") == [0, 1, 2, 3]
        with pytest.raises(NoRoom):
            frames(spool, range(1), source="upload")


def test_sources_that_are_thinned_share_alike(tmp_path: Path) -> None:
    """The one that holds most gives way, whoever asks: a quiet camera gets its share of a spool that others filled."""
    policies = {"loud": THIN, "quiet": THIN, "folder": Policy("pause", frees_disk=False)}
    with own(tmp_path / "spool", limits=room_for(60), policies=policies) as spool:
        frames(spool, range(20), source="folder")
        frames(spool, range(200), source="loud")
        frames(spool, range(200, 400), source="quiet")
        assert len(seconds(spool, "folder")) == 20
        assert abs(len(seconds(spool, "loud")) - len(seconds(spool, "quiet"))) <= 2
        loud = seconds(spool, "loud")
        assert (loud[0], loud[-1]) == (0, 199)
        check(spool.directory)


def test_shares_are_of_what_is_short(tmp_path: Path) -> None:
    """Where bytes are short the source with large pictures gives, where items are, the one with many."""
    limits = Limits(max_bytes=100_000, min_free_bytes=0, max_items=60)
    with own(tmp_path / "spool", limits=limits, policies={"many": THIN, "large": THIN}) as spool:
        frames(spool, range(40), source="many", size=10)
        frames(spool, range(10), source="large", size=9_000)
        frames(spool, range(40, 50), source="many", size=10)
        assert (len(seconds(spool, "many")), len(seconds(spool, "large"))) == (50, 10)
        frames(spool, range(50, 51), source="many", size=10)
        assert (len(seconds(spool, "many")), len(seconds(spool, "large"))) == (50, 10)
        frames(spool, range(10, 12), source="large", size=9_000)
        assert (len(seconds(spool, "many")), len(seconds(spool, "large"))) == (49, 11)
        assert spool.usage().spool_items == 60
        check(spool.directory)


def test_a_few_of_each_source_stay_in_any_case(tmp_path: Path) -> None:
    """Never all of one: where every source is down to its few, the newcomer has no room."""
    policies = {f"cam-{number}": THIN for number in range(3)}
    with own(tmp_path / "spool", limits=room_for(3 * FEWEST), policies=policies) as spool:
        for source in policies:
            frames(spool, range(FEWEST), source=source)
        with pytest.raises(NoRoom):
            frames(spool, range(10, 11), source="cam-0")
        assert all(len(seconds(spool, source)) == FEWEST for source in policies)


def test_nothing_goes_for_what_would_not_fit_all_the_same(tmp_path: Path) -> None:
    """A picture larger than all that may give way costs none of it."""
    with own(tmp_path / "spool", limits=room_for(20), policies={"cam-1": THIN, "cam-2": OLDEST}) as spool:
        frames(spool, range(10))
        frames(spool, range(10), source="cam-2")
        for source in ("cam-1", "cam-2"):
            with pytest.raises(NoRoom):
                frames(spool, range(20, 21), source=source, size=15 * SIZE)
        assert len(seconds(spool)) == len(seconds(spool, "cam-2")) == 10


def test_a_large_picture_takes_the_room_of_many(tmp_path: Path) -> None:
    """As many go as it takes, and no more."""
    with own(tmp_path / "spool", limits=room_for(20), policies={"cam-1": THIN}) as spool:
        frames(spool, range(20))
        frames(spool, range(20, 21), size=7 * SIZE)
        assert len(seconds(spool)) == 14
        check(spool.directory)


@pytest.mark.parametrize("policy", [THIN, OLDEST], ids=["thin", "oldest"])
def test_what_an_uploader_has_in_its_hand_is_never_dropped(tmp_path: Path, policy: Policy) -> None:
    """It is delivered, with its bytes, however often the spool was full meanwhile."""
    with own(tmp_path / "spool", limits=room_for(20), policies={"cam-1": policy}) as spool:
        frames(spool, range(20))
        items = [claim(spool) for _ in range(8)]
        frames(spool, range(20, 120))
        assert all(item.path.exists() for item in items)
        spool.outbox.deliver_all([(item, Receipt(item.id, "delivered")) for item in items])
        account = spool.accounts()["cam-1"]
        assert (account.delivered, account.waiting) == (8, 12)
        check(spool.directory)


def test_what_is_given_up_is_given_to_nobody(tmp_path: Path) -> None:
    """Between the choice and its commit an item is in no uploader's reach; where the commit fails it waits again."""
    with own(tmp_path / "spool", limits=room_for(10), policies={"cam-1": OLDEST}) as spool:
        frames(spool, range(10))
        seen: list[object] = []
        run = spool._commits.run

        def refuse(*_: object) -> None:
            seen.extend(iter(spool.outbox.claim, None))
            raise SpoolFull("the disk is full")

        spool._commits.run = refuse  # type: ignore[method-assign, assignment]
        with pytest.raises(SpoolFull):
            frames(spool, range(10, 11))
        spool._commits.run = run  # type: ignore[method-assign]
        assert len(seen) == 9
        assert claim(spool) not in seen


def test_the_quarantine_counts_and_stays(tmp_path: Path) -> None:
    """What a person has to look at is not thinned away, and takes its room like the rest."""
    with own(tmp_path / "spool", limits=room_for(20), policies={"cam-1": THIN}) as spool:
        frames(spool, range(10))
        for _ in range(10):
            spool.outbox.quarantine(claim(spool), "refused")
        frames(spool, range(10, 60))
        account = spool.accounts()["cam-1"]
        assert (account.quarantined, account.waiting) == (10, 10)
        check(spool.directory)


def test_a_folder_that_is_thinned_leaves_its_files_alone(tmp_path: Path) -> None:
    """Its pictures are dropped from the queue, on record; every file is where it was, and is not taken again."""
    watched = tmp_path / "watched"
    watched.mkdir()
    with own(tmp_path / "spool", limits=room_for(10), policies={"door": Policy("oldest", frees_disk=False)}) as spool:
        for number in range(15):
            (watched / f"{number}.jpg").write_bytes(os.urandom(SIZE))
            put_file(spool, watched / f"{number}.jpg", after="delete")
        assert len(list(watched.iterdir())) == 15
        assert spool.accounts()["door"].dropped == {REASONS["oldest"]: 5}
        assert len(spool.history.known("door", [f"{number}.jpg" for number in range(15)])) == 15
        check(spool.directory)


def test_a_file_that_is_passed_over_is_known_and_on_record(tmp_path: Path) -> None:
    """Where the newest gives way, the file stays, its bytes are not held, and its drop is in the books."""
    (tmp_path / "a.jpg").write_bytes(b"picture")
    with own(tmp_path / "spool", limits=room_for(1)) as spool:
        with adopted(tmp_path / "a.jpg") as one:
            spool.inbox.pass_over(one, REASONS["newest"])
        account = spool.accounts()["door"]
        assert (account.captured, account.waiting, account.dropped) == (1, 0, {REASONS["newest"]: 1})
        assert list(spool.history.known("door", ["a.jpg"])) == ["a.jpg"]
        assert spool.usage().spool_bytes == 0
        check(spool.directory)


def test_i5_a_floor_is_made_free_by_what_frees_the_disk(tmp_path: Path) -> None:
    """A camera's own files give way for the floor; a folder's, whose originals stay, would not help and do not."""
    policies = {"cam-1": THIN, "door": Policy("thin", frees_disk=False)}
    with own(tmp_path / "spool", limits=Limits(10**9, 1_000_000), policies=policies) as spool:
        frames(spool, range(20), size=1000)
        for number in range(10):
            (tmp_path / f"{number}.jpg").write_bytes(os.urandom(SIZE))
            put_file(spool, tmp_path / f"{number}.jpg")
        disk = 1_000_000 + 40_000 + spool.usage().spool_bytes
        spool.allowance._measure = lambda: Usage(0, disk - spool.usage().spool_bytes)
        frames(spool, range(20, 50), size=1000)
        kept = seconds(spool)
        assert 20 < len(kept) <= 27
        assert (kept[0], kept[-1]) == (0, 49)
        assert spool.accounts()["door"].waiting == 10


def test_where_dropping_frees_nothing_it_ends(tmp_path: Path) -> None:
    """Files may have other names that nobody knows of: after one try for nothing, no more goes."""
    with own(tmp_path / "spool", limits=Limits(10**9, 1000), policies={"cam-1": THIN}) as spool:
        frames(spool, range(100))
        spool.allowance._measure = lambda: Usage(0, 900)
        spool.allowance._leeway = None  # the last look found plenty, and was a moment ago
        with pytest.raises(NoRoom):
            frames(spool, range(100, 101), size=10)
        assert len(seconds(spool)) >= 60


def test_what_is_delivered_goes_before_what_waits(tmp_path: Path, clock: MovedClock) -> None:
    """A delivered file that still lies there is the first to make room on the disk; it is asked for once in a while."""
    spool = own(tmp_path / "spool", clock=clock)
    frames(spool, range(20))
    spool.outbox._sweep = lambda *_: None  # type: ignore[method-assign]  # dies between record and removal
    delivered = claim(spool)
    spool.outbox.deliver(delivered, Receipt(delivered.id, "delivered"))
    limits = Limits(10**9, 50_000)
    with kill(spool, lambda: own(tmp_path / "spool", clock=clock, limits=limits, policies={"cam-1": THIN})) as spool:
        spool.allowance._measure = lambda: Usage(0, 60_000 if delivered.path.exists() else 90_000)
        frames(spool, range(20, 21))
        assert not delivered.path.exists()
        assert len(seconds(spool)) == 20
        assert spool.accounts()["cam-1"].dropped == {}


def test_a_kill_between_a_drop_and_its_removal_leaves_no_doubt(tmp_path: Path) -> None:
    """Record first, delete second: the next start removes what was dropped, and counts it once."""
    limits, policies = room_for(10), {"cam-1": THIN}
    spool = own(tmp_path / "spool", limits=limits, policies=policies)
    frames(spool, range(10))
    spool.allowance._room._leftovers.remove = lambda *_: False  # type: ignore[method-assign]
    frames(spool, range(10, 12))
    assert len(list(spool.directory.glob("items/*/*"))) == 12
    with kill(spool, lambda: own(tmp_path / "spool", limits=limits, policies=policies)) as spool:
        assert spool.outbox.sweep() == 2
        assert len(list(spool.directory.glob("items/*/*"))) == 10
        assert spool.accounts()["cam-1"].dropped == {REASONS["thin"]: 2}
        check(spool.directory)


def test_a_plan_is_made_anew_when_deliveries_changed_the_queue(tmp_path: Path) -> None:
    """What was named before an hour of uploads says nothing of what waits now."""
    with own(tmp_path / "spool", limits=room_for(80), policies={"cam-1": THIN}) as spool:
        frames(spool, range(82))
        for _ in range(70):
            item = claim(spool)
            spool.outbox.deliver(item, Receipt(item.id, "delivered"))
        frames(spool, range(82, 300))
        kept = seconds(spool)
        gaps = [later - earlier for earlier, later in pairwise(kept)]
        assert len(kept) == 80
        assert max(gaps) <= 4 * sum(gaps) / len(gaps)
        check(spool.directory)
