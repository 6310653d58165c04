"""The pictures of the tour: a scene whose boxes are known, with the sidecars that a model would have written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.demo.premises import disk
from agent.sandbox.scene import COLOURS, draw, jpeg

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.frame import Annotation

CLASSES = tuple(COLOURS)
SIZE = (640, 360)
STRIDE = 5  # frames of the scene from shot to shot
ORDERS = 2


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture with its sidecar, and which of the two is written first."""

    name: str
    picture: bytes
    boxes: tuple[Annotation, ...]
    sidecar_name: str
    sidecar: str
    sidecar_first: bool

    def files(self) -> Sequence[tuple[str, bytes]]:
        """Return both files, name and content, in the order in which they are written."""
        both = [(self.name, self.picture), (self.sidecar_name, self.sidecar.encode())]
        return both[::-1] if self.sidecar_first else both


def shots(count: int) -> list[Shot]:
    """Draw so many shots, no two alike: native sidecars and YOLO in turn, each before and after its picture."""
    return [_shot(number) for number in range(count)]


def write(folder: Path, name: str, content: bytes) -> None:
    """Put one file into a folder, plainly, as most programs do."""
    with disk(folder):
        (folder / name).write_bytes(content)


def _shot(number: int) -> Shot:
    pixels, boxes = draw(number * STRIDE, *SIZE)
    stem = f"belt-{number:02d}"
    native = number % 2 == 0
    return Shot(
        name=f"{stem}.jpg",
        picture=jpeg(pixels),
        boxes=boxes,
        sidecar_name=f"{stem}.annotations.json" if native else f"{stem}.txt",
        sidecar=_native(boxes) if native else _yolo(boxes),
        sidecar_first=number // 2 % ORDERS == 0,
    )


def _native(boxes: Sequence[Annotation]) -> str:
    annotations = [
        {"class_value": box.class_value, "type": "bbox", "geometry": box.geometry, "confidence": 0.9} for box in boxes
    ]
    return json.dumps({"schema": 1, "model": {"id": "belt", "version": "1"}, "annotations": annotations})


def _yolo(boxes: Sequence[Annotation]) -> str:
    lines = [f"{CLASSES.index(box.class_value)} {' '.join(f'{side:.6f}' for side in box.geometry)}" for box in boxes]
    return "".join(f"{line}\n" for line in lines)
