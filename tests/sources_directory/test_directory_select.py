"""What a watched directory leaves out, looked at by a real picture child."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from agent.errors import SpoolUnavailable
from agent.selection.plan import ALWAYS, NO, Rule, SelectPlan
from agent.spool.budget import Limits

if TYPE_CHECKING:
    from directory_rig import MovedClock, Yard, YardMaker

PLAN = SelectPlan("door", change=0.05)
BEGAN = 1_700_000_000
PEOPLE = Rule("people", keep=ALWAYS, classes=("person",), priority=9, before_s=20, after_s=10)


@cache
def scene(number: int, light: float = 1.0) -> bytes:
    """Return one of many textured pictures that have nothing in common, as a JPEG."""
    coarse = np.random.default_rng(number).integers(0, 256, (12, 16), np.uint8)
    grey = cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)
    done, data = cv2.imencode(".jpg", (grey * light).astype(np.uint8))
    assert done
    return bytes(data)


def shot(yard: Yard, second: int, number: int, *classes: str, light: float = 1.0) -> str:
    """Put a picture of a scene there, with a sidecar where classes are named; return its name."""
    name = f"{second:03d}.jpg"
    boxes = [{"class_value": one, "geometry": [0.5, 0.5, 0.1, 0.1], "confidence": 0.9} for one in classes]
    if classes:
        text = json.dumps({"annotations": boxes})
        yard.put(f"{second:03d}.json", text.encode(), mtime=BEGAN + second)
    # A byte behind the end tells one file from another of the same picture.
    yard.put(name, scene(number, light) + bytes([second]), mtime=BEGAN + second)
    return name


def skips(yard: Yard) -> dict[str, int]:
    """Return what was skipped, by limit or rule."""
    account = yard.spool.accounts().get("door")
    return {} if account is None else account.skipped


def test_near_identical_pictures_stay_where_they_are(still: YardMaker) -> None:
    """What looks like a picture that was kept is counted and left alone, also where the light has changed."""
    yard = still(select=PLAN)
    for second, (number, light) in enumerate([(1, 1.0), (1, 0.8), (2, 1.0), (1, 1.0), (2, 0.7), (3, 1.0)]):
        shot(yard, second, number, light=light)
    yard.settle()
    assert yard.taken() == ["000.jpg", "002.jpg", "005.jpg"]
    assert skips(yard) == {"change": 3}
    assert len(list(yard.root.glob("*.jpg"))) == 6


def test_a_skipped_picture_is_looked_at_once(still: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is remembered as it is, over rescans and restarts; once its bytes are others it is another picture."""
    yard = still(select=PLAN)
    shot(yard, 0, 1)
    shot(yard, 1, 1)
    yard.settle()
    looked: list[object] = []
    real = type(yard.darkroom).look

    def look(darkroom: object, source: bytes | int, *more: object, **asked: object) -> object:
        looked.append(source)
        return real(darkroom, source, *more, **asked)  # type: ignore[arg-type]

    monkeypatch.setattr(type(yard.darkroom), "look", look)
    for _ in range(3):
        yard.step(60)
    yard.reopen()
    yard.settle()
    assert looked == []
    assert skips(yard) == {"change": 1}
    shot(yard, 1, 2)
    yard.settle()
    assert yard.taken() == ["000.jpg", "001.jpg"]


def test_what_is_not_sent_is_not_cleared_away(still: YardMaker) -> None:
    """With after = delete only what was delivered goes."""
    yard = still(select=PLAN, after="delete")
    shot(yard, 0, 1)
    shot(yard, 1, 1)
    yard.settle()
    yard.deliver()
    assert [path.name for path in yard.root.glob("*.jpg")] == ["001.jpg"]


def test_only_what_pixels_decide_is_decoded(still: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules and times are judged without a look at the picture."""
    rules = (Rule("rest", keep=NO, max_boxes=0), Rule("cats", keep=NO, classes=("cat",)))
    yard = still(select=SelectPlan("door", max_per_minute=1, rules=rules))

    def refuse(*_: object) -> None:
        pytest.fail("a picture was looked at")

    monkeypatch.setattr(type(yard.darkroom), "look", refuse)
    for second, name in enumerate(["cat", "dog", "dog"]):
        shot(yard, second, second, name)
    yard.settle()
    assert yard.taken() == ["001.jpg"]
    assert skips(yard) == {"cats": 1, "max_per_minute": 1}


def test_caps_count_by_the_pictures_own_times(still: YardMaker) -> None:
    """A backlog of a day is spread over the day, however quickly it is read."""
    yard = still(select=SelectPlan("door", max_per_hour=2))
    for hour in range(3):
        for number in range(4):
            shot(yard, hour * 100 + number, number)
            (yard.root / f"{hour * 100 + number:03d}.jpg").touch()
            yard.put(f"{hour * 100 + number:03d}.jpg", mtime=BEGAN + hour * 3600 + number)
    yard.settle()
    assert yard.taken() == ["000.jpg", "001.jpg", "100.jpg", "101.jpg", "200.jpg", "201.jpg"]


def test_a_rule_that_fires_takes_what_was_skipped_before_it(still: YardMaker) -> None:
    """Skipped files near it in time are taken after all, each with its own sidecar, and are skipped no more."""
    yard = still(select=replace(PLAN, rules=(PEOPLE,)))
    for second in (0, 10, 20, 30, 40, 50, 60):
        shot(yard, second, 1, *(["person"] if second == 40 else ["cat"]))
    yard.settle()
    yard.settle()
    assert sorted(yard.taken()) == ["000.jpg", "020.jpg", "030.jpg", "040.jpg", "050.jpg"]
    assert skips(yard) == {"change": 2}
    rows = yard.rows("SELECT metadata, priority FROM item ORDER BY captured_at")
    assert [row["priority"] for row in rows] == [5, 9, 9, 9, 9]
    assert ["person" in row["metadata"] for row in rows] == [False, False, False, True, False]
    assert yard.spool.accounts()["door"].captured == 5


def test_a_picture_that_finds_no_room_is_not_compared_with_itself(still: YardMaker) -> None:
    """A full spool makes files wait, and when there is room again they go as they would have gone."""
    yard = still(select=PLAN)
    yard.limits = Limits(max_bytes=10**9, min_free_bytes=0, max_items=1)
    yard.reopen()
    shot(yard, 0, 1)
    shot(yard, 1, 2)
    shot(yard, 2, 1)
    yard.settle()
    assert yard.taken() == ["000.jpg"]
    yard.spool.allowance.limits = Limits(max_bytes=10**9, min_free_bytes=0)
    for _ in range(4):
        yard.step(3)
    assert yard.taken() == ["000.jpg", "001.jpg"]
    assert skips(yard) == {"change": 1}


def test_skips_that_cannot_be_entered_are_entered_later(still: YardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A spool that refuses to write costs no count."""
    yard = still(select=PLAN)
    shot(yard, 0, 1)
    yard.settle()

    def refuse(*_: object) -> None:
        raise SpoolUnavailable("no")

    with monkeypatch.context() as patch:
        patch.setattr(yard.spool.choices, "enter", refuse)
        shot(yard, 1, 1)
        yard.settle()
    assert skips(yard) == {}
    shot(yard, 2, 1)
    yard.settle()
    assert skips(yard) == {"change": 2}


def test_a_restart_remembers_what_was_kept(still: YardMaker) -> None:
    """A picture like one of before the restart is no news."""
    yard = still(select=PLAN)
    shot(yard, 0, 1)
    yard.settle()
    yard.reopen()
    shot(yard, 1, 1)
    yard.settle()
    assert skips(yard) == {"change": 1}


def test_what_cannot_be_looked_at_is_taken(
    still: YardMaker, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without OpenCV, or with a picture that cannot be decoded, nothing is lost; that is said once."""
    del clock
    yard = still(select=PLAN)

    def refuse(*_: object) -> None:
        raise SpoolUnavailable("no child")

    monkeypatch.setattr(yard.watch._adopter._chooser, "_look_at", refuse)
    shot(yard, 0, 1)
    shot(yard, 1, 1)
    with capture_logs() as logs:
        yard.settle()
    assert yard.taken() == ["000.jpg", "001.jpg"]
    assert [entry["reason"] for entry in logs if entry["event"] == "picture_not_looked_at"] == ["no child"]


def patched(number: int, side: int, left: int) -> bytes:
    """Return a scene with a grey patch of this width on it, as a JPEG."""
    pixels = cv2.imdecode(np.frombuffer(scene(number), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None
    pixels[60:180, left : left + side] = 255 - pixels[60:180, left : left + side]
    return cv2.imencode(".jpg", pixels)[1].tobytes()


RIGHT = ((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))


@pytest.mark.parametrize(
    ("frame", "kept"),
    [({}, 3), ({"masks": (RIGHT,)}, 2), ({"crop": (0.0, 0.0, 0.5, 1.0)}, 2)],
    ids=["whole", "masked", "cropped"],
)
def test_a_change_where_nobody_will_see_it_is_none(still: YardMaker, frame: dict[str, Any], kept: int) -> None:
    """What lies under a mask, or outside of the crop, is not sent, so it is no news either."""
    yard = still(select=PLAN, **frame)
    for second, data in enumerate((scene(1), patched(1, 120, 180), patched(1, 120, 20))):
        yard.put(f"{second}.jpg", data, mtime=BEGAN + second)
    yard.settle()
    assert len(yard.taken()) == kept
    assert skips(yard) == ({} if kept == 3 else {"change": 1})
