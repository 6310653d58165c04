"""A configuration file in a folder of its own, and the canary that must never be shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[..., Path]
CANARY = "adk_c0ffee0123456789"


@pytest.fixture
def canary() -> str:
    """Return the device key that no output may hold."""
    return CANARY


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a configuration and returns its path."""

    def write_config(text: str, mode: int = 0o600) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    return write_config
