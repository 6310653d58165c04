"""A watched directory for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import pytest
from directory_rig import ROOMY, Plan, Yard, YardMaker, refuse_inotify

from agent.sources import notices

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent.clock import Clock
    from agent.spool.budget import Limits


@pytest.fixture
def still(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[YardMaker]:
    """Return a maker of yards on the hand-set clock; the kernel grants no events, so the walks find all."""
    monkeypatch.setattr(notices, "Observer", refuse_inotify)
    yield from _maker(tmp_path, clock)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[YardMaker]:
    """Return a maker of yards on the machine's clock, with its inotify."""
    yield from _maker(tmp_path, None)


def _maker(folder: Path, clock: Clock | None) -> Iterator[YardMaker]:
    yards: list[Yard] = []

    def make(*, limits: Limits = ROOMY, **plan: Unpack[Plan]) -> Yard:
        yards.append(Yard(folder, clock, limits=limits, **plan))
        return yards[-1]

    yield make
    for yard in yards:
        yard.close()
