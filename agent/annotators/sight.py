"""What a detector sees in a camera's frames, as labels; for the thread of a `Lookout`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.annotations.boxes import box_inside
from agent.errors import Unanswered
from agent.frame import Annotation, Labels, Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.annotations.boxes import Geometry
    from agent.annotators.lookout import See
    from agent.annotators.plan import LookoutPlan


def detector(plan: LookoutPlan) -> See:
    """Load a detector; it and what it returns raise `Unanswered` where the model cannot be used."""
    from agent.annotators.detection import BadModel, Detection, Detector  # noqa: PLC0415 (only where cv2 is at home)

    try:
        made = Detector(Detection.of_json(plan.detection))
    except BadModel as error:
        raise Unanswered(str(error), away=True) from None
    model = Model(plan.model_id, plan.model_version)

    def see(pixels: Any) -> Labels:  # noqa: ANN401 (BGR pixels)
        try:
            return labels_of(made.look(pixels), model)
        except BadModel as error:
            raise Unanswered(str(error), away=True) from None

    return see


def labels_of(found: Sequence[tuple[str, Geometry, float]], model: Model) -> Labels:
    """Return what was found, cut at the picture's edges; what lies outside of it is counted."""
    boxes = [(name, box_inside(*geometry), confidence) for name, geometry, confidence in found]
    inside = tuple(
        Annotation(name, geometry, round(min(1.0, confidence), 6))
        for name, geometry, confidence in boxes
        if geometry is not None
    )
    return Labels(inside, model, dropped=len(boxes) - len(inside))
