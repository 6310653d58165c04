"""Writes boxes in every format, as its tool would; the opposite of the readers, and knowing nothing of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CLASSES = ("dent", "scratch")


class Pixels(NamedTuple):
    """A box in pixels, its class by index, and how sure the model was."""

    left: float
    top: float
    right: float
    bottom: float
    number: int
    score: float

    @property
    def name(self) -> str:
        """The class by name."""
        return CLASSES[self.number]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top


def _shares(box: Pixels, width: int, height: int) -> list[float]:
    """Return centre and size as shares."""
    across, down = box.size
    return [(box.left + across / 2) / width, (box.top + down / 2) / height, across / width, down / height]


def _corner_shares(box: Pixels, width: int, height: int) -> list[float]:
    """Return the upper left corner and the size as shares."""
    across, down = box.size
    return [box.left / width, box.top / height, across / width, down / height]


def _native(boxes: Sequence[Pixels], width: int, height: int) -> object:
    return {
        "annotations": [
            {"class_value": box.name, "geometry": _shares(box, width, height), "confidence": box.score} for box in boxes
        ]
    }


def _yolo(boxes: Sequence[Pixels], width: int, height: int) -> object:
    return "".join(
        f"{box.number} {' '.join(f'{side:.8f}' for side in _shares(box, width, height))} {box.score:.6f}\n"
        for box in boxes
    )


def _ultralytics(boxes: Sequence[Pixels], _width: int, _height: int) -> object:
    return [
        {
            "name": box.name,
            "class": box.number,
            "confidence": box.score,
            "box": {"x1": box.left, "y1": box.top, "x2": box.right, "y2": box.bottom},
        }
        for box in boxes
    ]


def _coco(boxes: Sequence[Pixels], width: int, height: int) -> object:
    return {
        "images": [{"id": 4, "file_name": "belt.jpg", "width": width, "height": height}],
        "annotations": [
            {"image_id": 4, "category_id": box.number, "bbox": [box.left, box.top, *box.size], "score": box.score}
            for box in boxes
        ],
        "categories": [{"id": index, "name": name} for index, name in enumerate(CLASSES)],
    }


def _coco_results(boxes: Sequence[Pixels], _width: int, _height: int) -> object:
    return [
        {"image_id": "belt", "category_id": box.number, "bbox": [box.left, box.top, *box.size], "score": box.score}
        for box in boxes
    ]


def _labelme(boxes: Sequence[Pixels], width: int, height: int) -> object:
    return {
        "shapes": [
            {
                "label": box.name,
                "points": [[box.right, box.top], [box.left, box.bottom]],
                "shape_type": "rectangle",
                "score": box.score,
            }
            for box in boxes
        ],
        "imageWidth": width,
        "imageHeight": height,
    }


def _voc(boxes: Sequence[Pixels], width: int, height: int) -> object:
    objects = "".join(
        f"<object><name>{box.name}</name><bndbox><xmin>{box.left!r}</xmin><ymin>{box.top!r}</ymin>"
        f"<xmax>{box.right!r}</xmax><ymax>{box.bottom!r}</ymax></bndbox></object>"
        for box in boxes
    )
    return f"<annotation><size><width>{width}</width><height>{height}</height></size>{objects}</annotation>"


def _roboflow(boxes: Sequence[Pixels], width: int, height: int) -> object:
    return {
        "image": {"width": width, "height": height},
        "predictions": [
            {
                "x": (box.left + box.right) / 2,
                "y": (box.top + box.bottom) / 2,
                "width": box.size[0],
                "height": box.size[1],
                "class": box.name,
                "confidence": box.score,
            }
            for box in boxes
        ],
    }


def _supervision(boxes: Sequence[Pixels], _width: int, _height: int) -> object:
    return [
        {
            "x_min": box.left,
            "y_min": box.top,
            "x_max": box.right,
            "y_max": box.bottom,
            "class_id": box.number,
            "confidence": box.score,
            "tracker_id": "",
        }
        for box in boxes
    ]


def _supervision_csv(boxes: Sequence[Pixels], _width: int, _height: int) -> object:
    rows = "".join(
        f"{box.left!r},{box.top!r},{box.right!r},{box.bottom!r},{box.number},{box.score!r},,{box.name}\n"
        for box in boxes
    )
    return f"x_min,y_min,x_max,y_max,class_id,confidence,tracker_id,class_name\n{rows}"


def _kitti(boxes: Sequence[Pixels], _width: int, _height: int) -> object:
    return "".join(
        f"{box.name} {number + 1} 0.0 0 0.0 {box.left:.6f} {box.top:.6f} {box.right:.6f} {box.bottom:.6f} "
        f"0.0 0.0 0.0 0.0 0.0 0.0 0.0 {box.score:.6f}\n"
        for number, box in enumerate(boxes)
    )


def _edge_impulse(boxes: Sequence[Pixels], _width: int, _height: int) -> object:
    rows = [
        {"label": box.name, "x": box.left, "y": box.top, "width": box.size[0], "height": box.size[1]} for box in boxes
    ]
    return {"version": 1, "files": [{"path": "belt.jpg", "boundingBoxes": rows}]}


def _fiftyone(boxes: Sequence[Pixels], width: int, height: int) -> object:
    rows = [
        {"label": box.name, "bounding_box": _corner_shares(box, width, height), "confidence": box.score}
        for box in boxes
    ]
    return {"_cls": "Detections", "detections": rows}


def _label_studio(boxes: Sequence[Pixels], width: int, height: int) -> object:
    regions = []
    for box in boxes:
        x, y, across, down = (100 * side for side in _corner_shares(box, width, height))
        value = {"x": x, "y": y, "width": across, "height": down, "rotation": 0, "rectanglelabels": [box.name]}
        regions.append({"type": "rectanglelabels", "value": value, "score": box.score})
    return [{"data": {"image": "belt.jpg"}, "predictions": [{"model_version": "", "result": regions}]}]


def _hugging_face(boxes: Sequence[Pixels], _width: int, _height: int) -> object:
    return [
        {
            "label": box.name,
            "score": box.score,
            "box": {"xmin": box.left, "ymin": box.top, "xmax": box.right, "ymax": box.bottom},
        }
        for box in boxes
    ]


def _deepstack(boxes: Sequence[Pixels], _width: int, _height: int) -> object:
    rows = [
        {
            "label": box.name,
            "confidence": box.score,
            "x_min": box.left,
            "y_min": box.top,
            "x_max": box.right,
            "y_max": box.bottom,
        }
        for box in boxes
    ]
    return {"success": True, "predictions": rows}


def _frigate(boxes: Sequence[Pixels], _width: int, _height: int) -> object:
    return [{"type": "new", "after": {"label": box.name, "score": box.score, "box": list(box[:4])}} for box in boxes]


WRITERS: dict[tuple[str, str], Callable[[Sequence[Pixels], int, int], object]] = {
    ("native", ".json"): _native,
    ("yolo", ".txt"): _yolo,
    ("ultralytics", ".json"): _ultralytics,
    ("coco", ".json"): _coco,
    ("coco-results", ".json"): _coco_results,
    ("labelme", ".json"): _labelme,
    ("voc", ".xml"): _voc,
    ("roboflow", ".json"): _roboflow,
    ("supervision", ".json"): _supervision,
    ("supervision", ".csv"): _supervision_csv,
    ("kitti", ".txt"): _kitti,
    ("edge-impulse", ".labels"): _edge_impulse,
    ("fiftyone", ".json"): _fiftyone,
    ("label-studio", ".json"): _label_studio,
    ("hugging-face", ".json"): _hugging_face,
    ("deepstack", ".json"): _deepstack,
    ("frigate", ".json"): _frigate,
}


def written(form: tuple[str, str], boxes: Sequence[Pixels], width: int, height: int) -> bytes:
    """Return a file of some format."""
    document = WRITERS[form](boxes, width, height)
    return (document if isinstance(document, str) else json.dumps(document)).encode()
