from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import pytest
from drain_rig import ROOMY
from structlog.testing import capture_logs
from wire_rig import SEEN

from agent.errors import SpoolUnavailable, Wait
from agent.frame import Annotation, Frame, Labels, Model, Position
from agent.health import Pulse
from agent.intake import FrameIntake
from agent.selection.books import EVERY_S, Books
from agent.selection.choice import Choice, Past
from agent.selection.chooser import Chooser
from agent.selection.facts import Look
from agent.selection.plan import ALWAYS, NO, Rule, SelectPlan
from agent.selection.prints import Print
from agent.spool.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wire_rig import MovedClock

PLAN = SelectPlan("belt")
PEOPLE = Rule("people", keep=ALWAYS, classes=("person",), priority=9, before_s=2, after_s=1)


def look(scene: int) -> Look:
    """Return how one of some scenes looks, each at a distance from each."""
    own = sum(1 << at for at in range(scene * 40, scene * 40 + 40))
    return Look(120.0, 40.0, Print((own,) * 4 + (0,) * 4))


def frame(second: float, scene: int = 0, *classes: str, position: Position | None = None) -> Frame:
    """Return a frame whose bytes name its second."""
    boxes = tuple(Annotation(name, (0.5, 0.5, 0.1, 0.1), 0.9) for name in classes)
    return Frame(
        "belt",
        f"at {second:g}".encode(),
        SEEN + timedelta(seconds=second),
        position=position,
        labels=Labels(boxes),
        look=look(scene),
    )


class Rig(Protocol):
    """A camera's way into a spool, chosen by a plan."""

    def __call__(self, plan: SelectPlan, *, sieved: bool = False, live: bool = True) -> tuple[FrameIntake, Chooser]:
        """Return it, and what chooses."""
        ...


@pytest.fixture
def spool(tmp_path: Path, clock: MovedClock) -> Iterator[Spool]:
    """Return a spool with room."""
    with Spool(tmp_path / "spool", ROOMY, clock=clock, owner=True) as opened:
        yield opened


@pytest.fixture
def rig(spool: Spool, clock: MovedClock) -> Rig:
    """Return what makes a camera's way into the spool."""

    def make(plan: SelectPlan, *, sieved: bool = False, live: bool = True) -> tuple[FrameIntake, Chooser]:
        choice = Choice(plan, Past.of_text(plan, spool.choices.past("belt")))
        books = Books("belt", spool.choices, choice.past.text, clock)
        chooser = Chooser(choice, books, sieved=sieved, look_at=lambda _: look(5))
        intake = FrameIntake(
            "belt", spool.inbox, Model(), live=live, when_full="thin", pulse=Pulse(clock), chooser=chooser
        )
        return intake, chooser

    return make


def waiting(spool: Spool) -> list[tuple[str, int]]:
    """Return what waits, by its bytes and priority, in the order of the queue."""
    rows = spool.reader.all("SELECT path, priority FROM item ORDER BY id")
    return [((spool.directory / row["path"].decode()).read_text(), row["priority"]) for row in rows]


def test_i2_what_is_skipped_is_counted_and_never_captured(spool: Spool, rig: Rig) -> None:
    """A skipped frame is a number by the limit that skipped it: no file, no item, and no part of what was captured."""
    intake, chooser = rig(replace(PLAN, change=0.02, priority=3))
    for second in range(10):
        intake.put(frame(second, scene=second // 5))
    chooser.close()
    account = spool.accounts()["belt"]
    assert waiting(spool) == [("at 0", 3), ("at 5", 3)]
    assert (account.captured, account.waiting, account.skipped) == (2, 2, {"change": 8})


def test_a_rule_that_fires_sends_what_was_before_and_after_it(spool: Spool, rig: Rig) -> None:
    """Each goes with its own annotations and the rule's priority, in the order of time; the rest stays skipped."""
    intake, chooser = rig(replace(PLAN, change=0.02, rules=(PEOPLE,)))
    for second in range(10):
        intake.put(frame(second, 0, *(["person"] if second == 5 else ["cat"])))
    chooser.close()
    assert waiting(spool) == [("at 0", 5), ("at 3", 9), ("at 4", 9), ("at 5", 9), ("at 6", 9)]
    account = spool.accounts()["belt"]
    assert account.skipped == {"change": 5}
    assert account.chosen == {"people": 4}
    said = [row["metadata"] for row in spool.reader.all("SELECT metadata FROM item ORDER BY id")]
    assert ["person" in one for one in said] == [False, False, False, True, False]


def test_what_a_rule_forbids_goes_with_no_neighbour(spool: Spool, rig: Rig) -> None:
    """A picture that a rule says no to never leaves the device for another rule's sake."""
    private = Rule("private", keep=NO, classes=("face",))
    intake, chooser = rig(replace(PLAN, change=0.02, rules=(private, PEOPLE)))
    for second, name in enumerate(("cat", "face", "cat", "person", "face")):
        intake.put(frame(second, 0, name))
    chooser.close()
    assert [name for name, _ in waiting(spool)] == ["at 0", "at 2", "at 3"]
    assert spool.accounts()["belt"].skipped == {"private": 2}


def test_the_ring_is_bounded_by_bytes(spool: Spool, rig: Rig) -> None:
    """What the ring has no room for is skipped for good, so memory stays within what was set."""
    intake, chooser = rig(replace(PLAN, change=0.02, ring_bytes=9, rules=(replace(PEOPLE, before_s=100),)))
    for second in range(8):
        intake.put(frame(second, 0, *(["person"] if second == 7 else ["cat"])))
    chooser.close()
    assert [name for name, _ in waiting(spool)] == ["at 0", "at 5", "at 6", "at 7"]


def test_counts_are_written_now_and_then(spool: Spool, rig: Rig, clock: MovedClock) -> None:
    """Thirty skipped frames a second do not wear the disk out: they are entered together, every half minute."""
    intake, _ = rig(replace(PLAN, change=0.02))
    intake.put(frame(0))
    before = spool.commits()
    for number in range(100):
        intake.put(frame(1 + number / 30))
    assert spool.commits() == before
    clock.advance(EVERY_S)
    intake.put(frame(50))
    assert spool.commits() == before + 1
    assert spool.accounts()["belt"].skipped == {"change": 101}


def test_a_restart_remembers_what_was_kept(spool: Spool, rig: Rig) -> None:
    """What was kept before a restart is compared with after it, and counts for the caps of its day."""
    plan = replace(PLAN, change=0.02, max_per_day=2)
    for scene in (1, 1, 2, 3):
        intake, chooser = rig(plan)
        intake.put(frame(scene, scene))
        chooser.close()
    assert [name for name, _ in waiting(spool)] == ["at 1", "at 2"]
    assert spool.accounts()["belt"].skipped == {"change": 1, "max_per_day": 1}


def test_what_a_child_has_chosen_is_only_entered(spool: Spool, rig: Rig) -> None:
    """A verdict of the child stands, and its counts grow from those that it told before; a new child starts at none."""
    intake, chooser = rig(replace(PLAN, change=0.02), sieved=True)
    intake.put(frame(0))
    intake.put(frame(1))
    chooser.opened()
    chooser.child_skipped({"change": 4})
    chooser.child_skipped({"change": 6, "blur": 1})
    chooser.opened()
    chooser.child_skipped({"change": 2})
    chooser.close()
    assert len(waiting(spool)) == 2
    assert spool.accounts()["belt"].skipped == {"change": 8, "blur": 1}
    assert Past.of_text(PLAN, chooser.past()).caps.last == frame(1).captured_at.timestamp()


def test_a_frame_without_a_look_is_looked_at(spool: Spool, rig: Rig) -> None:
    """A program's frames come without one: the picture child looks at them."""
    intake, _ = rig(replace(PLAN, change=0.02))
    for second in range(3):
        intake.put(replace(frame(second), look=None))
    assert len(waiting(spool)) == 1


@pytest.mark.parametrize("fault", [SpoolUnavailable("no child"), Wait("no OpenCV")])
def test_what_cannot_be_looked_at_is_kept(spool: Spool, clock: MovedClock, fault: Wait) -> None:
    """A limit that cannot be judged loses no picture; that is said once."""

    def refuse(_: bytes) -> Look:
        raise fault

    plan = replace(PLAN, dark=200)
    choice = Choice(plan, Past.of_text(plan, None))
    chooser = Chooser(choice, Books("belt", spool.choices, choice.past.text, clock), sieved=False, look_at=refuse)
    sent: list[Frame] = []
    with capture_logs() as logs:
        for second in range(3):
            chooser.put(replace(frame(second), look=None), sent.append)
    assert len(sent) == 3
    assert [entry["event"] for entry in logs] == ["picture_not_looked_at"]


def test_a_frame_that_finds_no_room_is_chosen_again(spool: Spool, rig: Rig) -> None:
    """A file's frame waits for room: what it is compared with, and the caps, are as though it had not been offered."""
    _, chooser = rig(replace(PLAN, change=0.02, max_per_day=1, rules=(PEOPLE,)), live=False)
    sent: list[Frame] = []

    def full(_: Frame) -> None:
        raise Wait("no room")

    for _ in range(3):
        with pytest.raises(Wait):
            chooser.put(frame(0), full)
    chooser.put(frame(0), sent.append)
    chooser.put(frame(1), sent.append)
    for _ in range(2):
        with pytest.raises(Wait):
            chooser.put(frame(2, 0, "person"), full)
    chooser.put(frame(2, 0, "person"), sent.append)
    assert [one.picture for one in sent] == [b"at 0", b"at 1", b"at 2"]
    chooser.close()
    assert spool.accounts()["belt"].skipped == {}


def test_a_file_whose_last_frames_are_skipped_has_been_read(spool: Spool, rig: Rig) -> None:
    """The end of a video file is on record at once, also where its last frame is not worth the link."""
    intake, _ = rig(replace(PLAN, change=0.02), live=False)
    for number in range(4):
        place = Position("/a.avi", "1/2/3", number + 1, ended=number == 3)
        intake.put(frame(number, position=place))
    found = spool.history.progress("belt", "/a.avi", "1/2/3")
    assert found == Position("/a.avi", "1/2/3", 4, ended=True)
    assert len(waiting(spool)) == 1


def test_progress_never_goes_back(spool: Spool, rig: Rig) -> None:
    """A neighbour that goes late says nothing of how far its file was read: a kill would have frames sent twice."""
    intake, chooser = rig(replace(PLAN, change=0.02, rules=(PEOPLE,)), live=False)
    for number in range(4):
        labels = ["person"] if number == 3 else ["cat"]
        intake.put(frame(number, 0, *labels, position=Position("/a.avi", "1/2/3", number + 1)))
    chooser.close()
    found = spool.history.progress("belt", "/a.avi", "1/2/3")
    assert found is not None
    assert found.next_frame == 4
    assert [name for name, _ in waiting(spool)] == ["at 0", "at 1", "at 2", "at 3"]
