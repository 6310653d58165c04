"""The settings of how sidecars are read."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from agent.annotations.formats import NAMES
from agent.annotations.plan import AUTO, SHARED_NAMES
from agent.config.fields import Pixels, Word, check_text

BoxSpace: TypeAlias = Literal["displayed", "stored"]
BoxSize: TypeAlias = tuple[Pixels, Pixels] | None
Shapes: TypeAlias = Literal["envelope", "skip"]
OnBadSidecar: TypeAlias = Literal["send_without", "wait", "quarantine"]


def _checked_formats(value: Any) -> tuple[str, ...]:  # noqa: ANN401 (whatever the file holds)
    """Return the names of formats, or `auto` alone; raises `ValueError` with a sentence."""
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f'must be "auto" or a list of formats: {", ".join(NAMES)}')
    for name in names:
        if name not in NAMES and tuple(names) != (AUTO,):
            close = get_close_matches(name, NAMES, n=1)
            raise ValueError(f"{name!r} is no format; {_meant(close)}")
    return tuple(names)


def _meant(close: list[str]) -> str:
    return f"did you mean {close[0]!r}?" if close else f'known are "auto" alone, or some of {", ".join(NAMES)}'


def _checked_classes(value: Any) -> tuple[str, ...] | Path:  # noqa: ANN401 (see above)
    """Return names, or the file that holds them; raises `ValueError` with a sentence."""
    if isinstance(value, str | Path) and str(value):
        return check_text(Path(value))
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) and name for name in value):
        raise ValueError('must be a list of names, such as ["scratch", "dent"], or the file that holds them')
    return tuple(value)


def _checked_names(value: Any) -> Any:  # noqa: ANN401 (see above)
    if isinstance(value, list | tuple) and any("/" in str(name) for name in value):
        raise ValueError("must be names of files, without folders")
    return value


Formats = Annotated[
    tuple[str, ...],
    BeforeValidator(_checked_formats),
    WithJsonSchema({"anyOf": [{"const": AUTO}, {"type": "array", "items": {"enum": list(NAMES)}, "minItems": 1}]}),
]
Classes = Annotated[
    tuple[str, ...] | Path,
    BeforeValidator(_checked_classes),
    WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "string"}]}),
]
SharedNames = Annotated[tuple[Word, ...], BeforeValidator(_checked_names)]


def formats_field() -> Any:  # noqa: ANN401 (as pydantic's own `Field`)
    """Return the field `annotations` of a watched folder."""
    return Field(
        default=(AUTO,),
        description='Which formats sidecars may have: "auto" tells by the content, or some of '
        + ", ".join(NAMES)
        + ".",
    )


def classes_field() -> Any:  # noqa: ANN401
    """Return the field `classes`."""
    return Field(
        default=(),
        description="Class names by index, for sidecars that hold numbers only; or a file with them: one a line, the "
        "`names` of a YOLO data.yaml, or JSON.",
    )


def box_space_field() -> Any:  # noqa: ANN401
    """Return the field `box_space`."""
    return Field(
        default="displayed",
        description='Where boxes were found: "displayed", on the picture as EXIF has it shown, which is what OpenCV '
        'and browsers do; or "stored", on its pixels as they lie in the file, which is what Pillow opens.',
    )


def box_size_field() -> Any:  # noqa: ANN401
    """Return the field `box_size`."""
    return Field(
        default=None,
        description="Width and height of what the model saw, in pixels, where sidecars hold pixels of another size "
        "than the picture's and do not say so.",
    )


def min_confidence_field() -> Any:  # noqa: ANN401
    """Return the field `min_confidence`."""
    return Field(
        default=0.0, ge=0, le=1, description="Leave out boxes of which the model was less sure than this, 0 to 1."
    )


def shapes_field() -> Any:  # noqa: ANN401
    """Return the field `shapes`."""
    return Field(
        default="envelope",
        description='What becomes of polygons, lines and turned boxes: "envelope", the upright box around them, or '
        '"skip".',
    )


def on_bad_sidecar_field() -> Any:  # noqa: ANN401
    """Return the field `on_bad_sidecar`."""
    return Field(
        default="send_without",
        description='What becomes of a picture whose sidecar cannot be read: "send_without" annotations, "wait" until '
        'the sidecar is mended, or "quarantine", where `queue retry` sends it without.',
    )


def shared_sidecars_field() -> Any:  # noqa: ANN401
    """Return the field `shared_sidecars`."""
    return Field(
        default=SHARED_NAMES,
        description="Names of files that hold the annotations of all pictures in their folder, in the order in which "
        "they count.",
    )
