"""A server, a plug-in and a detector, each with the whole agent around it."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import pytest
from annotator_house import arrived, seen
from house_rig import KEY, House, arrive, photograph, until

sys.path.append(str(Path(__file__).parents[1] / "annotators"))  # which has the servers and models
sys.path.append(str(Path(__file__).parents[1] / "sources_camera"))  # which has a camera

from inference_server import inference
from models import SIDE, cell_finder, spotted
from test_camera_live import MjpegServer

if TYPE_CHECKING:
    from collections.abc import Iterator

PLUGIN = (
    "def look(jpeg):\n    return {'annotations': [{'class_value': str(len(jpeg)), 'geometry': [0.5, 0.5, 1, 1]}]}\n"
)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Return a house."""
    with House(tmp_path) as made:
        yield made


def test_a_server_looks_at_a_folders_pictures(house: House) -> None:
    """DeepStack's boxes arrive with the picture; the device's key never goes to it (I7)."""
    with inference() as server:
        url = f"{server.url}/v1/vision/detection"
        house.configure(annotator={"kind": "http", "preset": "deepstack", "url": url, "model_id": "yolo"})
        digest = arrive(house.watched / "a.jpg", data := photograph(1, width=400, height=200))
        house.once()
        metadata = arrived(house)[digest]
        assert metadata["annotations"][0]["geometry"] == [0.5, 0.5, 0.25, 0.5]
        assert (seen(metadata), metadata["model_id"]) == (["dent"], "yolo")
        ((_, headers, picture, _),) = server.requests
        assert picture == data
        assert KEY not in str(headers)
        house.check([digest])


def test_a_plug_in_looks_at_a_folders_pictures(house: House) -> None:
    """A package with an entry point is all that it takes."""
    info = house.root / "lib" / "seer-1.0.dist-info"
    info.mkdir(parents=True)
    (house.root / "lib" / "seer.py").write_text(PLUGIN, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: seer\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[acusight_agent.annotators]\nseer = seer:look\n", encoding="utf-8")
    house.environment["PYTHONPATH"] = str(house.root / "lib")
    house.configure(annotator={"kind": "python", "entry_point": "seer"})
    digests = {arrive(house.watched / f"{n}.jpg", data := photograph(n)): len(data) for n in range(2)}
    house.once()
    assert {digest: seen(found) for digest, found in arrived(house).items()} == {
        digest: [str(size)] for digest, size in digests.items()
    }


PLACES = [(0, 0), (1, 1), (2, 0), (3, 1)]


def detector(house: House, **camera: Any) -> None:  # noqa: ANN401 (a camera's settings)
    """Configure a video with a light in one place of each frame, and a detector that finds it."""
    writer = cv2.VideoWriter(str(house.root / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (128, 64))
    for place in PLACES:
        writer.write(spotted(*place))
    writer.release()
    cell_finder(house.root / "cells.onnx")
    house.configure(
        annotator={
            "kind": "cv2dnn",
            "model_file": "cells.onnx",
            "classes": ["light", "dark"],
            "input_size": SIDE,
            "min_confidence": 0.6,
            "model_id": "cells",
        },
        camera=[{"name": "clip", "source": "clip.avi", "interval_s": 0, **camera}],
        watch=[],
    )


def test_a_detector_looks_at_a_videos_frames(house: House) -> None:
    """Each frame arrives with the box where its light is, from the camera's own child: no other one is started."""
    detector(house)
    agent = house.run()
    house.settled(4)
    assert not any("annotators.detector" in line for line in house.living().values())
    # The state file is written once a second.
    until(lambda: "annotator cv2dnn at clip: 4 answered" in house.call("status").stdout, said=agent.tail)
    agent.stop()
    found = [metadata["annotations"] for metadata in arrived(house).values()]
    assert [[box["class_value"] for box in boxes] for boxes in found] == [["light"]] * 4
    centres = sorted((round(boxes[0]["geometry"][0], 1), round(boxes[0]["geometry"][1], 1)) for boxes in found)
    assert centres == sorted((round((x + 0.5) / 4, 1), round((y + 0.5) / 2, 1)) for x, y in PLACES)
    assert {metadata["model_id"] for metadata in arrived(house).values()} == {"cells"}


def test_a_detectors_boxes_decide_which_frames_are_sent(house: House) -> None:
    """Rules about its boxes are kept in the camera's child; what they kept and skipped is in the ledger."""
    rules = [{"name": "lights", "classes": ["light"]}, {"name": "rest", "keep": "no"}]
    detector(house, select={"rule": rules, "max_per_day": 3}, crop=[0.0, 0.0, 0.75, 1.0])
    house.once()
    assert len(arrived(house)) == 3
    source = json.loads(house.call("status", "--json").stdout)["sources"]["clip"]
    assert (source["captured"], source["chosen"]) == (3, {"lights": 3})
    assert sum(source["skipped"].values()) == 1


def test_by_the_rule_to_drop_frames_without_an_answer_are_on_record(house: House) -> None:
    """A model that is none: the video is read to its end, and each of its frames is a row in the ledger."""
    detector(house)
    (house.root / "cells.onnx").write_bytes(b"no model")
    settings = {"kind": "cv2dnn", "model_file": "cells.onnx", "input_size": SIDE, "on_failure": "drop"}
    house.configure(annotator=settings, camera=[{"name": "clip", "source": "clip.avi", "interval_s": 0}], watch=[])
    house.once()
    dropped = house.rows("SELECT reason, items FROM tally WHERE what = 'dropped'")
    assert dropped == [{"reason": "no answer from the annotator", "items": 4}]


SLOW = """
import time
import agent.annotators.sight as sight
real = sight.detector
def detector(plan):
    see = real(plan)
    def seen(pixels):
        time.sleep(1.8)
        return see(pixels)
    return seen
sight.detector = detector
"""


def test_i2_the_books_are_even_beside_a_slow_detector(house: House) -> None:
    """A live camera is grabbed on while a frame takes longer than its stall timeout; what passed is counted (I2)."""
    (house.root / "lib").mkdir()
    (house.root / "lib" / "sitecustomize.py").write_text(SLOW, encoding="utf-8")
    house.environment["PYTHONPATH"] = str(house.root / "lib")
    with closing(MjpegServer()) as server:
        detector(house, source=server.url, stall_timeout_s=1.0)
        agent = house.run()
        house.settled(2)
        until(lambda: bool(house.rows("SELECT * FROM tally WHERE reason = 'the annotator was busy'")), said=agent.tail)
        agent.stop()
        assert server.connections == 1
    assert not agent.events("source_lost")
    assert not agent.events("annotator_failed")
    assert all(seen(metadata) is not None for metadata in arrived(house).values())
    tally = {row["reason"] or row["what"]: row["items"] for row in house.rows("SELECT * FROM tally")}
    waiting = house.rows("SELECT count(*) AS n FROM item")[0]["n"]
    assert tally["the annotator was busy"] > 5
    assert tally["captured"] == tally["delivered"] + tally["the annotator was busy"] + waiting
