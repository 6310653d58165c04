from __future__ import annotations

import hashlib
import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from house_rig import House
from torture_books import audit
from torture_feed import BASES, Feed, is_genuine, numbered

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def forget_receipt(house: House) -> None:
    """Take a receipt out of the books."""
    with closing(sqlite3.connect(house.spool / "index.sqlite3")) as connection, connection:
        connection.execute("DELETE FROM receipt WHERE item_id = (SELECT min(item_id) FROM receipt)")


def lose_picture(house: House) -> None:
    """Take a picture away from the platform, one that the books still know."""
    known = {row["sha256"] for row in house.rows("SELECT sha256 FROM receipt")}
    images = sorted((house.sandbox.folder / "images").iterdir())
    next(path for path in images if hashlib.sha256(path.read_bytes()).hexdigest() in known).unlink()


def damage_picture(house: House) -> None:
    """Change a byte of a picture that the platform keeps."""
    path = next((house.sandbox.folder / "images").iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"\0")


def store_twice(house: House) -> None:
    """Have the platform keep a picture twice."""
    log = house.sandbox.folder / "uploads.jsonl"
    log.write_text("".join(log.read_text(encoding="utf-8").splitlines(keepends=True)[:1] * 3), encoding="utf-8")


HARMS: list[tuple[Callable[[House], None], str]] = [
    (forget_receipt, "lost"),
    (lose_picture, "lost"),
    (damage_picture, "damaged"),
    (store_twice, "damaged"),
]


def test_the_torture_finds_harm_that_was_done_on_purpose(tmp_path: Path) -> None:
    """Its audit is silent on a whole house, and names each loss and each damage that is done to it."""
    with House(tmp_path) as house:
        feed = Feed(house.watched, house.watched, random.Random(1))
        for _ in range(20):
            feed.step()
        feed.finish()
        agent = house.run()
        house.settled(len(feed.last))
        agent.stop()
        found = audit(house, feed)
        assert (found.lost, found.damaged) == ([], [])
        for harm, verdict in HARMS:
            before = getattr(found, verdict)
            harm(house)
            found = audit(house, feed)
            assert len(getattr(found, verdict)) > len(before), harm.__name__


def test_a_picture_is_known_by_its_bytes() -> None:
    """Half a picture, one of another program, or one with a byte changed is none of ours."""
    whole = numbered(BASES[0], 7)
    assert is_genuine(whole)
    for data in (b"", whole[:-1], BASES[0], whole[:-1] + b"\0", b"\0" + whole[1:]):
        assert not is_genuine(data)
