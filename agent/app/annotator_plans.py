"""From the settings of `[annotator]` to the plans of its kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.annotations.plan import AnnotationPlan
from agent.annotators.plan import AnnotatorPlan, Shape
from agent.annotators.requests import OBJECTS, RequestPlan, language_model
from agent.config.class_names import read_classes
from agent.frame import Model

if TYPE_CHECKING:
    from agent.config.annotators import AnnotatorSettings


def class_names(settings: AnnotatorSettings) -> tuple[str, ...]:
    """Return class names by index; raises `ConfigError` where the file that holds them is gone."""
    return settings.classes if isinstance(settings.classes, tuple) else read_classes(settings.classes)


def annotator_plan(settings: AnnotatorSettings) -> AnnotatorPlan:
    """Return how pictures are looked at that come without a sidecar."""
    preset = settings.preset if settings.kind == "http" else ""
    return AnnotatorPlan(
        name=(settings.kind or "") if preset in {"", "generic"} else preset,
        timeout_s=settings.timeout_s,
        start_timeout_s=settings.start_timeout_s,
        on_failure=settings.on_failure,
        reading=AnnotationPlan(
            formats=(preset,) if preset in {"roboflow", "deepstack"} else (),
            classes=class_names(settings),
            box_space=settings.box_space,
            box_size=settings.box_size,
            min_confidence=settings.min_confidence,
        ),
        model=Model(settings.model_id, settings.model_version),
        shape=OBJECTS if preset == "ollama" else _shape(settings) if preset == "generic" else None,
    )


def _shape(settings: AnnotatorSettings) -> Shape | None:
    if not settings.answer_list:
        return None
    return Shape(
        entries=tuple(settings.answer_list.split(".")),
        label=settings.label_key,
        confidence=settings.confidence_key,
        box=settings.box_keys,
        form=settings.box_form,
        unit=settings.box_unit,
    )


def request_plan(settings: AnnotatorSettings) -> RequestPlan:
    """Return what a server is asked."""
    url = settings.url or ""
    headers = {name.lower(): value.get_secret_value() for name, value in settings.headers.items()}
    if settings.preset == "roboflow":
        return RequestPlan(url, "base64", headers=headers)
    if settings.preset == "deepstack":
        least = {"min_confidence": settings.min_confidence} if settings.min_confidence else {}
        return RequestPlan(url, members={**least, **settings.body_members}, headers=headers)
    if settings.preset == "ollama":
        asked = language_model(settings.language_model or "", settings.prompt, class_names(settings))
        members = {**asked, **settings.body_members}
        return RequestPlan(url, "json", "images", members, headers, listed=True, within="response")
    return RequestPlan(url, settings.body, settings.body_field, settings.body_members, headers)


def detection_plan(settings: AnnotatorSettings) -> dict[str, Any]:
    """Return how a detector is run, as the child processes are told it."""
    return {
        "model_file": str(settings.model_file),
        "classes": list(class_names(settings)),
        "input_size": settings.input_size,
        "min_confidence": settings.min_confidence,
        "overlap": settings.overlap,
        "head": settings.head,
    }
