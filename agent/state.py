"""Reads what the running daemon says of itself; apart from what writes it, which would make every `status` slower."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1


def read_state(path: Path) -> dict[str, Any] | None:
    """Return what a daemon wrote last, or None where nothing can be read."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return facts if isinstance(facts, dict) else None
