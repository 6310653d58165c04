from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from agent.errors import SpoolFull, SpoolUnavailable
from agent.spool.commits import Commits
from agent.spool.place import LET_GO_S, Place, SpoolFailing
from agent.spool.schema import INDEX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from spool_rig import MovedClock


@pytest.fixture
def commits(tmp_path: Path) -> Iterator[Commits]:
    """Return the way into an index on a disk that has room for one row."""
    with closing(sqlite3.connect(tmp_path / INDEX, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE told(what)")
        connection.execute("PRAGMA max_page_count = 2")
        yield Commits(connection, tmp_path)


def fail(_: sqlite3.Connection) -> None:
    """Meet a disk that does not work."""
    raise sqlite3.OperationalError("disk I/O error")


def test_a_disk_that_refuses_every_write_is_let_go(tmp_path: Path, commits: Commits, clock: MovedClock) -> None:
    """Nobody can mount a disk again while it is held: after ten seconds without one write it is given up."""
    place = Place(tmp_path, commits, clock=clock)
    with pytest.raises(SpoolUnavailable):
        commits.run(fail)
    place.check()
    clock.advance(LET_GO_S - 1)
    with pytest.raises(SpoolUnavailable):
        commits.run(fail)
    place.check()
    clock.advance(1)
    with pytest.raises(SpoolFailing, match="mount it again"):
        place.check()


def test_one_write_that_holds_is_proof_of_life(tmp_path: Path, commits: Commits, clock: MovedClock) -> None:
    """A disk that fails now and then is kept: reopening costs every camera a moment."""
    place = Place(tmp_path, commits, clock=clock)
    with pytest.raises(SpoolUnavailable):
        commits.run(fail)
    place.check()
    clock.advance(LET_GO_S)
    commits.run(lambda _: None)
    place.check()
    with pytest.raises(SpoolUnavailable):
        commits.run(fail)
    place.check()


def test_a_full_disk_is_kept(tmp_path: Path, commits: Commits, clock: MovedClock) -> None:
    """A disk without room works: uploads make room, and letting go of it would only stop them."""
    place = Place(tmp_path, commits, clock=clock)
    for _ in range(3):
        with pytest.raises(SpoolFull):
            commits.run(lambda index: index.execute("INSERT INTO told VALUES (zeroblob(100000))"))
        clock.advance(LET_GO_S)
        place.check()
