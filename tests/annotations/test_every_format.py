from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import tqdm
from format_writers import CLASSES, WRITERS, Pixels, written
from globox import Annotation, AnnotationSet, BoundingBox, BoxFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.annotations.formats import NAMES
from agent.annotations.plan import AnnotationPlan
from agent.annotations.read import Reading, Subject, read_labels
from agent.pictures.orientation import displayed_box

if TYPE_CHECKING:
    from pathlib import Path

    from agent.annotations.boxes import Geometry

# Else globox's progress bar leaves a thread behind.
tqdm.tqdm.monitor_interval = 0

FORMS = [pytest.param(form, id=f"{form[0]}{form[1]}") for form in WRITERS]
UNSCORED = {"voc", "edge-impulse"}
ORIENTATIONS = range(1, 9)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[int, int, list[Pixels]]:
    """Draw a picture's size and boxes within it, of at least two pixels."""
    width, height = draw(st.integers(32, 8000)), draw(st.integers(32, 8000))
    boxes = []
    for _ in range(draw(st.integers(1, 4))):
        left, top = draw(st.floats(0, width - 2)), draw(st.floats(0, height - 2))
        right, bottom = draw(st.floats(left + 2, width)), draw(st.floats(top + 2, height))
        # What differs by less than a format writes is one line twice, and counts once.
        left, top, right, bottom = (round(side, 2) for side in (left, top, right, bottom))
        score = draw(st.integers(1, 99)) / 100
        boxes.append(Pixels(left, top, right, bottom, draw(st.integers(0, 1)), score))
    return width, height, boxes


def reading(form: tuple[str, str], data: bytes, width: int, height: int) -> Reading:
    """Read a file beside an upright picture."""
    return read_labels(f"belt{form[1]}", data, Subject("belt.jpg", width, height), AnnotationPlan(classes=CLASSES))


def corners(geometry: Geometry, width: int, height: int) -> tuple[float, float, float, float]:
    """Return a box in pixels."""
    x, y, across, down = geometry
    return (x - across / 2) * width, (y - down / 2) * height, (x + across / 2) * width, (y + down / 2) * height


def test_every_format_is_written_here() -> None:
    """No reader is left out of what follows."""
    assert {name for name, _ in WRITERS} == set(NAMES)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=25, deadline=None)
@given(scene=scenes())
def test_a_box_comes_back_within_a_pixel(form: tuple[str, str], scene: tuple[int, int, list[Pixels]]) -> None:
    """Whatever is written in any format is recognised, lies within 0..1, and is where it was, named as it was."""
    width, height, boxes = scene
    boxes = list(dict.fromkeys(boxes))
    read = reading(form, written(form, boxes, width, height), width, height)
    assert read.format == form[0]
    assert len(read.labels.annotations) == len(boxes)
    for found, box in zip(read.labels.annotations, boxes, strict=True):
        assert all(0 <= side <= 1 for side in found.geometry)
        assert corners(found.geometry, width, height) == pytest.approx(box[:4], abs=1.0)
        assert found.class_value == box.name
        assert found.confidence == (None if form[0] in UNSCORED else pytest.approx(box.score))


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=10, deadline=None)
@given(scene=scenes())
def test_a_box_beyond_an_edge_is_cut_there(form: tuple[str, str], scene: tuple[int, int, list[Pixels]]) -> None:
    """A detector's overshoot ends at the edge; what lies outside altogether is dropped and counted."""
    width, height, _ = scene
    over = Pixels(-0.2 * width, 0.5 * height, 0.5 * width, 1.1 * height, 0, 0.5)
    outside = Pixels(1.1 * width, 0.5 * height, 1.3 * width, 0.6 * height, 1, 0.5)
    labels = reading(form, written(form, [over, outside], width, height), width, height).labels
    (found,) = labels.annotations
    assert corners(found.geometry, width, height) == pytest.approx(
        (0, 0.5 * height, 0.5 * width, height), abs=1e-5 * max(width, height)
    )
    assert labels.dropped == 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_boxes_of_either_space_lie_on_the_same_pixels(form: tuple[str, str], orientation: int) -> None:
    """The same object is told the same way, whether its box was found on the stored pixels or on the turned ones."""
    stored = Pixels(64, 48, 192, 240, 0, 0.5)
    shown = displayed_box((0.2, 0.3, 0.2, 0.4), orientation)
    width, height = (480, 640) if orientation >= 5 else (640, 480)
    left, top, right, bottom = corners(shown, width, height)
    turned = Pixels(left, top, right, bottom, 0, 0.5)
    subject = Subject("belt.jpg", 640, 480, orientation)
    for space, box, size in (("stored", stored, (640, 480)), ("displayed", turned, (width, height))):
        plan = AnnotationPlan(classes=CLASSES, box_space=space)
        (found,) = read_labels(f"belt{form[1]}", written(form, [box], *size), subject, plan).labels.annotations
        assert found.geometry == pytest.approx((0.2, 0.3, 0.2, 0.4), abs=2e-6)


@settings(max_examples=25, deadline=None)
@given(scene=scenes())
def test_another_library_reads_the_same(scene: tuple[int, int, list[Pixels]], tmp_path_factory: object) -> None:
    """globox, which nobody here wrote, finds the same boxes in the same files."""
    width, height, boxes = scene
    boxes = list(dict.fromkeys(boxes))
    folder: Path = tmp_path_factory.mktemp("globox")  # type: ignore[attr-defined]  # hypothesis hides its type
    for form, read in (
        (("yolo", ".txt"), lambda path: Annotation.from_yolo_v5(path, image_size=(width, height))),
        (("voc", ".xml"), Annotation.from_pascal_voc),
        (("labelme", ".json"), Annotation.from_labelme),
        (("coco", ".json"), lambda path: AnnotationSet.from_coco(path)["belt.jpg"]),
    ):
        path = folder / f"belt{form[1]}"
        data = written(form, boxes, width, height)
        if form[0] == "voc":
            data = data.replace(b"<annotation>", b"<annotation><filename>belt.jpg</filename>")
        if form[0] == "labelme":
            data = json.dumps({**json.loads(data), "imagePath": "belt.jpg"}).encode()
        path.write_bytes(data)
        theirs = read(path).boxes
        ours = reading(form, data, width, height).labels.annotations
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert corners(one.geometry, width, height) == pytest.approx(other.ltrb, abs=0.05)
            name = CLASSES[int(other.label)] if form[0] == "yolo" else other.label
            assert one.class_value == name


@settings(max_examples=25, deadline=None)
@given(scene=scenes())
def test_what_another_library_writes_is_read(scene: tuple[int, int, list[Pixels]], tmp_path_factory: object) -> None:
    """Files that globox wrote are recognised and say what it was told."""
    width, height, boxes = scene
    folder: Path = tmp_path_factory.mktemp("globox")  # type: ignore[attr-defined]  # hypothesis hides its type
    given_boxes = [
        BoundingBox.create(label=box.name, coords=box[:4], confidence=box.score, box_format=BoxFormat.LTRB)
        for box in dict.fromkeys(boxes)
    ]
    picture = Annotation("belt.jpg", (width, height), given_boxes)
    ids = {name: index for index, name in enumerate(CLASSES)}
    picture.save_yolo_v5(folder / "yolo.txt", label_to_id=ids)
    picture.save_pascal_voc(folder / "voc.xml")
    picture.save_labelme(folder / "labelme.json")
    AnnotationSet([picture]).save_coco(folder / "coco.json", label_to_id=ids, imageid_to_id={"belt.jpg": 3})
    for path in sorted(folder.iterdir()):
        read = reading((path.stem, path.suffix), path.read_bytes(), width, height)
        assert read.format == path.stem
        for one, other in zip(read.labels.annotations, given_boxes, strict=True):
            assert corners(one.geometry, width, height) == pytest.approx(other.ltrb, abs=1.0)
            assert one.class_value == other.label
