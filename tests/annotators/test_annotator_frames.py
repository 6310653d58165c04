from __future__ import annotations

import threading
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np
import pytest
from drain_rig import ROOMY

from agent.annotators.frames import FileFrames, FrameRule, LiveFrames
from agent.annotators.plan import BUSY, NO_ANSWER, AnnotatorPlan
from agent.clock import SystemClock
from agent.errors import SpoolFull, Unanswered, Wait
from agent.frame import Annotation, Frame, Labels, Model
from agent.health import Pulse
from agent.intake import FrameIntake
from agent.pictures.limits import PictureLimits
from agent.spool.ledger import Account
from agent.spool.spool import Spool
from agent.workers import Nursery, Stop

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from wire_rig import MovedClock

    from agent.annotations.read import Subject
    from agent.annotators.desk import Desk
    from agent.annotators.plan import Rule

JPEG = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
SEEN = Labels((Annotation("dent", (0.5, 0.5, 0.2, 0.1)),))


class Answers:
    """A desk that says what it is told; `gate` holds the answers back."""

    def __init__(self, *script: Labels | Unanswered) -> None:
        self.script = list(script)
        self.asked: list[tuple[int, int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.plan = AnnotatorPlan("command")
        self.busy = threading.Event()

    class State:
        """What is wrong."""

        problem = ""

    state = State()

    def rest_s(self) -> float:
        """Return that it never rests."""
        return 0.0

    def annotate(self, _jpeg: bytes, subject: Subject) -> Labels:
        """Say the next thing."""
        self.asked.append((subject.width, subject.height))
        self.busy.set()
        assert self.gate.wait(5)
        step = self.script.pop(0)
        if isinstance(step, Unanswered):
            raise step
        return step


class Shelf:
    """A way into the spool that notes what came."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.forgone: list[str] = []
        self.passed: dict[str, tuple[int, int]] = {}
        self.full = False

    def put(self, frame: Frame) -> None:
        """Take a frame."""
        if self.full:
            raise SpoolFull("no room")
        self.frames.append(frame)

    def forgo(self, _frame: Frame, reason: str) -> None:
        """Drop a frame."""
        self.forgone.append(reason)

    def pass_over(self, reason: str, *, items: int, size: int) -> None:
        """Count dropped frames."""
        self.passed[reason] = (items, size)


class Rig:
    """A camera's way to the annotator and on."""

    def __init__(self, rule: Rule, *script: Labels | Unanswered, live: bool = False) -> None:
        self.stop, self.shelf, self.desk = Stop(), Shelf(), Answers(*script)
        frame_rule = FrameRule("gate", rule, self.shelf, SystemClock())
        desk, limits = cast("Desk", self.desk), PictureLimits()
        self.live = LiveFrames(desk, frame_rule, self.shelf, limits, self.stop)
        self.file = FileFrames(desk, frame_rule, limits, self.stop)
        self.nursery = Nursery(self.stop)
        if live:
            self.nursery.start("annotate", self.live.run)

    def until(self, count: int) -> None:
        """Wait for so many frames on the shelf."""
        for _ in range(5000):
            if len(self.shelf.frames) + len(self.shelf.forgone) >= count:
                return
            self.stop.wait(0.001)
        raise AssertionError(self.shelf.frames)

    def end(self) -> None:
        """Stop."""
        self.stop.set()
        assert not self.nursery.join(2.0)
        assert self.nursery.failure is None


@pytest.fixture
def moment(clock: MovedClock) -> datetime:
    """Return a time of capture."""
    return clock.wall()


FAULT = Unanswered("it did not answer in time", away=True)


def test_a_files_frame_gets_its_labels(moment: datetime) -> None:
    """It is looked at in its own size, and handed on with what was seen."""
    rig = Rig("send_without", SEEN)
    rig.file.put(Frame("gate", JPEG, moment))
    assert rig.desk.asked == [(64, 48)]
    assert rig.shelf.frames[0].labels == SEEN


def test_a_frame_that_the_spool_refuses_is_looked_at_once(moment: datetime) -> None:
    """It is offered again with the labels that it has already."""
    rig, frame = Rig("send_without", SEEN), Frame("gate", JPEG, moment)
    rig.shelf.full = True
    for _ in range(2):
        with pytest.raises(SpoolFull):
            rig.file.put(frame)
    rig.shelf.full = False
    rig.file.put(frame)
    assert len(rig.desk.asked) == 1
    assert rig.shelf.frames[0].labels == SEEN


def test_the_rules_for_a_files_frame(moment: datetime) -> None:
    """Without an answer it goes without labels, or is dropped on record, or waits and gets them."""
    rig = Rig("send_without", FAULT)
    rig.file.put(Frame("gate", JPEG, moment))
    assert (rig.shelf.frames[0].labels, rig.shelf.frames[0].unannotated) == (None, "it did not answer in time")
    rig = Rig("drop", FAULT)
    rig.file.put(Frame("gate", JPEG, moment))
    assert (rig.shelf.frames, rig.shelf.forgone) == ([], [NO_ANSWER])


def test_a_files_frame_waits_until_the_stop(moment: datetime) -> None:
    """By the rule `wait` it is asked about again and again, and given up by the stop alone."""
    rig = Rig("wait", *[FAULT] * 3)
    threading.Timer(0.1, rig.stop.set).start()
    with pytest.raises(Wait):
        rig.file.put(Frame("gate", JPEG, moment))
    assert rig.shelf.frames == []
    rig.end()


def test_what_is_no_picture_is_not_looked_at(moment: datetime) -> None:
    """Its size is needed: what has none goes by the rule."""
    rig = Rig("send_without")
    rig.file.put(Frame("gate", b"\xff\xd8\xff no picture", moment))
    assert rig.desk.asked == []
    assert rig.shelf.frames[0].unannotated


def test_a_live_camera_keeps_the_newest_frame(moment: datetime) -> None:
    """Those that came while the annotator was busy are counted as dropped, but for the last."""
    rig = Rig("send_without", SEEN, SEEN, live=True)
    rig.desk.gate.clear()
    frames = [Frame("gate", JPEG, moment, letter) for letter in ("a", "b", "c", "d")]
    rig.live.put(frames[0])
    assert rig.desk.busy.wait(5)
    for frame in frames[1:]:
        rig.live.put(frame)
    rig.desk.gate.set()
    rig.until(2)
    rig.end()
    assert [frame.media_type for frame in rig.shelf.frames] == ["a", "d"]
    assert rig.shelf.passed == {BUSY: (2, 2 * len(JPEG))}


def test_a_live_camera_waits_with_its_newest_frame(moment: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the rule `wait` the frame is looked at again; a newer one takes its place, which is counted."""
    monkeypatch.setattr("agent.annotators.frames.AGAIN_S", 0.01)
    rig = Rig("wait", FAULT, FAULT, SEEN, live=True)
    rig.live.put(Frame("gate", JPEG, moment))
    rig.until(1)
    rig.end()
    assert rig.shelf.frames[0].labels == SEEN
    assert len(rig.desk.asked) == 3


def test_the_rules_for_a_live_frame(moment: datetime) -> None:
    """Dropped on record, or sent without labels: the camera goes on."""
    for rule, expected in (("drop", (0, [NO_ANSWER])), ("send_without", (1, []))):
        rig = Rig(cast("Rule", rule), FAULT, live=True)
        rig.live.put(Frame("gate", JPEG, moment))
        rig.until(1)
        rig.end()
        assert (len(rig.shelf.frames), rig.shelf.forgone) == expected


@pytest.mark.parametrize("live", [False, True], ids=["file", "live"])
def test_a_camera_that_waits_for_an_annotator_has_not_stalled(tmp_path: Path, clock: MovedClock, *, live: bool) -> None:
    """However long that takes, the watchdog finds nobody at work in whom nothing moves."""
    stop, pulse, desk = Stop(), Pulse(clock), Answers(SEEN, SEEN)
    with Spool(tmp_path / "spool", ROOMY, clock=clock, owner=True) as spool:
        intake = FrameIntake("gate", spool.inbox, Model(), live=live, when_full="pause", pulse=pulse)
        rule, limits = FrameRule("gate", "send_without", intake, clock), PictureLimits()
        asked, nursery = cast("Desk", desk), Nursery(stop)
        frames = LiveFrames(asked, rule, intake, limits, stop) if live else FileFrames(asked, rule, limits, stop)
        if isinstance(frames, LiveFrames):
            nursery.start("annotate", frames.run)

        def wait_for(claim: Callable[[], bool]) -> None:
            for _ in range(5000):
                if claim():
                    return
                stop.wait(0.001)
            raise AssertionError("never came true")

        def captured() -> int:
            return spool.accounts().get("gate", Account()).captured

        frames.put(Frame("gate", JPEG, clock.wall()))  # the first one is answered at once
        wait_for(lambda: captured() == 1)
        desk.gate.clear()
        nursery.start("camera", lambda: frames.put(Frame("gate", JPEG, clock.wall())))
        wait_for(lambda: len(desk.asked) == 2)
        clock.advance(86_400.0)
        assert pulse.stalled(30.0) == []
        desk.gate.set()
        wait_for(lambda: captured() == 2)
        stop.set()
        assert not nursery.join(5.0)
