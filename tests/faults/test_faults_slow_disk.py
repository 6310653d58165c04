from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

import pytest
import traced
from house_rig import House, arrive, photograph, video
from slow_disk import flushes, pictures_a_second, slow_flushes

from agent.receipts import BOUND
from agent.sources.directory import BATCH

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(bool(traced.missing()), reason=traced.missing())

FILES, FRAMES = 150, 60
FEWEST = 2 * math.ceil(FILES / BATCH) + math.ceil(FILES / BOUND)  # bytes and rows of full batches, and their receipts


def test_a_card_that_takes_ten_milliseconds_a_flush_keeps_up(tmp_path: Path) -> None:
    """Files share most of their flushes, a frame has three of its own; both come in faster than cameras make them."""
    with House(tmp_path) as house:
        agent = house.run()
        with slow_flushes(agent, tmp_path / "trace"):
            digests = [arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(FILES)]
            house.settled(FILES)
        files = pictures_a_second(agent, "captures")
        agent.stop()
        frames = video(tmp_path / "belt.avi", FRAMES)
        house.configure(camera=[{"name": "belt", "source": str(tmp_path / "belt.avi"), "interval_s": 0}])
        agent = house.run()
        with slow_flushes(agent, tmp_path / "trace-frames"):
            house.settled(FILES + FRAMES)
        taken = pictures_a_second(agent, "belt")
        agent.stop()
        assert FEWEST <= flushes(tmp_path / "trace") <= 2 * FILES
        house.check([*digests, *frames])
        sys.stdout.write(f"10 ms a flush: {files:.0f} files a second, {taken:.0f} frames a second\n")
        assert files > 15
        assert taken > 5
