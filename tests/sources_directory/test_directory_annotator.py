"""A watched directory beside an annotator that is slow, or hangs; and sidecars that others need."""

from __future__ import annotations

import json
import random
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Literal

import pytest
from directory_rig import until

from agent.annotations.plan import AnnotationPlan
from agent.annotators.command import StreamProgram
from agent.annotators.desk import Desk
from agent.annotators.plan import AnnotatorPlan
from agent.clock import SystemClock
from agent.workers import Nursery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from directory_rig import Yard, YardMaker

OnBad = Literal["send_without", "quarantine", "wait"]
NATIVE = b'{"annotations": [{"class_value": "by hand", "geometry": [0.5, 0.5, 0.2, 0.1]}]}'
HANGS = "import sys, time; sys.stdin.buffer.read(4); print('asked', file=sys.stderr, flush=True); time.sleep(600)"


@contextmanager
def annotated(yard: Yard) -> Iterator[None]:
    """Run a watch beside an annotator that takes a picture and says nothing, in the threads that they have."""
    yard.close()
    plan, clock = AnnotatorPlan("command", timeout_s=300.0), SystemClock()

    def opened() -> Desk:
        engine = StreamProgram([sys.executable, "-S", "-c", HANGS], plan, environment={}, stop=yard.stop, clock=clock)
        return Desk(engine, plan, stop=yard.stop, clock=clock, rng=random.Random(1))

    yard.open(desk=opened)
    assert yard.desk is not None
    assert yard.annotations is not None
    others = Nursery(yard.stop)
    others.start("annotator", yard.desk.run)
    others.start("annotate", yard.annotations.run)
    with yard.running():
        yield
    assert not others.join(3.0)
    assert others.failure is None


def _is_taken(yard: Yard, name: str) -> bool:
    return name in yard.taken()


def test_a_hung_annotator_does_not_stall_the_watch(live: YardMaker) -> None:
    """What has a sidecar is taken meanwhile, what comes later is seen, and the watch rests: no watchdog bites."""
    yard = live(sidecar_wait_s=0.1)
    with annotated(yard):
        yard.put("bare.jpg")
        until(lambda: yard.annotations is not None and yard.annotations._entries)
        for number in range(5):
            yard.put(f"{number}.json", NATIVE)
            yard.put(f"{number}.jpg")
            until(partial(_is_taken, yard, f"{number}.jpg"))
        # At work between two rests, but never for long: a limit of 0 would name it in the middle of a step alone.
        until(lambda: yard.pulse.stalled(0.0) == [])
        assert "bare.jpg" not in yard.taken()


def coco(*names: str) -> bytes:
    """Return a data set with a box on each picture."""
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    boxes = [{"image_id": number, "category_id": 1, "bbox": [1, 1, 2, 2]} for number in range(len(names))]
    return json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "dent"}]}).encode()


@pytest.mark.parametrize("after", ["delete", "move"])
@pytest.mark.parametrize("rule", ["send_without", "quarantine", "wait"])
@pytest.mark.parametrize(
    "broken",
    [
        b'{"images": [',
        coco("0.jpg", "1.jpg").replace(b'"bbox": [1, 1, 2, 2]', b'"bbox": [1, 1, "x", 2]', 1),
        b"\xff\xfe",
    ],
    ids=["cut off", "a bad box", "no text"],
)
def test_a_broken_file_for_all_is_never_cleared_away(
    still: YardMaker, tmp_path: Path, after: str, rule: OnBad, broken: bytes
) -> None:
    """Delivery takes pictures along with what is theirs alone; what others need stays, broken or not, byte for byte."""
    target = tmp_path / "done"
    target.mkdir()
    move_to = target if after == "move" else None
    plan = AnnotationPlan(on_bad=rule)
    yard = still(after=after, move_to=move_to, annotations=plan, sidecar_wait_s=1.0)
    pictures = {"0.jpg", "1.jpg", "2.jpg"}
    for name in pictures:
        yard.put(name)
    shared = yard.put("annotations.json", broken)
    yard.settle()
    yard.deliver()
    yard.spool.outbox.sweep()
    assert shared.read_bytes() == broken
    assert not (target / "annotations.json").exists()
    left = {path.name for path in yard.root.glob("*.jpg")}
    # Mended, it serves those that are still there.
    shared.write_bytes(coco("0.jpg", "1.jpg", "2.jpg"))
    yard.step(60)
    yard.settle()
    assert {item.origin.path.name for item in yard.items() if item.origin and '"dent"' in item.metadata} == (
        left if rule == "wait" else set()
    )
    yard.deliver()
    yard.spool.outbox.sweep()
    assert shared.read_bytes() == coco("0.jpg", "1.jpg", "2.jpg")
    assert not (target / "annotations.json").exists()
