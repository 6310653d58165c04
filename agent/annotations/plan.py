"""How the sidecars of one source are read, as the configuration says it."""

from __future__ import annotations

from dataclasses import dataclass

# What tools call a file that tells of all pictures beside it.
SHARED_NAMES = (
    "_annotations.coco.json",
    "annotations.json",
    "instances_default.json",
    "labels.json",
    "detections.json",
    "detections.csv",
    "info.labels",
    "bounding_boxes.labels",
)
AUTO = "auto"  # stands for all formats: the content tells


@dataclass(frozen=True, slots=True)
class AnnotationPlan:
    """How the sidecars of one source are read.

    `formats` are names, empty for whatever the content shows. `classes` are names by index, with empty texts in gaps.
    `box_space` is the space of the boxes: `displayed` as the picture is shown, `stored` as its pixels lie in the file;
    `box_size` the width and height that pixels are of, where that is not the picture's. `shapes` says what becomes of
    a polygon: its `envelope`, or `skip`; `on_bad` what becomes of a picture whose sidecar cannot be read. `shared` are
    the names of files that tell of all pictures in their folder.
    """

    formats: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    box_space: str = "displayed"
    box_size: tuple[int, int] | None = None
    min_confidence: float = 0.0
    shapes: str = "envelope"
    on_bad: str = "send_without"
    shared: tuple[str, ...] = SHARED_NAMES
