"""Masks and places from the configuration to the platform, through the real daemon."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import cv2
from house_rig import House, arrive, photograph

if TYPE_CHECKING:
    from pathlib import Path

# An EXIF block whose one entry is a place.
PLACE = bytes.fromhex(
    "ffe1 0034 457869660000 4d4d002a 00000008 0001 8825 0004 00000001 0000001a 00000000"
    "0001 0001 0002 00000002 4e000000 00000000"
)


def test_a_picture_arrives_without_its_place(tmp_path: Path) -> None:
    """`strip_gps` reaches the folder: what arrives has no location, the original in the folder has it still."""
    with House(tmp_path) as house:
        house.configure(watch=[{}], encode={"strip_gps": True})
        bare = photograph(1)
        before = bare[:2] + PLACE + bare[2:]
        arrive(house.watched / "a.jpg", before)
        arrive(house.watched / "b.jpg", bare)
        house.once()
        sent = sorted((path.read_bytes() for path in (house.sandbox.folder / "images").glob("*.jpg")), key=len)
        assert sent[0] == bare
        assert sent[1].endswith(bare[2:])
        assert len(sent[1]) == len(before)
        assert b"N\0\0\0\0\0\0\0" not in sent[1][: len(PLACE)]
        assert (house.watched / "a.jpg").read_bytes() == before


def test_a_programs_picture_arrives_masked(tmp_path: Path) -> None:
    """A camera's mask reaches what a `cmd:` program writes, and the platform gets nothing else."""
    with House(tmp_path) as house:
        arrive(house.root / "camera.jpg", photograph(1))
        script = house.root / "camera.py"
        script.write_text(
            "import pathlib, sys, time\n"
            f"data = pathlib.Path({str(house.root / 'camera.jpg')!r}).read_bytes()\n"
            "while True: sys.stdout.buffer.write(data); sys.stdout.flush(); time.sleep(0.1)\n"
        )
        house.configure(camera=[{"name": "belt", "source": f"cmd:{sys.executable} {script}", "mask": [[0, 0, 0.5, 1]]}])
        agent = house.run()
        house.arrived(1)
        agent.stop()
        for path in (house.sandbox.folder / "images").glob("*.jpg"):
            pixels = cv2.imread(str(path))
            assert pixels is not None
            assert pixels[:, :144].max() <= 3
            assert pixels[:, 176:].max() > 100
