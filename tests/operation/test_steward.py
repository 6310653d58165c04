from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.platform.actions import Action
from agent.spool.budget import Limits
from agent.spool.errands import KEPT, Errands, read_errands
from agent.spool.spool import Spool
from agent.steward import DEPLOYED, FAILED, IGNORED, SHOWN, SUPERSEDED, Settlements, Steward

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wire_rig import MovedClock

COMPOSE = Action("1", "deploy", compose=True)
UNKNOWN = Action("2", "reboot")
OLD = Action("3", "deploy", "m", "scratch", "1.0", "https://h/1")
NEW = Action("4", "deploy", "m", "scratch", "2.0", "https://h/2")


@pytest.fixture
def spool(tmp_path: Path, clock: MovedClock) -> Iterator[Spool]:
    """Return a spool that is open."""
    limits = Limits(max_bytes=10**9, min_free_bytes=0)
    with Spool(tmp_path / "spool", limits, clock=clock, owner=True) as opened:
        yield opened


class Deployer:
    """Takes models over, and remembers which."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def __call__(self, action: Action) -> None:
        """Take one."""
        self.taken.append(action.id)


def outcomes(errands: Errands) -> dict[str, str]:
    """Return what became of the actions."""
    return {errand.id: errand.outcome for errand in errands.all().values()}


def test_nothing_is_done_unasked(spool: Spool, clock: MovedClock) -> None:
    """By default every action is shown, with what would have to be done for it."""
    steward = Steward(Settlements(spool.errands, clock=clock), deploy=None)
    steward.obey((COMPOSE, UNKNOWN, OLD, NEW))
    assert outcomes(spool.errands) == {"1": SHOWN, "2": SHOWN, "3": SUPERSEDED, "4": IGNORED}
    first = read_errands(spool.reader)[0]
    assert (first.id, first.what) == ("4", "deploy 4 (scratch 2.0)")
    assert "models.accept" in first.reason
    assert first.at == "2026-03-14T08:15:02.417Z"


def test_each_is_taken_up_once(spool: Spool, clock: MovedClock) -> None:
    """They come with every check-in, since nobody can acknowledge them; also after a restart."""
    commits = [spool.commits()]
    for _ in range(3):
        Steward(Settlements(spool.errands, clock=clock), deploy=None).obey((COMPOSE, NEW))
        commits.append(spool.commits())
    assert commits[1] - commits[0] == 2
    assert commits[3] == commits[1]


def test_the_latest_model_is_deployed(spool: Spool, clock: MovedClock) -> None:
    """An older one of the same list is not fetched first."""
    deployer = Deployer()
    Steward(Settlements(spool.errands, clock=clock), deploy=deployer).obey((NEW, OLD))
    assert deployer.taken == ["4"]
    assert outcomes(spool.errands) == {"3": SUPERSEDED}


def test_an_ignored_model_is_taken_up_once_models_are_accepted(spool: Spool, clock: MovedClock) -> None:
    """Whoever sets `models.accept` finds the model that waits."""
    Steward(Settlements(spool.errands, clock=clock), deploy=None).obey((COMPOSE, NEW))
    deployer = Deployer()
    Steward(Settlements(spool.errands, clock=clock), deploy=deployer).obey((COMPOSE, NEW))
    assert deployer.taken == ["4"]


@pytest.mark.parametrize("outcome", [DEPLOYED, FAILED])
def test_an_older_one_does_not_come_back(spool: Spool, clock: MovedClock, outcome: str) -> None:
    """What was settled is settled, and a list that still holds an older model does not go back to it."""
    deployer = Deployer()
    steward = Steward(Settlements(spool.errands, clock=clock), deploy=deployer)
    Settlements(spool.errands, clock=clock).settle(NEW, outcome, "")
    steward.obey((OLD, NEW))
    assert deployer.taken == []
    assert outcomes(spool.errands) == {"3": SUPERSEDED, "4": outcome}


def test_the_memory_is_bounded(spool: Spool, clock: MovedClock) -> None:
    """What was settled longest ago is forgotten first, whatever the wall clock does."""
    for number in range(KEPT + 20):
        clock.advance(-86_400)
        spool.errands.settle(str(number), "x", SHOWN, "", clock.wall())
    found = read_errands(spool.reader)
    assert [errand.id for errand in found] == [str(number) for number in range(KEPT + 19, 19, -1)]


def test_a_row_that_makes_no_sense_is_left_out(spool: Spool, clock: MovedClock) -> None:
    """Somebody else's row is no reason to stop."""
    spool._commits.run(lambda connection: connection.execute("INSERT INTO meta VALUES ('action x', '[]')"))
    spool._commits.run(lambda connection: connection.execute("INSERT INTO meta VALUES ('action y', '{\"seen\": 1}')"))
    spool.errands.settle("z", "x", SHOWN, "", clock.wall())
    assert [errand.id for errand in read_errands(spool.reader)] == ["z", "y"]
