"""The JSON schema of the configuration, for editors: as text, and as a file beside a configuration."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

from agent.config.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA_NAME = "acusight-agent.schema.json"
"""What lies beside a configuration, which names it in its first line."""


def schema_text() -> str:
    """Return the schema."""
    return json.dumps(Settings.model_json_schema(), indent=2) + "\n"


def write_schema(folder: Path) -> None:
    """Write the schema of this release into a configuration's folder; only editors miss it where that is refused."""
    new = folder / f".{SCHEMA_NAME}.new"
    with suppress(OSError):
        new.write_text(schema_text(), encoding="utf-8")
        new.chmod(0o644)
        new.replace(folder / SCHEMA_NAME)
