"""What a camera's child skips before a JPEG is made of it, seen over real pipes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from camera_rig import program, running, video
from drain_rig import ROOMY
from test_camera_capture import Driver, order

from agent.clock import SystemClock
from agent.selection.bank import Bank
from agent.selection.books import Books
from agent.selection.choice import Choice, Past
from agent.selection.chooser import Chooser
from agent.selection.looks import look_at, small
from agent.selection.plan import ALWAYS, Rule, SelectPlan
from agent.sources.camera import CameraPlan
from agent.sources.capture import Capture
from agent.sources.wire import Order
from agent.spool.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from agent.selection.facts import Look

PLAN = SelectPlan("belt", change=0.05)
SIZE = (320, 240)


def scene(number: int) -> np.ndarray:
    """Return one of many textured pictures that have nothing in common."""
    coarse = np.random.default_rng(number).integers(0, 256, (12, 16), np.uint8)
    grey = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)


def film(path: Path, *scenes: int) -> Path:
    """Write an MJPG AVI of these scenes, ten a second."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, SIZE)
    for number in scenes:
        writer.write(scene(number))
    writer.release()
    return path


def nearest(picture: bytes) -> int:
    """Return which scene a JPEG shows."""
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return min(range(10), key=lambda number: float(np.abs(pixels.astype(int) - scene(number)).mean()))


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """Return a spool."""
    with Spool(tmp_path / "spool", ROOMY, clock=SystemClock(), owner=True) as opened:
        yield opened


def unwanted(seen: list[Look]) -> Callable[[Look], bool]:
    """Return what wants no frame, and notes how each looks."""

    def wants(look: Look) -> bool:
        seen.append(look)
        return False

    return wants


def chooser(spool: Spool, plan: SelectPlan, *, sieved: bool = True) -> Chooser:
    """Return what chooses, with what an earlier one of this spool kept."""
    choice = Choice(plan, Past.of_text(plan, spool.choices.past(plan.source)))
    books = Books(plan.source, spool.choices, choice.past.text, SystemClock())
    return Chooser(choice, books, sieved=sieved, look_at=lambda _: look_at(small(scene(1))))


def test_near_identical_frames_are_skipped_in_the_child(tmp_path: Path, spool: Spool) -> None:
    """Only what looks new comes over the pipe, with its look; what was skipped comes as a count."""
    clip = film(tmp_path / "clip.avi", *[1] * 6, *[2] * 4, *[1] * 3, *[3] * 2)
    chosen = chooser(spool, PLAN)
    with running(CameraPlan("belt", str(clip), interval_s=0, select=PLAN), chooser=chosen) as camera:
        camera.until(camera.ended)
    assert [nearest(frame.picture) for frame in camera.frames] == [1, 2, 3]
    assert all(frame.look is not None for frame in camera.frames)
    chosen.close()
    assert spool.accounts()["belt"].skipped == {"change": 12}


def test_a_file_of_which_nothing_new_is_left_has_been_read(tmp_path: Path, spool: Spool) -> None:
    """Where no last frame can say that it is the last, the end of the file is entered by itself."""
    clip = film(tmp_path / "clip.avi", *[1] * 8)
    plan = replace(PLAN, dark=250)
    chosen = chooser(spool, plan)
    with running(CameraPlan("belt", str(clip), interval_s=0, select=plan), chooser=chosen) as camera:
        camera.until(camera.ended)
    assert camera.frames == []
    status = clip.stat()
    at = spool.history.progress("belt", str(clip), f"{status.st_ino}/{status.st_size}/{status.st_mtime_ns}")
    assert at is not None
    assert at.ended
    chosen.close()
    assert spool.accounts()["belt"].skipped == {"dark": 8}


def test_a_child_is_told_what_was_kept(tmp_path: Path, spool: Spool) -> None:
    """A source that is opened again does not send again what it has sent before."""
    first = chooser(spool, PLAN)
    for name, expected in (("one.avi", [1, 2]), ("two.avi", [3])):
        clip = film(tmp_path / name, 1, 1, 2, 2, 3) if name == "two.avi" else film(tmp_path / name, 1, 1, 2)
        with running(CameraPlan("belt", str(clip), interval_s=0, select=PLAN), chooser=first) as camera:
            camera.on_frame = lambda frame: first.put(frame, lambda _: None)
            camera.until(camera.ended)
        assert [nearest(frame.picture) for frame in camera.frames] == expected


def test_with_a_rule_that_keeps_always_every_frame_comes_over(tmp_path: Path, spool: Spool) -> None:
    """Annotations may want what pixels would skip, so the child measures and skips nothing."""
    plan = replace(PLAN, rules=(Rule("people", keep=ALWAYS, classes=("person",)),))
    clip = film(tmp_path / "clip.avi", *[1] * 5)
    chosen = chooser(spool, plan, sieved=False)
    with running(CameraPlan("belt", str(clip), interval_s=0, select=plan), chooser=chosen) as camera:
        camera.until(camera.ended)
    assert len(camera.frames) == 5
    assert all(frame.look is not None for frame in camera.frames)


def test_a_programs_frames_are_chosen_in_the_parent(tmp_path: Path, spool: Spool) -> None:
    """A program writes what it likes: its pictures are looked at when they have come."""
    source = program(tmp_path, "for index in range(5):\n    show(index)\n    time.sleep(0.05)\ntime.sleep(30)")
    chosen = chooser(spool, PLAN, sieved=False)
    sent: list[bytes] = []
    with running(CameraPlan("belt", source, interval_s=0, select=PLAN), chooser=chosen) as camera:
        camera.on_frame = lambda frame: chosen.put(frame, lambda one: sent.append(one.picture))
        camera.until(lambda: len(camera.frames) == 5)
    assert len(sent) == 1


def test_without_a_choice_nothing_is_looked_at(tmp_path: Path) -> None:
    """A camera that sends everything pays for no look."""
    clip = video(tmp_path / "clip.avi", 3)
    with running(CameraPlan("belt", str(clip), interval_s=0)) as camera:
        camera.until(camera.ended)
    assert [frame.look for frame in camera.frames] == [None, None, None]


class TestCapture:
    """What is made of a device's frames, where they are chosen."""

    @staticmethod
    def chosen_order(kind: str = "stream") -> Order:
        """Return an order with a choice."""
        return replace(order(kind), select=PLAN)

    def test_a_frame_that_is_not_wanted_gets_no_jpeg(self) -> None:
        """It is looked at, and nothing more."""
        capture = Capture(Driver(scene(1), scene(2)), self.chosen_order())
        seen: list[Look] = []
        assert capture.news(unwanted(seen)) == b""
        assert nearest(capture.news(lambda _: True)) == 2
        assert seen == [look_at(scene(1), ["change"])]

    def test_a_frozen_camera_is_noticed_though_nothing_of_it_is_wanted(self) -> None:
        """Identical frames are a fault of the camera, not a still scene."""
        capture = Capture(Driver(*[scene(1)] * 3), self.chosen_order())
        assert [capture.news(lambda _: False) for _ in range(2)] == [b"", b""]
        with pytest.raises(Exception, match="frozen"):
            capture.news(lambda _: False)

    def test_a_cameras_own_jpeg_is_looked_at_from_a_reduced_decode(self) -> None:
        """What is passed through is not decoded whole to be chosen."""
        own_jpeg = cv2.imencode(".jpg", scene(3))[1]
        frames = [np.concatenate([own_jpeg.reshape(1, -1), np.zeros((1, 64), np.uint8)], axis=1)] * 2
        capture = Capture(Driver(*frames), self.chosen_order("device"))
        looks: list[Look] = []
        assert capture.news(unwanted(looks)) == b""
        assert looks[0].print.distance(look_at(small(scene(3))).print) < 0.01
        assert nearest(capture.news(lambda _: True)) == 3


def test_the_bank_of_a_blind_plan_is_the_parents() -> None:
    """The order carries the past through JSON."""
    past = Past(Bank(8))
    past.bank.keep(look_at(small(scene(1))).print, 0.05)
    there = Order.read(replace(order(), select=PLAN, past=past.text()).line())
    assert there.select == PLAN
    assert Past.of_text(PLAN, there.past).bank.nearest(look_at(small(scene(1))).print) == 0
