"""The settings of what a picture shows: the part that is cut out of it, and the parts that nobody may see."""

from __future__ import annotations

import math
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from agent.pictures.masks import crosses_itself

Rectangle: TypeAlias = tuple[float, float, float, float]
Corners: TypeAlias = tuple[tuple[float, float], ...]

_SIDES, _LEAST_CORNERS, _MOST_CORNERS, _MOST_MASKS = 4, 3, 100, 100
_EDGE = 1.0 + 1e-6
_SHAPE = "must be [x, y, width, height] in fractions of the picture, such as [0.1, 0.0, 0.8, 1.0]"
_CORNERS = (
    "must be [x, y, width, height] or three corners or more, [[x, y], [x, y], [x, y]], in fractions of the picture"
)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _fractions(values: Any, sentence: str) -> tuple[float, ...]:  # noqa: ANN401 (whatever the file holds)
    """Return numbers from 0 to 1; raises `ValueError` for all else."""
    numbers = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(sentence)
        if value > _EDGE:
            raise ValueError("must be fractions from 0 to 1, not pixels: divide by the picture's width and height")
        if value < 0:
            raise ValueError("must lie within the picture: fractions from 0 to 1")
        numbers.append(float(value))
    return tuple(numbers)


def _rectangle(value: Any, sentence: str) -> Rectangle:  # noqa: ANN401 (see above)
    if not _is_list(value) or len(value) != _SIDES:
        raise ValueError(sentence)
    x, y, width, height = _fractions(value, sentence)
    if not width or not height:
        raise ValueError("must have a width and a height")
    if x + width > _EDGE or y + height > _EDGE:
        raise ValueError("must lie within the picture: x + width and y + height are at most 1")
    return x, y, width, height


def checked_crop(value: object) -> Rectangle | None:
    """Return what a person wrote as `crop`; raises `ValueError` with a sentence."""
    return None if value is None else _rectangle(value, _SHAPE)


def checked_masks(value: object) -> tuple[Corners, ...]:
    """Return what a person wrote as `mask`, each as its corners; raises `ValueError` with a sentence."""
    if not _is_list(value):
        raise ValueError("must be a list of masks: [[x, y, width, height], …]")
    entries: Any = value
    if entries and not any(map(_is_list, entries)):
        raise ValueError("must be a list of masks, one too: [[x, y, width, height]]")
    if len(entries) > _MOST_MASKS:
        raise ValueError(f"must be {_MOST_MASKS} masks at most")
    return tuple(map(_mask, entries))


def _mask(entry: Any) -> Corners:  # noqa: ANN401 (see above)
    if not _is_list(entry) or not any(map(_is_list, entry)):
        x, y, width, height = _rectangle(entry, _CORNERS)
        return (x, y), (x + width, y), (x + width, y + height), (x, y + height)
    pairs = [pair for pair in entry if _is_list(pair) and len(pair) == len("xy")]
    if not _LEAST_CORNERS <= len(pairs) == len(entry) <= _MOST_CORNERS:
        raise ValueError(_CORNERS)
    corners = tuple((x, y) for x, y in (_fractions(pair, _CORNERS) for pair in pairs))
    if crosses_itself(corners):
        raise ValueError("must name its corners in their order around: the sides of this mask cross")
    return corners


_PAIR = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}}
_FOUR = _PAIR | {"minItems": _SIDES, "maxItems": _SIDES}
_AROUND = {"type": "array", "minItems": _LEAST_CORNERS, "items": _PAIR | {"minItems": 2, "maxItems": 2}}

Crop = Annotated[Rectangle | None, BeforeValidator(checked_crop), WithJsonSchema({"anyOf": [_FOUR, {"type": "null"}]})]
Masks = Annotated[
    tuple[Corners, ...],
    BeforeValidator(checked_masks),
    WithJsonSchema({"type": "array", "items": {"anyOf": [_FOUR, _AROUND]}}),
]


def crop_field() -> Any:  # noqa: ANN401 (as pydantic's own `Field`)
    """Return the field `crop` of a source."""
    return Field(
        default=None,
        description="The part of the picture to send, as it is shown: [x, y, width, height] in fractions, 0 to 1; by "
        "default all of it.",
    )


def mask_field() -> Any:  # noqa: ANN401 (see above)
    """Return the field `mask` of a source."""
    return Field(
        default=(),
        description="Privacy masks, blackened before a picture is stored or sent: rectangles [x, y, width, height] or "
        "corners [[x, y], [x, y], [x, y], …] in fractions of the whole picture, as it is shown.",
    )
