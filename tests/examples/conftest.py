"""The world of the examples: made once, copied for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from warm_rig import WarmSandbox
from world_rig import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Return the world that each example gets a copy of."""
    root = tmp_path_factory.mktemp("world")
    with WarmSandbox(tmp_path_factory.mktemp("platform"), duplicates="accept") as sandbox:
        world = World(root, sandbox)
        world.prepare()
        yield world


@pytest.fixture
def world(past: World, tmp_path: Path) -> World:
    """Return a world of an example's own."""
    return past.copy(tmp_path)
