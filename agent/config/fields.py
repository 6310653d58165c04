"""The kinds of values that settings are made of, with their limits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic_core.core_schema import no_info_after_validator_function

from agent.config.secret import Secret
from agent.config.sizes import size_in_bytes
from agent.config.values import Values

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def _checked_name(name: str) -> str:
    if not NAME.fullmatch(name) or not name.strip("."):
        raise ValueError(
            "must be 1 to 64 letters, digits, dots, dashes or underscores, because it becomes part of file names; "
            'give the source one, such as name = "dock-1"'
        )
    return name


def check_text(path: Path) -> Path:
    """Return a path that the kernel can be asked for."""
    if "\0" in str(path):
        raise ValueError("must not hold a NUL character")
    return path


Name = Annotated[str, AfterValidator(_checked_name)]
FilePath = Annotated[Path, AfterValidator(check_text)]
Word = Annotated[str, Field(min_length=1)]
# A week bounds every wait: beyond some centuries the kernel's clocks overflow.
Seconds = Annotated[float, Field(ge=0, le=604_800)]
Share = Annotated[float, Field(ge=0, le=1)]
Timeout = Annotated[float, Field(gt=0, le=604_800)]
Bytes = Annotated[
    int,
    BeforeValidator(size_in_bytes),
    Field(ge=0, le=10**18),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "examples": ["500 MB"]}]}),
]
SecretText = Annotated[
    Secret,
    GetPydanticSchema(lambda _, handler: no_info_after_validator_function(Secret, handler(str))),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "format": "password", "writeOnly": True}),
]
Pixels = Annotated[int, Field(gt=0, le=65_535)]
Priority = Annotated[int, Field(ge=0, le=9)]
WhenFull = Literal["pause", "thin", "oldest", "newest"]


class Section(BaseModel):
    """One table of the configuration: frozen, closed, and silent about its values in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)


SectionT = TypeVar("SectionT", bound=Section)


def plain(section: SectionT) -> SectionT:
    """Return the values of a section that was checked; see `values` for why its type stays what it was."""
    fields = {name: _plain(getattr(section, name)) for name in type(section).model_fields}
    return cast("SectionT", Values(fields, section.model_fields_set))


def _plain(value: Any) -> Any:  # noqa: ANN401 (whatever a setting is made of)
    if isinstance(value, Section):
        return plain(value)
    return tuple(map(_plain, value)) if isinstance(value, tuple) else value
