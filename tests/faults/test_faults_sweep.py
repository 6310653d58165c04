from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import traced
from structlog.testing import capture_logs

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(bool(traced.missing()), reason=traced.missing())

EACH = 5


def test_i1_i2_i3_a_system_call_that_fails_or_kills_costs_nothing(tmp_path: Path) -> None:
    """Whichever fsync, write, rename, link or unlink fails, or is the last one ever, every promise is kept."""
    calls = traced.count_calls(tmp_path / "whole")
    assert calls.keys() >= {"fsync", "fdatasync", "pwrite64"}
    rng = random.Random(20260314)  # noqa: S311 (a seed, so that a failure can be repeated)
    for number, fault in enumerate(traced.sample(calls, rng, EACH)):
        with capture_logs():
            traced.suffer(tmp_path / str(number), fault)
