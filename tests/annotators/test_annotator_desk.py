from __future__ import annotations

import json
import random
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from agent.annotations.read import Subject
from agent.annotators.desk import Desk
from agent.annotators.plan import AnnotatorPlan
from agent.annotators.rest import LONGEST_S, pause_s
from agent.errors import Unanswered
from agent.frame import Model
from agent.workers import Nursery, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wire_rig import MovedClock

ANSWER = json.dumps({"annotations": [{"class_value": "dent", "geometry": [0.5, 0.5, 0.2, 0.1]}]}).encode()
AWAY = Unanswered("it did not answer in time", away=True)
ODD = Unanswered("it could not look at the picture")


class Scripted:
    """An engine that does what it is told, and notes what it was asked."""

    def __init__(self, *script: bytes | Unanswered | Callable[[], bytes]) -> None:
        self.script = list(script)
        self.asked: list[bytes] = []
        self.closed = False
        self.resets = 0

    def reset(self) -> None:
        """Note that the last answer was not trusted."""
        self.resets += 1

    def look(self, jpeg: bytes) -> bytes:
        """Do the next thing."""
        self.asked.append(jpeg)
        step = self.script.pop(0)
        if isinstance(step, Unanswered):
            raise step
        return step if isinstance(step, bytes) else step()

    def close(self) -> None:
        """Note the end."""
        self.closed = True


@contextmanager
def desk(engine: Scripted, clock: MovedClock, plan: AnnotatorPlan | None = None) -> Iterator[Desk]:
    """Run a desk for the length of a block."""
    stop = Stop()
    plan = plan or AnnotatorPlan("command", model=Model("mdl-1", "2"))
    made = Desk(engine, plan, stop=stop, clock=clock, rng=random.Random(1))
    nursery = Nursery(stop)
    nursery.start("annotator", made.run)
    try:
        yield made
    finally:
        stop.set()
        assert not nursery.join(5.0)
        assert nursery.failure is None
        assert engine.closed


def ask(made: Desk, jpeg: bytes = b"one") -> object:
    """Ask for the labels of a picture, or for what is said instead."""
    try:
        return made.annotate(jpeg, Subject("", 64, 48))
    except Unanswered as fault:
        return fault


@pytest.mark.parametrize("failures", [1, 2, 3, 7, 8, 50, 5000])
def test_pauses_grow_to_a_minute_and_are_jittered(failures: int) -> None:
    """The ceiling doubles from half a second; whatever is drawn, a fifth of it is waited at least."""
    ceiling = min(LONGEST_S, 0.5 * 2 ** min(failures - 1, 10))
    assert pause_s(failures, 0.0) == pytest.approx(ceiling / 5)
    assert pause_s(failures, 1.0) == pytest.approx(ceiling)


def test_an_answer_comes_with_its_facts(clock: MovedClock) -> None:
    """Labels with the configured model, and a state that says how long it took."""

    def slow() -> bytes:
        clock.advance(0.25)
        return ANSWER

    with desk(Scripted(slow), clock) as made:
        labels = made.annotate(b"one", Subject("", 64, 48))
        assert (labels.annotations[0].class_value, labels.model) == ("dent", Model("mdl-1", "2"))
        assert (made.state.answered, made.state.failed, made.state.latency_s) == (1, 0, 0.25)


def test_an_annotator_that_is_away_rests(clock: MovedClock) -> None:
    """While it rests for longer than a picture may wait nobody asks it; then it is asked again, and is well."""
    engine = Scripted(*[AWAY] * 8, ANSWER)
    with desk(engine, clock, AnnotatorPlan("command", timeout_s=0.01)) as made, capture_logs() as logs:
        for _ in range(8):
            assert ask(made) is AWAY
            assert 0 < made.rest_s() <= LONGEST_S
            assert "rests after a failure: it did not answer" in str(ask(made))
            clock.advance(LONGEST_S)
        assert made.state.problem == "it did not answer in time"
        ask(made)
        assert (made.state.answered, made.state.failed, made.state.problem) == (1, 16, "")
    assert len(engine.asked) == 9
    assert [entry["event"] for entry in logs] == ["annotator_failed", "annotator_restored"]


def test_a_short_rest_is_waited_for(clock: MovedClock) -> None:
    """A picture that may wait as long gets its answer after all."""
    with desk(Scripted(AWAY, ANSWER), clock) as made:
        ask(made)
        made._rest.resume(1, 0.05)
        assert not isinstance(ask(made), Unanswered)


def test_an_odd_picture_is_no_reason_to_rest(clock: MovedClock) -> None:
    """What is about one picture leaves the next one alone."""
    engine = Scripted(ODD, ANSWER)
    with desk(engine, clock) as made:
        assert ask(made) is ODD
        assert (made.rest_s(), engine.resets) == (0, 0)
        assert not isinstance(ask(made), Unanswered)


def test_after_rubbish_nothing_is_trusted(clock: MovedClock) -> None:
    """What cannot be read may be a line beside the answers: the annotator begins anew."""
    engine = Scripted(b"[INFO] model loaded", ANSWER)
    with desk(engine, clock) as made:
        assert "no JSON" in str(ask(made))
        assert engine.resets == 1
        assert 0 < made.rest_s() <= 0.5


def test_who_came_first_is_served_first(clock: MovedClock) -> None:
    """Sources take turns, one picture at a time."""
    busy, go = threading.Event(), threading.Event()

    def held() -> bytes:
        busy.set()
        assert go.wait(5)
        return ANSWER

    engine = Scripted(held, ANSWER, ANSWER)
    with desk(engine, clock) as made:
        threads = [threading.Thread(target=ask, args=(made, name)) for name in (b"a", b"b", b"c")]
        for thread in threads:
            thread.start()
            assert busy.wait(5)
            while len(engine.asked) + len(made._jobs) < threads.index(thread) + 1:
                thread.join(0.001)
        go.set()
        for thread in threads:
            thread.join()
    assert engine.asked == [b"a", b"b", b"c"]


def test_the_stop_frees_everybody_who_waits(clock: MovedClock) -> None:
    """Who is being served, and who waits, hear that there will be no answer."""
    stop, answers = Stop(), []
    engine = Scripted(lambda: ANSWER if stop.wait(5) else b"")
    made = Desk(engine, AnnotatorPlan("command"), stop=stop, clock=clock, rng=random.Random(1))
    nursery = Nursery(stop)
    nursery.start("annotator", made.run)
    for name in (b"a", b"b"):
        nursery.start("source", lambda name=name: answers.append(ask(made, name)))  # type: ignore[misc]
    while len(engine.asked) + len(made._jobs) < 2:
        stop.wait(0.001)
    stop.set()
    assert not nursery.join(2.0)
    assert len(answers) == 2
    assert any(isinstance(answer, Unanswered) and "stopping" in str(answer) for answer in answers)
