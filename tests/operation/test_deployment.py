from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from agent.errors import LinkFault, Reject, SpoolFull, Unanswered
from agent.models.deployment import Deployer
from agent.models.shelf import ModelShelf
from agent.platform.actions import Action
from agent.platform.download import Downloader, Fetched
from agent.steward import DEPLOYED, FAILED
from agent.workers import Nursery, Stop

if TYPE_CHECKING:
    from pathlib import Path

    from wire_rig import MovedClock

FIRST = Action("7", "deploy", "m", "scratch", "1.0", "models/1", ".onnx", '["a", "b"]')
SECOND = Action("8", "deploy", "m", "scratch", "../2", "models/2", ".onnx")


class Source(Downloader):
    """Stands in for the network: gives what it has, or what is wrong."""

    def __init__(self) -> None:
        self.troubles: list[Exception] = []
        self.fetched: list[str] = []

    def fetch(self, url: str, part: Path) -> Fetched:
        """Give the address as the file."""
        self.fetched.append(url)
        if self.troubles:
            raise self.troubles.pop(0)
        part.write_text(url, encoding="ascii")
        return Fetched(len(url), f"sha of {url}")


class Bench:
    """A deployer between a shelf and a source, with a child that says whether a model works."""

    def __init__(self, folder: Path, clock: MovedClock) -> None:
        self.shelf = ModelShelf(folder)
        self.source = Source()
        self.stop = Stop()
        self.settled: list[tuple[str, str, str]] = []
        self.switched = 0
        self.tried: list[tuple[str, tuple[str, ...]]] = []
        self.troubles: list[Exception] = []
        self.unwilling: list[Exception] = []
        self.deployer = Deployer(
            self.shelf,
            self.source,
            tried=self._try,
            settle=self._settle,
            switch=self._switch,
            stop=self.stop,
            clock=clock,
            rng=random.Random(1),
        )

    def _try(self, path: Path, classes: tuple[str, ...]) -> None:
        self.tried.append((path.read_text(encoding="ascii"), classes))
        if self.troubles:
            raise self.troubles.pop(0)

    def _settle(self, action: Action, outcome: str, reason: str) -> None:
        if self.unwilling:
            raise self.unwilling.pop(0)
        self.settled.append((action.id, outcome, reason))

    def _switch(self) -> None:
        self.switched += 1

    def deploy(self, action: Action) -> bool:
        """Deploy one, as the thread does; tell whether that is settled."""
        self.deployer.take(action)
        return self.deployer._done(action)

    @property
    def version(self) -> str | None:
        """The version in force."""
        current = self.shelf.current()
        return current.version if current else None


@pytest.fixture
def bench(tmp_path: Path, clock: MovedClock) -> Bench:
    """Return a bench with an empty shelf."""
    return Bench(tmp_path / "models", clock)


def test_a_model_is_tried_and_then_in_force(bench: Bench) -> None:
    """It has looked at a picture before anything of it counts; size and digest are remembered."""
    assert bench.deploy(FIRST)
    assert bench.tried == [("models/1", ("a", "b"))]
    assert bench.settled == [("7", DEPLOYED, "8 bytes, sha256 sha of models/1")]
    assert (bench.version, bench.switched) == ("1.0", 1)
    assert bench.deployer.facts() == {"model": "m 1.0", "action": None, "stage": None}


def test_a_model_that_does_not_work_is_left(bench: Bench) -> None:
    """The one in force stays, nothing of the bad one does, and it is not fetched again."""
    bench.deploy(FIRST)
    bench.troubles = [Reject("the model cannot be loaded: no ONNX")]
    assert bench.deploy(SECOND)
    assert bench.settled[1:] == [("8", FAILED, "the model cannot be loaded: no ONNX")]
    assert (bench.version, bench.switched) == ("1.0", 1)
    assert not any(path.name == "part" for path in bench.shelf.directory.rglob("*"))


@pytest.mark.parametrize("trouble", [LinkFault("down", kind="dns", sent=False), SpoolFull("full")])
def test_what_may_go_on_later_is_tried_again(bench: Bench, trouble: Exception) -> None:
    """No link and no room are nobody's fault: the action stays open."""
    bench.source.troubles = [trouble]
    with capture_logs() as logs:
        assert not bench.deploy(FIRST)
    assert [entry["event"] for entry in logs] == ["deployment_delayed"]
    assert bench.settled == []
    assert bench.deployer.facts()["stage"] == "fetching"
    assert bench.deploy(FIRST)
    assert bench.version == "1.0"


def test_a_trial_that_cannot_be_made_now_is_made_later(bench: Bench) -> None:
    """A child that cannot be started says nothing of the model."""
    bench.troubles = [Unanswered("no memory", away=True)]
    assert not bench.deploy(FIRST)
    assert bench.deploy(FIRST)
    assert len(bench.source.fetched) == 2


@pytest.mark.parametrize("bad", [False, True])
def test_what_cannot_be_remembered_is_done_again(bench: Bench, *, bad: bool) -> None:
    """The disk refuses the record: it is not taken for settled."""
    bench.unwilling = [SpoolFull("full")]
    bench.troubles = [Reject("bad"), Reject("bad")] if bad else []
    assert not bench.deploy(FIRST)
    assert bench.deploy(FIRST)
    assert [outcome for _, outcome, _ in bench.settled] == [FAILED if bad else DEPLOYED]


def test_the_thread_takes_one_after_another_and_ends(bench: Bench) -> None:
    """A newer model takes the place of one that waits; the same one again is no news."""
    nursery = Nursery(bench.stop)
    bench.deployer.take(FIRST)
    nursery.start("deploy", bench.deployer.run)
    while bench.version != "1.0":
        bench.stop.wait(0.01)
    bench.deployer.take(SECOND)
    bench.deployer.take(SECOND)
    while len(bench.settled) < 2:
        bench.stop.wait(0.01)
    bench.stop.set()
    assert nursery.join(2) == []
    assert nursery.failure is None
    assert bench.source.fetched == ["models/1", "models/2"]
    assert bench.version == "../2"


def test_a_hostile_version_stays_on_the_shelf(bench: Bench) -> None:
    """Its folder is a plain name; nothing was written anywhere else."""
    bench.deploy(SECOND)
    current = bench.shelf.current()
    assert current is not None
    assert bench.shelf.path(current).resolve().is_relative_to(bench.shelf.directory.resolve() / "m")
    assert [path.name for path in bench.shelf.directory.parent.iterdir()] == ["models"]
