"""The detector child: pictures of folders and programs, looked at by an ONNX model.

Started as `python -m agent.annotators.detector PARENT`; the first line of its input is the plan of the detection.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from agent.annotators.serving import Unseen, private_output, serve
from agent.tether import die_with

if TYPE_CHECKING:
    from agent.annotators.detection import Detector


def said(found: list[tuple[str, tuple[float, float, float, float], float]]) -> dict[str, Any]:
    """Return what a detector saw, as an answer."""
    return {
        "annotations": [
            {"class_value": name, "type": "bbox", "geometry": geometry, "confidence": round(min(1.0, confidence), 6)}
            for name, geometry, confidence in found
        ]
    }


def load(plan: dict[str, Any]) -> Detector:
    """Return the loaded model; ends the process with a sentence where it cannot be loaded."""
    try:
        from agent.annotators.detection import BadModel, Detection, Detector  # noqa: PLC0415 (its absence is an answer)
    except ImportError as error:
        sys.exit(f"OpenCV cannot be loaded ({error}). Install it: pip install 'acusight-agent[camera]'.")
    try:
        return Detector(Detection.of_json(plan))
    except BadModel as error:
        sys.exit(str(error))


def looker(detector: Detector) -> Any:  # noqa: ANN401 (a function of a JPEG)
    """Return what decodes a JPEG as it is shown and has it looked at."""
    import cv2  # noqa: PLC0415 (it is there: the model is loaded)
    import numpy as np  # noqa: PLC0415

    from agent.annotators.detection import BadModel  # noqa: PLC0415

    def look(jpeg: bytes) -> dict[str, Any]:
        try:
            pixels = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            pixels = None
        if pixels is None:
            raise Unseen("it cannot be decoded")
        try:
            return said(detector.look(pixels))
        except BadModel as error:
            sys.exit(str(error))

    return look


def main(parent: int) -> None:
    """Serve pictures until there are no more."""
    die_with(parent)
    answers = private_output()
    serve(looker(load(json.loads(sys.stdin.buffer.readline()))), answers)


if __name__ == "__main__":
    main(int(sys.argv[1]))
