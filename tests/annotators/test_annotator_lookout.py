"""The lookout's thread and its parent's side, with a clock that is moved by hand."""

from __future__ import annotations

import math
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from agent.annotators.lookout import HANGS_AFTER, LEAST_S, Lookout
from agent.annotators.outpost import CRASHED, Glimpse, Outpost
from agent.annotators.plan import AnnotatorPlan, LookoutPlan
from agent.annotators.rest import LONGEST_S
from agent.annotators.sight import labels_of
from agent.errors import Unanswered
from agent.frame import Annotation, Labels, Model
from agent.workers import Nursery, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wire_rig import MovedClock

    from agent.annotators.desk import AnnotatorState

    Man = Callable[..., "Post"]

SEEN = Labels((Annotation("dent", (0.5, 0.5, 0.2, 0.1)),))
AWAY = Unanswered("the model does not run", away=True)
PLAN = LookoutPlan({}, timeout_s=2.0, start_timeout_s=10.0)


class Scripted:
    """What looks at pixels: it says what it is told, and `gate` holds it back."""

    def __init__(self, *script: Labels | Exception) -> None:
        self.script = list(script)
        self.loads = 0
        self.gate = threading.Event()
        self.gate.set()

    def load(self) -> Any:  # noqa: ANN401 (what looks)
        """Load it once more."""
        self.loads += 1
        return self.look

    def look(self, _pixels: object) -> Labels:
        """Say the next thing."""
        assert self.gate.wait(20)
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


class Post:
    """A lookout in its thread."""

    def __init__(self, clock: MovedClock, model: Scripted, plan: LookoutPlan = PLAN) -> None:
        self.lookout = Lookout(plan, model.load, clock=clock, rng=random.Random(1))
        self._nursery = Nursery(Stop())
        self._nursery.start("lookout", self.lookout.run)

    def end(self) -> None:
        """End the thread."""
        self.lookout.close()
        assert not self._nursery.join(5.0)
        assert self._nursery.failure is None

    def ask(self) -> Labels | Unanswered:
        """Hand in a frame, and wait for what is said of it."""
        self.lookout.begin("pixels")
        while (said := self.lookout.answer(1.0)) is None:
            pass
        return said

    def free(self) -> None:
        """Wait until the thread is done with a frame that nobody waits for."""
        for _ in range(2000):
            if not math.isinf(self.lookout.rest_s()):
                return
            self.lookout.pause(0.005)
        raise AssertionError("it never ended")


@pytest.fixture
def man(clock: MovedClock) -> Iterator[Man]:
    """Return what mans a lookout."""
    posts: list[Post] = []

    def manned(model: Scripted, plan: LookoutPlan = PLAN) -> Post:
        posts.append(Post(clock, model, plan))
        return posts[-1]

    yield manned
    for post in posts:
        post.end()


def test_a_frame_is_looked_at_beside_whoever_handed_it_in(man: Man) -> None:
    """The answer is asked for as often as one likes, and nobody waits for it."""
    model = Scripted(SEEN, SEEN)
    model.gate.clear()
    post = man(model)
    post.lookout.begin("pixels")
    assert post.lookout.answer() is None
    assert post.lookout.looking
    model.gate.set()
    assert post.lookout.answer(5.0) == SEEN
    assert post.ask() == SEEN
    assert model.loads == 1
    assert post.lookout.facts() == {
        "answered": 2, "failed": 0, "latency_s": 0.0, "problem": "", "failures": 0, "rests_s": 0.0,
    }  # fmt: skip


def test_an_error_that_nobody_expected_takes_a_new_process_at_once(clock: MovedClock) -> None:
    """Its thread has ended, with a traceback in the log: there is nothing to be waited for."""
    lookout, nursery = Lookout(PLAN, Scripted(IndexError()).load, clock=clock, rng=random.Random(1)), Nursery(Stop())
    with capture_logs() as logs:
        nursery.start("lookout", lookout.run)
        lookout.begin("pixels")
        said = lookout.answer(5.0)
        assert nursery.join(5.0) == []
    assert str(said) == "it failed unexpectedly: the log has its traceback"
    assert lookout.hangs()
    assert isinstance(nursery.failure, IndexError)
    assert [one["event"] for one in logs] == ["thread_failed"]


def test_the_first_frame_has_the_time_to_load_a_model(clock: MovedClock, man: Man) -> None:
    """`start_timeout_s` comes on top of it, and of no later one."""
    model = Scripted(SEEN, SEEN, SEEN)
    model.gate.clear()
    post = man(model)
    post.lookout.begin("pixels")
    clock.advance(11.9)
    assert post.lookout.answer() is None
    model.gate.set()
    assert post.lookout.answer(5.0) == SEEN
    model.gate.clear()
    post.lookout.begin("pixels")
    clock.advance(2.0)
    assert "did not answer in time" in str(post.lookout.answer())
    model.gate.set()
    post.free()


def test_what_is_late_is_thrown_away(clock: MovedClock, man: Man) -> None:
    """The answer to a frame that was given up is nobody's; while it is not there no other is handed in."""
    model = Scripted(SEEN, Labels(()))
    model.gate.clear()
    post = man(model)
    post.lookout.begin("pixels")
    clock.advance(12.0)
    assert isinstance(post.lookout.answer(), Unanswered)
    clock.advance(LONGEST_S)
    assert math.isinf(post.lookout.rest_s())
    model.gate.set()
    post.free()
    assert post.ask() == Labels(())


def test_a_thread_that_never_comes_back_is_told(clock: MovedClock, man: Man) -> None:
    """After three times as long as a frame may take, five seconds at least, it hangs; a slow frame does not."""
    model = Scripted(SEEN)
    model.gate.clear()
    post = man(model)
    post.lookout.begin("pixels")
    clock.advance(12.0)
    assert not post.lookout.hangs()
    post.lookout.answer()
    clock.advance(HANGS_AFTER * PLAN.timeout_s - 0.1)
    assert not post.lookout.hangs()
    clock.advance(0.1)
    assert post.lookout.hangs()
    assert HANGS_AFTER * PLAN.timeout_s > LEAST_S
    model.gate.set()
    post.free()
    assert not post.lookout.hangs()


def test_a_model_that_fails_rests_and_is_loaded_anew(clock: MovedClock, man: Man) -> None:
    """The pauses grow; what it answers then ends them."""
    model = Scripted(*[AWAY] * 12, SEEN)
    post = man(model)
    rests = []
    for _ in range(12):
        assert post.ask() is AWAY
        rests.append(post.lookout.rest_s())
        clock.advance(LONGEST_S)
    assert rests[0] <= 0.5
    assert LONGEST_S / 5 <= rests[-1] <= LONGEST_S
    assert "rests after a failure: the model does not run" in str(post.lookout.resting())
    assert post.ask() == SEEN
    assert (post.lookout.rest_s(), post.lookout.facts()["failures"]) == (0, 0)
    assert model.loads == 13


def test_a_new_child_goes_on_with_the_rest_of_the_last_one(clock: MovedClock, man: Man) -> None:
    """A detector that takes its process down is not asked again at once by the next."""
    post = man(Scripted(AWAY), LookoutPlan({}, failures=6, rests_s=9.0))
    assert post.lookout.rest_s() == pytest.approx(9.0)
    clock.advance(9.0)
    post.ask()
    assert post.lookout.facts()["failures"] == 7


def test_boxes_are_cut_at_the_pictures_edges() -> None:
    """A detector may see more than there is; what lies outside is counted."""
    found = [("a", (0.0, 0.5, 0.2, 0.2), 1.5), ("b", (1.5, 0.5, 0.2, 0.2), 0.5)]
    labels = labels_of(found, Model("m"))
    assert labels.annotations == (Annotation("a", (0.05, 0.5, 0.1, 0.2), 1.0),)
    assert (labels.dropped, labels.model) == (1, Model("m"))


class Parent:
    """The parent's side, and what it told."""

    def __init__(self, clock: MovedClock) -> None:
        self.states: list[AnnotatorState] = []
        self.passed: list[tuple[str, int]] = []
        self.outpost = Outpost(
            "gate",
            AnnotatorPlan("cv2dnn", timeout_s=2.0, model=Model("m", "1")),
            {"input_size": 64},
            pass_over=lambda reason, items: self.passed.append((reason, items)),
            clock=clock,
            rng=random.Random(1),
            observe=self.states.append,
        )


@pytest.fixture
def parent(clock: MovedClock) -> Parent:
    """Return a parent's side."""
    return Parent(clock)


def glimpse(answered: int = 0, failed: int = 0, problem: str = "", *, looking: bool = False) -> Glimpse:
    """Return what a child says."""
    return Glimpse(answered, failed, 0.5 if answered else None, problem, failed, 3.0 if failed else 0.0, looking)


def test_the_state_adds_up_over_a_cameras_children(parent: Parent) -> None:
    """Each child counts from nothing; the camera's annotator does not."""
    for _ in range(2):
        order = parent.outpost.order()
        parent.outpost.hear(glimpse(looking=True))
        parent.outpost.hear(glimpse(3))
    assert (order.timeout_s, order.model_id, order.detection) == (2.0, "m", {"input_size": 64})
    state = parent.states[-1]
    assert (state.name, state.answered, state.latency_s) == ("cv2dnn at gate", 6, 0.5)


def test_a_failure_is_said_once_and_its_end_too(parent: Parent) -> None:
    """One line when it begins, one when it is over; a new child's first word does not end it."""
    with capture_logs() as logs:
        parent.outpost.order()
        for failed in (1, 2, 3):
            parent.outpost.hear(glimpse(failed=failed, problem="it did not answer in time"))
        parent.outpost.order()
        parent.outpost.hear(glimpse(looking=True))
        assert parent.states[-1].problem == "it did not answer in time"
        parent.outpost.hear(glimpse(1))
    assert [entry["event"] for entry in logs] == ["annotator_failed", "annotator_restored"]
    assert parent.states[-1].failed == 3


def test_a_child_that_dies_while_it_looks_was_taken_down_by_its_detector(parent: Parent, clock: MovedClock) -> None:
    """The next one rests first, longer each time; a child that dies otherwise is the camera's affair."""
    parent.outpost.died()
    assert parent.outpost.order().rests_s == 0
    rests = []
    for _ in range(8):
        parent.outpost.order()
        parent.outpost.hear(Glimpse(0, 0, None, "", parent.outpost.order().failures, 0.0, looking=True))
        parent.outpost.died()
        rests.append(parent.outpost.order().rests_s)
        clock.advance(LONGEST_S)
    assert rests[0] > 2.0  # longer than a frame waits
    assert rests[-1] > 10
    assert (parent.states[-1].failed, parent.states[-1].problem) == (8, CRASHED)


def test_frames_that_passed_are_entered_once(parent: Parent) -> None:
    """A child tells totals; each frame is counted by one entry, also after a new child began."""
    for totals in ({"busy": 2}, {"busy": 2}, {"busy": 5, "away": 1}):
        parent.outpost.passed(totals)
    parent.outpost.order()
    parent.outpost.passed({"busy": 1})
    assert parent.passed == [("busy", 2), ("busy", 3), ("away", 1), ("busy", 1)]
