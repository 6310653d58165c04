from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from house_rig import House, arrive, photograph, until, video

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ["scratch", "dent"]
BOXES = {
    "class_value": ["dent", "scratch"],
    "geometry": [[0.5, 0.25, 0.2, 0.1], [0.1, 0.9, 0.05, 0.08]],
}


def fill(house: House, count: int, *, first: int = 0) -> dict[str, int]:
    """Put photographs into the watched folder, JPEG and PNG; every other one has a YOLO sidecar, some a native one."""
    seeds = {}
    for seed in range(first, first + count):
        suffix = ".png" if seed % 5 == 4 else ".jpg"
        stem = house.watched / f"part-{seed:03d}"
        if seed % 2 == 0:
            arrive(stem.with_suffix(".txt"), f"1 0.5 0.25 0.2 0.1\n0 0.1 0.9 0.05 0.0{seed % 9 + 1} 0.87\n".encode())
        elif seed % 3 == 0:
            arrive(stem.with_suffix(".json"), json.dumps(native(seed)).encode())
        seeds[arrive(stem.with_suffix(suffix), photograph(seed, suffix=suffix))] = seed
    return seeds


def native(seed: int) -> dict[str, Any]:
    """Return a sidecar in the agent's own format."""
    box = {"class_value": "dent", "type": "bbox", "geometry": [0.5, 0.5, 0.2, (seed % 9 + 1) / 100], "confidence": 0.9}
    return {"schema": 1, "model": {"id": "m-7", "version": "3"}, "annotations": [box]}


def boxes(metadata: dict[str, Any]) -> list[tuple[Any, ...]] | None:
    """Return the boxes that the platform was told of."""
    told = metadata.get("annotations")
    return None if told is None else [(box["class_value"], box["type"], *box["geometry"]) for box in told]


def right_boxes(seed: int) -> list[tuple[Any, ...]] | None:
    """Return the boxes that the sidecar of a seed says."""
    height = (seed % 9 + 1) / 100
    if seed % 2 == 0:
        return [("dent", "bbox", 0.5, 0.25, 0.2, 0.1), ("scratch", "bbox", 0.1, 0.9, 0.05, height)]
    return [("dent", "bbox", 0.5, 0.5, 0.2, height)] if seed % 3 == 0 else None


def check_pictures(house: House, seeds: dict[str, int]) -> None:
    """Hold every picture of the folder against what the platform was told of it."""
    told = {
        upload["sha256"]: upload for upload in house.sandbox.uploads() if upload["metadata"]["source"] == "captures"
    }
    assert told.keys() == seeds.keys()
    for digest, seed in seeds.items():
        metadata = told[digest]["metadata"]
        assert boxes(metadata) == right_boxes(seed), seed
        named = ("m-7", "3") if seed % 2 and seed % 3 == 0 else ("m-1", None)
        assert (metadata["model_id"], metadata.get("model_version")) == named
        assert told[digest]["media_type"] == ("image/png" if seed % 5 == 4 else "image/jpeg")


def check_frames(house: House, digests: list[str]) -> None:
    """Hold the frames of the video against their digests, in the order in which they were captured."""
    frames = [upload for upload in house.sandbox.uploads() if upload["metadata"]["source"] == "belt"]
    # One waits for a retry while the next goes: what counts is the order of the sequence numbers.
    frames.sort(key=lambda upload: int(upload["filename"].rpartition("-")[2].partition(".")[0]))
    assert [upload["sha256"] for upload in frames] == digests
    stamps = [upload["metadata"]["timestamp"] for upload in frames]
    assert stamps == sorted(stamps)
    assert len(set(stamps)) == len(stamps)


def both(house: House, count: int, frames: int) -> tuple[dict[str, int], list[str]]:
    """Set up a folder and a video file."""
    digests = video(house.root / "belt.avi", frames)
    camera = {"name": "belt", "source": str(house.root / "belt.avi"), "interval_s": 0}
    house.configure(watch=[{"classes": CLASSES}], camera=[camera], model={"id": "m-1"})
    return fill(house, count), digests


def test_a_folder_and_a_video_arrive_with_the_right_boxes(tmp_path: Path) -> None:
    """Photographs arrive byte for byte with their sidecars' boxes, a video frame by frame in order; all once (I2)."""
    with House(tmp_path) as house:
        seeds, frames = both(house, 20, 30)
        house.once()
        check_pictures(house, seeds)
        check_frames(house, frames)
        assert house.check([*seeds, *frames]) == {"delivered": 50}
        again = house.once()
        assert not again.events("item_spooled")
        assert house.check([*seeds, *frames]) == {"delivered": 50}


def test_an_outage_in_the_first_half_costs_nothing(tmp_path: Path) -> None:
    """With the sandbox down at first everything is kept, and arrives when it is back (I2, I6)."""
    with House(tmp_path) as house:
        house.sandbox.kill()
        seeds, frames = both(house, 12, 20)
        agent = house.run()
        until(lambda: house.rows("SELECT count(*) AS n FROM item")[0]["n"] == 32)
        agent.until("link_paused")
        house.sandbox.start()
        seeds |= fill(house, 12, first=12)
        house.settled(44)
        agent.stop()
        check_pictures(house, seeds)
        check_frames(house, frames)
        assert house.check([*seeds, *frames])["delivered"] == 44
        assert not agent.events("item_quarantined")


def test_a_platform_that_dies_in_the_middle_costs_nothing(tmp_path: Path) -> None:
    """With the sandbox killed under way and started again everything arrives once (I2)."""
    with House(tmp_path) as house:
        seeds, frames = both(house, 30, 40)
        house.fault(delay_s=0.02)
        agent = house.run()
        house.arrived(10)
        house.sandbox.kill()
        agent.until("link_paused")
        house.sandbox.start()
        house.settled(70)
        agent.stop()
        check_pictures(house, seeds)
        check_frames(house, frames)
        assert house.check([*seeds, *frames]).total() == 70


def test_a_lost_answer_is_met_with_the_same_bytes_again(tmp_path: Path) -> None:
    """What was stored but not answered is sent again under its filename; the refusal is its receipt (I3)."""
    with House(tmp_path) as house:
        house.configure(upload={"workers": 1})
        house.fault(drop="after", count=1)
        seeds = fill(house, 3)
        agent = house.once()
        assert house.sandbox.requests()["upload"] == {"dropped": 1, "409": 1, "201": 2}
        assert house.check(seeds) == {"delivered": 2, "duplicate": 1}
        receipts = house.rows("SELECT filename, result, outcome_unknown FROM receipt ORDER BY item_id")
        assert [(row["result"], row["outcome_unknown"]) for row in receipts] == [
            ("duplicate", 1),
            ("delivered", 0),
            ("delivered", 0),
        ]
        kept = house.sandbox.uploads()
        assert kept[0]["filename"] == receipts[0]["filename"]
        assert agent.events("item_delivered")[0]["result"] == "duplicate"


def test_an_upload_cut_off_before_it_was_stored_is_sent_again(tmp_path: Path) -> None:
    """A connection that breaks costs neither the picture nor an attempt (I3, I6)."""
    with House(tmp_path) as house:
        house.fault(drop="before", count=1)
        seeds = fill(house, 4)
        house.once()
        assert house.check(seeds) == {"delivered": 4}
        assert {row["attempts"] for row in house.rows("SELECT attempts FROM receipt")} == {1}
