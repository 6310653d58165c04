"""Frames that a detector looks at in the grabber: on a real pipe, with the real lookout in its thread."""

from __future__ import annotations

import math
import os
import random
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from test_camera_capture import Driver, raw
from test_camera_grabber import Pipe

from agent.annotations.record import read_record
from agent.annotators.lookout import Lookout
from agent.annotators.plan import BUSY, NO_ANSWER, LookoutPlan
from agent.errors import Reopen, Unanswered
from agent.frame import Annotation, Labels
from agent.selection.facts import Look
from agent.selection.plan import ALWAYS, NO, Rule, SelectPlan
from agent.selection.prints import PLANES, Print
from agent.sources.capture import Capture
from agent.sources.grabber import play, watch
from agent.sources.outbox import Outbox
from agent.sources.wire import Order, Record
from agent.workers import Nursery, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from camera_rig import HandClock

    from agent.annotators.plan import Rule as OnFailure

SEEN = Labels((Annotation("dent", (0.5, 0.5, 0.2, 0.1), 0.9),))
AWAY = Unanswered("the model does not run", away=True)
FRAMES = 40


class Device:
    """A live source of ten frames a second; what is `done` before a grab is up to the test."""

    def __init__(self, clock: HandClock, frames: int, before: Callable[[int], None]) -> None:
        self._clock = clock
        self._left = frames
        self._before = before
        self._number = -1
        self.exposures = 0
        self.jpegs: list[int] = []

    def grab(self) -> bool:
        """Step to the next frame."""
        self._number += 1
        self._before(self._number)
        self._clock.advance(0.1)
        self._left -= 1
        return self._left >= 0

    def exposed(self, *, judged: bool) -> Any:  # noqa: ANN401 (a stand-in for an exposure)
        """Return the frame's number, in a picture that nothing was done to."""
        assert judged
        self.exposures += 1
        return Exposed(self._number)

    def look(self, exposure: Exposed) -> Look:
        """Return how a frame looks: each as dark as its number."""
        return Look(float(exposure.number), 50.0, Print((0,) * PLANES))

    def developed(self, exposure: Exposed) -> bytes:
        """Return a JPEG that is a number."""
        self.jpegs.append(exposure.number)
        return b"%d" % exposure.number


class Exposed:
    """A frame's number; it is its own pixels and its own transform."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pixels = number
        self.transform = self

    def uncovered(self, labels: Labels) -> Labels:
        """Return labels as they are."""
        return labels


class Bench:
    """A lookout whose thread does what the test tells it to, and the grabber's loop around it."""

    def __init__(self, clock: HandClock, on_failure: OnFailure = "send_without", **plan: Any) -> None:  # noqa: ANN401
        self.clock = clock
        self.gate = threading.Event()
        self.gate.set()
        self.said: Callable[[int], Labels] = lambda _: SEEN
        self.plan = LookoutPlan({"input_size": 64}, timeout_s=2.0, start_timeout_s=0.0, on_failure=on_failure, **plan)
        self.lookout = Lookout(self.plan, lambda: self._look, clock=clock, rng=random.Random(1))
        self.pipe = Pipe()
        self.records: list[Record] = []
        self.looked_at: list[int] = []
        self._nursery = Nursery(Stop())
        self._nursery.start("lookout", self.lookout.run)

    def _look(self, number: int) -> Labels:
        assert self.gate.wait(20)
        self.looked_at.append(number)
        return self.said(number)

    def watch(self, before: Callable[[int], None], *, frames: int = FRAMES, **order: Any) -> Device:  # noqa: ANN401
        """Grab so many frames, and note what came over the pipe."""

        def between(number: int) -> None:
            self.records += self.pipe.read()
            before(number)

        device = Device(self.clock, frames, between)
        asked = Order("stream", "x", os.getpid(), **{"interval_s": 0.0, **order}, lookout=self.plan)
        outbox = Outbox(self.pipe.writing)
        with pytest.raises(Reopen) as ended:
            watch(device, asked, outbox, self.clock, self.lookout)  # type: ignore[arg-type]
        self.ended = str(ended.value)
        for _ in range(50):
            outbox.flush()
            self.records += self.pipe.read()
        return device

    def answered(self, _number: int = 0) -> None:
        """Wait for the thread, as a slow device does: then the answer is there before the next frame."""
        for _ in range(4000):
            if not self.lookout.looking or not math.isinf(self.lookout.rest_s()):
                return
            self.lookout.pause(0.002)
        raise AssertionError("no answer")

    def frames(self) -> list[tuple[int, dict[str, Any]]]:
        """Return the frames that came over, with what is known of each."""
        return [(int(record.body), record.facts) for record in self.records if record.event == "frame"]

    def alive(self) -> dict[str, Any]:
        """Return the last counts."""
        return [record.facts for record in self.records if record.event == "alive"][-1]

    def close(self) -> None:
        """End the thread and the pipe."""
        self.gate.set()
        self.lookout.close()
        assert not self._nursery.join(5.0)
        assert self._nursery.failure is None
        os.close(self.pipe.reading)
        os.close(self.pipe.writing)


@pytest.fixture
def bench(clock: HandClock) -> Iterator[Callable[..., Bench]]:
    """Return what makes a bench."""
    made: list[Bench] = []

    def make(on_failure: OnFailure = "send_without", **plan: Any) -> Bench:  # noqa: ANN401
        made.append(Bench(clock, on_failure, **plan))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_labels_go_with_the_frame_that_they_are_of(bench: Callable[..., Bench]) -> None:
    """A frame comes over when it was looked at, with its own time and what was seen on it."""
    one = bench()
    one.said = lambda number: Labels((Annotation(str(number), (0.5, 0.5, 0.2, 0.1)),))
    one.watch(one.answered)
    assert len(one.frames()) > FRAMES // 3
    for number, facts in one.frames():
        assert read_record(facts["labels"]).annotations[0].class_value == str(number)
        assert facts["boot"] == pytest.approx(1000.0 + 0.1 * (number + 1))


def test_a_slow_frame_does_not_stop_the_camera(bench: Callable[..., Bench]) -> None:
    """While one is looked at the source is grabbed on and tells that it lives; the frames that pass are counted."""
    one = bench()
    one.gate.clear()

    def before(number: int) -> None:
        if number == 15:  # the first frame takes one and a half seconds
            one.gate.set()
        if number >= 15:
            one.answered()

    device = one.watch(before, frames=32)
    assert [number for number, _ in one.frames()][:2] == [0, 15]
    assert [record.facts["seen"] for record in one.records if record.event == "alive"][:2] == [1, 11]
    assert one.alive()["passed"] == {BUSY: 14}
    assert device.exposures == 1 + 17


def test_at_an_interval_the_next_frame_stands_for_the_one_that_passed(bench: Callable[..., Bench]) -> None:
    """A detector that needs more than an interval gets a frame as soon as it is done, and one as fresh as can be."""
    one = bench()
    one.gate.clear()

    def before(number: int) -> None:
        if number == 14:
            one.gate.set()
        if number >= 14:
            one.answered()

    one.watch(before, frames=25, interval_s=1.0)
    assert [number for number, _ in one.frames()] == [0, 14, 20]
    assert "passed" not in one.alive()


def test_a_frame_that_takes_too_long_goes_by_the_rule(bench: Callable[..., Bench]) -> None:
    """`send_without` and `drop` settle it at the deadline, and those that follow while the thread is lost."""
    one = bench()
    one.gate.clear()
    one.watch(lambda _: None, frames=30, interval_s=1.0)
    told = [facts["unannotated"] for _, facts in one.frames()]
    assert told[0] == "it did not answer in time"
    assert told[1] == "it rests after a failure: it did not answer in time"
    assert "labels" not in one.frames()[0][1]


def test_with_the_rule_to_wait_no_frame_goes_without_an_answer(bench: Callable[..., Bench]) -> None:
    """A frame that failed is owed: one of the present stands for it after the rest, the others are counted."""
    one = bench("wait")
    answers: Iterator[Labels | Unanswered] = iter([AWAY, AWAY, SEEN, SEEN, SEEN])

    def said(_number: int) -> Labels:
        step = next(answers, SEEN)
        if isinstance(step, Unanswered):
            raise step
        return step

    one.said = said
    one.watch(one.answered, frames=40, interval_s=1.0)
    assert all("labels" in facts for _, facts in one.frames())
    assert one.frames()[0][0] < 20
    assert len(one.frames()) >= 3
    lost = one.alive().get("passed", {})
    assert lost.keys() <= {NO_ANSWER}


def test_a_detector_that_hangs_gives_its_process_up(bench: Callable[..., Bench]) -> None:
    """A thread cannot be ended: the loop ends instead, and says whose fault that is."""
    one = bench()
    one.gate.clear()
    one.watch(lambda _: None, frames=200)
    assert "the detector hangs" in one.ended
    assert all("unannotated" in facts for _, facts in one.frames())


def test_the_parent_is_told_before_a_frame_is_looked_at(bench: Callable[..., Bench]) -> None:
    """Should the detector take the process down, the last word says that it was looking."""
    one = bench()
    one.gate.clear()
    one.watch(lambda _: None, frames=5)
    told = [record.facts for record in one.records if record.event == "lookout"]
    assert [facts["looking"] for facts in told] == [True]


PEOPLE = Rule("people", classes=("person",), priority=8)


def chosen(one: Bench, plan: SelectPlan, boxes: Callable[[int], str], frames: int = FRAMES) -> Device:
    """Watch with a choice, a box of some class on each frame."""
    one.said = lambda number: Labels((Annotation(boxes(number), (0.5, 0.5, 0.2, 0.1)),))
    return one.watch(one.answered, frames=frames, select=plan)


def test_rules_about_boxes_decide_before_a_jpeg_is_made(bench: Callable[..., Bench]) -> None:
    """What the rules do not want is skipped in the child, by the rule's name; what they want goes with it."""
    one = bench()
    plan = SelectPlan("gate", rules=(PEOPLE, Rule("rest", keep=NO)))
    device = chosen(one, plan, lambda number: "person" if number % 4 == 0 else "cat")
    assert one.frames()
    assert {facts["verdict"][0] for _, facts in one.frames()} == {"people"}
    assert {facts["verdict"][1] for _, facts in one.frames()} == {8}
    assert all(number % 4 == 0 for number, _ in one.frames())
    assert all(number % 4 == 0 for number in device.jpegs)
    assert one.alive()["skipped"]["rest"] > 3


def test_what_a_limit_skips_is_not_looked_at(bench: Callable[..., Bench]) -> None:
    """The detector is what costs most, so it is asked last."""
    one = bench()
    chosen(one, SelectPlan("gate", dark=20.0, rules=(PEOPLE,)), lambda _: "person")
    assert min(one.looked_at) >= 20
    assert one.alive()["skipped"]["dark"] >= 15


def test_a_rule_that_keeps_always_gets_every_frame_looked_at(bench: Callable[..., Bench]) -> None:
    """What passes every limit has to be found first; the limits hold for the others, in the child as well."""
    one = bench()
    plan = SelectPlan("gate", dark=255.0, rules=(replace(PEOPLE, keep=ALWAYS),))
    chosen(one, plan, lambda number: "person" if number >= 20 else "cat")
    assert min(number for number, _ in one.frames()) >= 20
    assert one.alive()["skipped"].keys() == {"dark"}


def test_what_came_before_a_rule_is_the_parents_to_keep(bench: Callable[..., Bench]) -> None:
    """With `before_s` every frame comes over with its labels, and no verdict."""
    one = bench()
    plan = SelectPlan("gate", dark=255.0, rules=(replace(PEOPLE, before_s=2.0),))
    chosen(one, plan, lambda _: "cat")
    assert len(one.frames()) > FRAMES // 3
    assert all("verdict" not in facts and "labels" in facts for _, facts in one.frames())


def test_frames_outside_of_the_hours_are_not_owed(bench: Callable[..., Bench]) -> None:
    """What would not be taken anyway is nothing that the detector missed."""
    one = bench()
    one.gate.clear()

    def before(number: int) -> None:
        if number == 10:
            one.gate.set()
            one.answered()

    one.watch(before, frames=15, select=SelectPlan("gate", min_interval_s=60.0))
    assert [number for number, _ in one.frames()] == [0]
    assert "passed" not in one.alive()


class TestFile:
    """A file's frames wait."""

    @staticmethod
    def played(one: Bench, frames: int = 4, **order: Any) -> list[tuple[int, dict[str, Any]]]:  # noqa: ANN401
        """Play a file of so many frames."""
        device = Device(one.clock, frames, lambda _: None)
        device.exposed = lambda *, judged: Exposed(device._number)  # type: ignore[method-assign]  # noqa: ARG005
        device.frames_per_s = lambda: 10.0  # type: ignore[attr-defined]
        device.duration_s = device.position_s = lambda: 0.0  # type: ignore[attr-defined]
        asked = Order("file", "x", os.getpid(), **{"interval_s": 0.0, **order}, lookout=one.plan)
        play(device, asked, Outbox(one.pipe.writing), one.clock, one.lookout)  # type: ignore[arg-type]
        one.records += one.pipe.read()
        return one.frames()

    def test_each_frame_has_its_answer(self, bench: Callable[..., Bench]) -> None:
        """None is lost, none goes without."""
        one = bench()
        assert [number for number, facts in self.played(one) if "labels" in facts] == [0, 1, 2, 3]
        assert one.looked_at == [0, 1, 2, 3]

    def test_a_frame_without_an_answer_goes_by_the_rule(self, bench: Callable[..., Bench]) -> None:
        """It goes on without labels, with the reason; whether it is sent is the parent's to say."""
        one = bench("drop")

        def said(number: int) -> Labels:
            if number == 1:
                raise Unanswered("odd")
            return SEEN

        one.said = said
        assert ["unannotated" in facts for _, facts in self.played(one)] == [False, True, False, False]

    def test_a_frame_waits_by_the_rule(self, bench: Callable[..., Bench], clock: HandClock) -> None:
        """It is looked at again after each rest, until there is an answer."""
        one = bench("wait")
        answers = iter([AWAY, AWAY])
        one.lookout.pause = clock.advance  # type: ignore[method-assign]

        def said(_number: int) -> Labels:
            for step in answers:
                raise step
            return SEEN

        one.said = said
        assert [number for number, facts in self.played(one) if "labels" in facts] == [0, 1, 2, 3]
        assert one.looked_at == [0, 0, 0, 1, 2, 3]

    def test_a_file_goes_on_in_a_new_process_where_the_detector_hangs(
        self, bench: Callable[..., Bench], clock: HandClock
    ) -> None:
        """The frame goes without an answer at its deadline, and those behind it are not given up with it."""
        one = bench()
        one.gate.clear()
        one.lookout.pause = clock.advance  # type: ignore[method-assign]
        wait = one.gate.wait

        def waits(timeout: float | None = None) -> bool:
            clock.advance(2.0)
            return wait(timeout)

        one.gate.wait = waits  # type: ignore[method-assign]
        with pytest.raises(Reopen, match="the detector hangs"):
            self.played(one)
        one.records += one.pipe.read()
        assert [(number, facts["unannotated"]) for number, facts in one.frames()] == [(0, "it did not answer in time")]

    def test_what_is_not_wanted_has_no_jpeg(self, bench: Callable[..., Bench]) -> None:
        """The rules decide in the child for files, too."""
        one = bench()
        one.said = lambda number: Labels((Annotation("person" if number == 2 else "cat", (0.5, 0.5, 0.2, 0.1)),))
        rules = (PEOPLE, Rule("rest", keep=NO))
        assert [number for number, _ in self.played(one, select=SelectPlan("gate", rules=rules))] == [2]


LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


def test_a_cameras_own_jpeg_is_decoded_once_and_small() -> None:
    """For the detector and the look alike: in colour, no smaller than the model's input; and it is passed on whole."""
    picture = np.random.default_rng(1).integers(0, 255, (1080, 1920, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    for side, expected in ((1000, (1080, 1920, 3)), (640, (540, 960, 3)), (320, (270, 480, 3)), (64, (135, 240, 3))):
        driver = Driver(raw(jpeg))
        driver.facts |= {cv2.CAP_PROP_FRAME_WIDTH: 1920.0, cv2.CAP_PROP_FRAME_HEIGHT: 1080.0}
        order = Order("device", "x", 1, fourcc="MJPG", lookout=LookoutPlan({"input_size": side}))
        capture = Capture(driver, order)
        exposure = capture.exposed(judged=True)
        assert exposure.pixels.shape == expected
        assert capture.developed(exposure) == jpeg


def test_boxes_under_a_mask_are_left_out() -> None:
    """The detector sees what is sent, and of what is black it may say what it likes: that is not told."""
    order = Order("stream", "x", 1, masks=(LEFT,), crop=(0.25, 0.0, 0.75, 1.0))
    exposure = Capture(Driver(np.full((48, 64, 3), 200, np.uint8)), order).exposed(judged=True)
    assert exposure.pixels.shape == (48, 48, 3)
    assert exposure.pixels[:, :12].max() == 0
    hidden, shown = Annotation("a", (0.1, 0.5, 0.2, 0.2)), Annotation("b", (0.8, 0.5, 0.2, 0.2))
    labels = exposure.transform.uncovered(Labels((hidden, shown)))
    assert (labels.annotations, labels.masked) == ((shown,), 1)


def test_an_order_carries_its_detector() -> None:
    """What the parent knows of the detector is what the child reads."""
    lookout = LookoutPlan({"model_file": "a.onnx", "classes": ["a"], "input_size": 64}, failures=3, rests_s=1.5)
    order = Order("stream", "x", 1, lookout=lookout)
    assert Order.read(order.line()) == order
