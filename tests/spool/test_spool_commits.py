from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.errors import SpoolFull, SpoolUnavailable, Wait
from agent.spool.commits import Commits
from agent.workers import Nursery, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Bench:
    """A commit queue over one table, and a way to make callers come together."""

    def __init__(self, directory: Path) -> None:
        path = directory / "index.sqlite3"
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("CREATE TABLE told(what TEXT UNIQUE)")
        self.commits = Commits(connection, directory)
        self.other = sqlite3.connect(path)
        self.outcomes: dict[str, object] = {}
        self.nursery = Nursery(Stop())

    def told(self) -> list[str]:
        """Return what another connection sees committed."""
        return [what for (what,) in self.other.execute("SELECT what FROM told ORDER BY rowid")]

    def together(self, *jobs: tuple[str, Callable[[sqlite3.Connection], str], list[Path]]) -> None:
        """Run all jobs in one group: they queue up, in this order, while somebody else leads."""
        leading, go_on = threading.Event(), threading.Event()

        def hold(_: sqlite3.Connection) -> None:
            leading.set()
            go_on.wait(10)

        self.nursery.start("holder", lambda: self.commits.run(hold))
        assert leading.wait(10)
        for place, (name, work, directories) in enumerate(jobs, 1):
            self.nursery.start(name, lambda name=name, work=work, where=directories: self._try(name, work, where))  # type: ignore[misc]
            while len(self.commits._queue) < place:
                Stop().wait(0.001)
        go_on.set()
        assert self.nursery.join(10) == []

    def _try(self, name: str, work: Callable[[sqlite3.Connection], str], directories: list[Path]) -> None:
        try:
            self.outcomes[name] = self.commits.run(work, directories)
        except Exception as error:  # noqa: BLE001 (also what nobody expects is an outcome here)
            self.outcomes[name] = error


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a commit queue that is closed afterwards."""
    made = Bench(tmp_path)
    with closing(made.other), closing(made.commits):
        yield made


def tell(what: str) -> Callable[[sqlite3.Connection], str]:
    """Return work that writes a row and says so."""

    def work(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO told VALUES (?)", (what,))
        return f"{what} is told"

    return work


def fail(what: str, error: Exception) -> Callable[[sqlite3.Connection], str]:
    """Return work that writes a row and then fails."""

    def work(connection: sqlite3.Connection) -> str:
        tell(what)(connection)
        raise error

    return work


def test_a_commit_is_seen_by_others_when_it_returns(bench: Bench) -> None:
    """A lone caller gets its own result, and its rows are there for everybody."""
    assert bench.commits.run(tell("a")) == "a is told"
    assert bench.told() == ["a"]
    assert bench.commits.count == 1


def test_those_who_come_together_share_one_commit(bench: Bench) -> None:
    """Every follower gets the result of its own work, and all of it cost one transaction."""
    before = bench.commits.count
    bench.together(*((name, tell(name), []) for name in "abcd"))
    assert bench.outcomes == {name: f"{name} is told" for name in "abcd"}
    assert bench.told() == list("abcd")
    assert bench.commits.count - before == 2  # the holder's, and one for the four


def test_one_failing_share_is_rolled_back_alone(bench: Bench) -> None:
    """Work that says no takes back its own rows and harms no neighbour."""
    full = SpoolFull("no room")
    bench.together(("a", tell("a"), []), ("b", fail("b", full), []), ("c", tell("c"), []))
    assert bench.outcomes == {"a": "a is told", "b": full, "c": "c is told"}
    assert bench.told() == ["a", "c"]


def test_an_unexpected_error_never_looks_like_success(bench: Bench) -> None:
    """A defect in one share fails the whole group: the leader sees the defect, the followers that nothing was kept."""
    defect = KeyError("defect")
    bench.together(("a", tell("a"), []), ("b", fail("b", defect), []), ("c", tell("c"), []))
    leaders = [name for name, outcome in bench.outcomes.items() if outcome is defect]  # whoever gets the lock first
    assert len(leaders) == 1
    assert all(isinstance(bench.outcomes[name], SpoolUnavailable) for name in set("abc") - set(leaders))
    assert bench.told() == []


def test_the_queue_works_on_after_an_unexpected_error(bench: Bench) -> None:
    """No transaction stays open behind a defect: the next commit holds."""
    with pytest.raises(KeyError):
        bench.commits.run(fail("a", KeyError("defect")))
    assert bench.commits.run(tell("b")) == "b is told"
    assert bench.told() == ["b"]


def test_an_error_of_the_index_fails_the_group_and_keeps_nothing(bench: Bench) -> None:
    """What SQLite refuses reaches everybody as the agent's own error."""
    bench.commits.run(tell("a"))
    bench.together(("b", tell("b"), []), ("again", tell("a"), []))
    assert all(isinstance(outcome, SpoolUnavailable) for outcome in bench.outcomes.values())
    assert bench.told() == ["a"]


@pytest.mark.parametrize("place", [Path("/nowhere/at/all"), Path("/proc")], ids=["open fails", "fsync fails"])
def test_a_directory_that_cannot_be_flushed_fails_all_and_commits_nothing(
    bench: Bench, place: Path, tmp_path: Path
) -> None:
    """A row is never committed before the name of its file is durable, for nobody in the group."""
    bench.together(("a", tell("a"), [tmp_path]), ("b", tell("b"), [place]), ("c", tell("c"), []))
    assert len(bench.outcomes) == 3
    assert all(isinstance(outcome, SpoolUnavailable) for outcome in bench.outcomes.values())
    assert bench.told() == []
    assert bench.commits.run(tell("d"), [tmp_path]) == "d is told"


def test_a_commit_after_the_end_is_refused(bench: Bench) -> None:
    """A straggler that commits to a closed index is told so, in the agent's own words."""
    bench.commits.close()
    with pytest.raises(Wait):
        bench.commits.run(tell("late"))
