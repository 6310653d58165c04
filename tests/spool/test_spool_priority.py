from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spool_rig import SEEN, MovedClock, check, claim, deliver_all, draft, own, put, rows

from agent.spool.budget import Limits, Policy
from agent.spool.room import REASONS
from agent.spool.schema import INDEX, VERSION

if TYPE_CHECKING:
    from agent.spool.spool import Spool

FORMAT_2 = Path(__file__).with_name("format_2.sql")
THIN = Policy("thin")


def drained(spool: Spool) -> list[bytes]:
    """Claim everything, and return what it was in that order."""
    found = []
    while (item := spool.outbox.claim()) is not None:
        found.append(item.path.read_bytes())
    return found


@pytest.mark.parametrize(
    ("order", "expected"),
    [("oldest", [b"9a", b"9b", b"5a", b"5b", b"0a"]), ("newest", [b"9b", b"9a", b"5b", b"5a", b"0a"])],
)
def test_a_higher_priority_goes_first(tmp_path: Path, order: str, expected: list[bytes]) -> None:
    """Among equals the order is the queue's; between others it is that of their priorities."""
    with own(tmp_path / "spool", order=order) as spool:
        for data in (b"5a", b"9a", b"0a", b"5b", b"9b"):
            put(spool, draft(data, priority=int(data[:1])))
        assert drained(spool) == expected


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    priorities=st.lists(st.integers(0, 9), max_size=90),
    order=st.sampled_from(["oldest", "newest"]),
    fresh=st.booleans(),
)
def test_whatever_waits_leaves_by_priority(
    tmp_path_factory: pytest.TempPathFactory, priorities: list[int], order: str, *, fresh: bool
) -> None:
    """Every item leaves once, never before one that is more important, from either end of the queue."""
    with own(tmp_path_factory.mktemp("any") / "spool", order=order) as spool:
        put(spool, *(draft(bytes([number]), priority=one) for number, one in enumerate(priorities)))
        found = []
        while (item := spool.claims.next(other_end=fresh)) is not None:
            found.append(item.path.read_bytes()[0])
    oldest_first = (order == "oldest") != fresh
    places = sorted(range(len(priorities)), key=lambda at: (-priorities[at], at if oldest_first else -at))
    assert found == places


def test_what_is_urgent_does_not_wait_for_what_was_seen_to_be_next(tmp_path: Path) -> None:
    """An urgent picture is the next one out, however many were looked ahead at."""
    with own(tmp_path / "spool") as spool:
        put(spool, *(draft(bytes([number])) for number in range(30)))
        claim(spool)
        put(spool, draft(b"urgent", priority=9))
        assert claim(spool).path.read_bytes() == b"urgent"
        assert claim(spool).path.read_bytes() == bytes([1])


def test_the_fresh_share_is_of_what_is_most_important(tmp_path: Path) -> None:
    """The newest picture that goes between the old ones is never one that others go before."""
    with own(tmp_path / "spool") as spool:
        for data in (b"9a", b"9b", b"5c"):
            put(spool, draft(data, priority=int(data[:1])))
        item = spool.claims.next(other_end=True)
        assert item is not None
        assert item.path.read_bytes() == b"9b"


def test_a_deferred_item_that_is_due_keeps_its_priority(tmp_path: Path, clock: MovedClock) -> None:
    """What is tried again goes before its equals, and after what is more important."""
    with own(tmp_path / "spool", clock=clock) as spool:
        put(spool, draft(b"5a"), draft(b"5b"))
        item = claim(spool)
        spool.outbox.defer(item, clock.boot() + 1)
        put(spool, draft(b"9c", priority=9))
        clock.advance(2)
        assert drained(spool) == [b"9c", b"5a", b"5b"]


def test_the_index_has_the_order(tmp_path: Path) -> None:
    """The next item is found without sorting the backlog, from either end."""
    from agent.spool import claims  # noqa: PLC0415 (the statements under test)

    with own(tmp_path / "spool"):
        for statement in (claims.OLDEST, claims.LEVEL, claims.NEWEST, claims.DUE):
            plan = rows(tmp_path / "spool", f"EXPLAIN QUERY PLAN {statement}", *[1] * statement.count("?"))
            said = " ".join(str(row[3]) for row in plan)
            assert "item_due" in said
            assert "TEMP B-TREE" not in said


def test_the_least_important_gives_way_first(tmp_path: Path) -> None:
    """In a full spool a source's ordinary pictures go before those that a rule chose."""
    limits = Limits(max_bytes=20, min_free_bytes=0)
    with own(tmp_path / "spool", limits=limits, policies={"cam-1": THIN}) as spool:
        for second in range(60):
            important = second % 10 == 0
            one = draft(bytes([second]), at=SEEN + timedelta(seconds=second), priority=9 if important else 5)
            put(spool, one)
        kept = [priority for (priority,) in rows(spool.directory, "SELECT priority FROM item")]
        assert len(kept) == 20
        assert kept.count(9) == 6
        assert spool.accounts()["cam-1"].dropped == {REASONS["thin"]: 40}
        check(spool.directory)


def test_a_source_of_lower_priority_gives_way_for_others(tmp_path: Path) -> None:
    """Of sources that are thinned alike the less important one goes first, though it holds less."""
    limits = Limits(max_bytes=40, min_free_bytes=0)
    policies = {"cam-1": THIN, "spare": replace(THIN, priority=2)}
    with own(tmp_path / "spool", limits=limits, policies=policies) as spool:
        for second in range(30):
            put(spool, draft(bytes([second]), at=SEEN + timedelta(seconds=second)))
        for second in range(60):
            put(spool, draft(bytes([second]), source="spare", at=SEEN + timedelta(seconds=second), priority=2))
        assert spool.accounts()["cam-1"].waiting == 30
        assert spool.accounts()["spare"].waiting == 10


def test_a_spool_of_format_2_goes_on(tmp_path: Path) -> None:
    """An index that a release without priorities wrote keeps its items, marks and totals, and then has priorities."""
    with own(tmp_path) as spool:
        put(spool, draft(b"first"), draft(b"second"), draft(b"third"))
        names = {row["id"]: row["path"] for row in spool.reader.all("SELECT id, path FROM item")}
    for file in tmp_path.glob(f"{INDEX}*"):
        file.unlink()
    (tmp_path / names[1].decode()).unlink()
    with closing(sqlite3.connect(tmp_path / INDEX)) as connection:
        connection.executescript(FORMAT_2.read_text(encoding="utf-8"))
    with own(tmp_path) as spool:
        assert not spool.salvaged
        assert rows(tmp_path, "PRAGMA user_version") == [(VERSION,)]
        account = spool.accounts()["cam-1"]
        assert (account.captured, account.delivered, account.waiting, account.skipped) == (3, 1, 2, {})
        assert spool.history.known("door", ["a.jpg"])["a.jpg"].inode == 7
        put(spool, draft(b"urgent", priority=9))
        assert [data for data in drained(spool) if data] == [b"urgent", b"second", b"third"]
    with own(tmp_path) as spool:
        deliver_all(spool)
        check(tmp_path)
