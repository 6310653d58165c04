"""The settings of what is worth the link, and of what goes first."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from agent.frame import PRIORITY


def priority_field() -> Any:  # noqa: ANN401 (as pydantic's own `Field`)
    """Return the field `priority` of a source."""
    return Field(
        default=PRIORITY,
        description="How important the source's pictures are, 0 to 9: a higher one is sent first, and gives way last "
        "when the spool is full.",
    )
