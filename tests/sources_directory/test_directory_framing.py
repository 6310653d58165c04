"""Crop, masks and orientation on the folder's way into the spool."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from directory_rig import YardMaker, coded, sha
from structlog.testing import capture_logs

from agent.annotations.plan import AnnotationPlan
from agent.pictures.developing import Developer, Encoding
from agent.pictures.exif import with_orientation
from agent.pictures.transform import Recipe

if TYPE_CHECKING:
    from directory_rig import Yard

    from agent.frame import Item

LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


def sidecar(*boxes: tuple[float, float, float, float]) -> bytes:
    """Return a native sidecar with these boxes."""
    found = [{"class_value": str(number), "geometry": box} for number, box in enumerate(boxes)]
    return json.dumps({"schema": 1, "annotations": found}).encode()


def one(yard: Yard) -> tuple[Item, np.ndarray, list[Any]]:
    """Let the watch take what is there; return the one item, its pixels and its annotations."""
    yard.settle()
    (item,) = yard.items()
    pixels = cv2.imdecode(np.fromfile(item.path, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return item, pixels, json.loads(item.metadata).get("annotations")


def test_a_masked_picture_lies_masked_in_the_spool(still: YardMaker) -> None:
    """The spool has bytes of its own, black under the mask; no link to the original, nor to its sidecar."""
    yard = still(masks=(LEFT,))
    picture = yard.put("a.jpg", coded(".jpg", width=320, height=240))
    yard.put("a.json", sidecar((0.25, 0.5, 0.2, 0.2), (0.75, 0.5, 0.2, 0.2)))
    with capture_logs() as logs:
        item, pixels, annotations = one(yard)
    assert pixels[:, :144].max() <= 3
    assert pixels[:, 176:].max() > 200
    assert [found["class_value"] for found in annotations] == ["1"]
    assert (item.path.stat().st_nlink, picture.stat().st_nlink, item.beside) == (1, 1, None)
    inodes = {file.stat().st_ino for file in yard.spool_dir.rglob("*") if file.is_file()}
    assert not inodes & {file.stat().st_ino for file in yard.root.iterdir()}
    (adjusted,) = [entry for entry in logs if entry["event"] == "annotations_adjusted"]
    assert (adjusted["under_a_mask"], adjusted["outside_of_the_picture"]) == (1, 0)


def test_a_cropped_picture_takes_its_boxes_along(still: YardMaker) -> None:
    """What is cut is cut from pixels and boxes alike, and what is outside is dropped and counted."""
    yard = still(crop=(0.5, 0.0, 0.5, 1.0))
    yard.put("a.jpg", coded(".jpg", width=320, height=240))
    yard.put("a.json", sidecar((0.25, 0.5, 0.2, 0.2), (0.75, 0.5, 0.2, 0.2), (0.5, 0.5, 0.2, 0.2)))
    with capture_logs() as logs:
        _, pixels, annotations = one(yard)
    assert pixels.shape == (240, 160, 3)
    assert [found["geometry"] for found in annotations] == [[0.5, 0.5, 0.4, 0.2], [0.1, 0.5, 0.2, 0.2]]
    (adjusted,) = [entry for entry in logs if entry["event"] == "annotations_adjusted"]
    assert (adjusted["under_a_mask"], adjusted["outside_of_the_picture"]) == (0, 1)


@pytest.mark.parametrize(
    ("space", "box"),
    [("stored", (20 / 160, 60 / 80, 20 / 160, 20 / 80)), ("displayed", (20 / 80, 20 / 160, 20 / 80, 20 / 160))],
)
def test_a_picture_on_its_side_is_set_upright_with_its_boxes(
    still: YardMaker, space: str, box: tuple[float, float, float, float]
) -> None:
    """Re-encoded for its crop, it needs no EXIF to be seen the right way up, and the box is where the object is.

    Whichever way up the program saw it that found the box.
    """
    yard = still(crop=(0.0, 0.0, 1.0, 0.5), annotations=AnnotationPlan(box_space=space))
    image = np.zeros((80, 160, 3), np.uint8)
    image[50:70, 10:30] = 255
    yard.put("a.jpg", with_orientation(bytes(cv2.imencode(".jpg", image)[1]), 6))
    yard.put("a.json", sidecar(box))
    item, pixels, annotations = one(yard)
    assert pixels.shape == (80, 80, 3)
    assert b"Exif" not in item.path.read_bytes()
    (x, y, width, height) = annotations[0]["geometry"]
    rows, columns = np.nonzero(pixels.max(axis=2) > 128)
    assert ((columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2) == pytest.approx(
        (x * 80, y * 80), abs=1
    )
    assert (width * 80, height * 80) == pytest.approx((20, 20))


def test_without_a_crop_or_a_mask_a_picture_is_sent_byte_for_byte(still: YardMaker) -> None:
    """Also one that lies on its side: its pixels, its EXIF and its boxes stay as they are."""
    yard = still()
    data = with_orientation(coded(".jpg", width=320, height=240), 6)
    picture = yard.put("a.jpg", data)
    yard.put("a.json", sidecar((0.25, 0.5, 0.2, 0.1)))
    item, _, annotations = one(yard)
    assert (item.sha256, item.path.stat().st_ino) == (sha(data), picture.stat().st_ino)
    assert annotations[0]["geometry"] == [0.25, 0.5, 0.2, 0.1]


def test_a_masked_picture_is_known_and_not_taken_twice(still: YardMaker) -> None:
    """What is remembered is the file, not what was made of it: a touched one is no news, a new one is."""
    yard = still(masks=(LEFT,))
    path = yard.put("a.jpg", coded(".jpg", width=320, height=240))
    yard.settle()
    os.utime(path, (1, 1))
    yard.settle()
    assert len(yard.items()) == 1
    yard.put("a.jpg", coded(".jpg", 5, width=320, height=240))
    yard.settle()
    assert len(yard.items()) == 2


def test_a_mask_that_cannot_be_applied_keeps_the_picture_here(still: YardMaker) -> None:
    """Where the picture does not decode nothing of it is taken, least of all its own bytes."""
    yard = still(masks=(LEFT,))
    yard.put("a.jpg", bytes.fromhex("ffd8ffc0000b080008000801011100ffda0008010100003f0012ffd9"))
    with capture_logs() as logs:
        yard.settle()
    assert yard.items() == []
    assert [entry["reason"] for entry in logs if entry["event"] == "file_rejected"] == ["it cannot be decoded"]


def test_a_picture_without_its_place_keeps_its_sidecar_beside_it(still: YardMaker) -> None:
    """It has bytes of its own, the same pixels, and so the same boxes: salvage finds them again."""
    yard = still()
    yard.watch._adopter._drafter._developer = Developer(yard.darkroom, Encoding(strip_gps=True), Recipe())
    data = coded(".jpg", width=320, height=240)
    place = bytes.fromhex("4949 2a00 0800 0000 0100 2588 0400 0100 0000 1a00 0000 0000 0000 0000 0000")
    block = b"\xff\xe1" + (len(place) + 8).to_bytes(2) + b"Exif\0\0" + place
    picture = yard.put("a.jpg", data[:2] + block + data[2:])
    yard.put("b.jpg", data)
    yard.put("a.json", sidecar((0.25, 0.5, 0.2, 0.2)))
    yard.settle()
    first, second = sorted(yard.items(), key=lambda item: str(item.origin))
    assert first.path.read_bytes().endswith(data[2:])
    assert b"\x25\x88" not in first.path.read_bytes()[: len(block)]
    assert picture.stat().st_nlink == 1
    assert first.beside is not None
    assert first.beside.samefile(yard.root / "a.json")
    assert second.path.samefile(yard.root / "b.jpg")
