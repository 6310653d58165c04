"""What every test gets: a clock that is moved by hand, and the proof that no thread outlives its test."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

# A busy machine is not a slow function: what takes how long is measured elsewhere.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

# The suite starts the agent hundreds of times: compiled each time anew, that alone would take a minute.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell that starts the suite in the background has it ignore Ctrl-C, and what it starts would do so too.
signal.signal(signal.SIGINT, signal.default_int_handler)

WAITING = 2
"""How many tests wait at any time, for a daemon, a disk or a boot, and leave their processor to others."""
FIRST = ("service/test_boot", "faults/", "house/", "demo/", "commands/", "page/")
"""Where the files lie that take longest: begun last, one of them would run on alone."""


def pytest_xdist_auto_num_workers() -> int:
    """Run more tests at once than there are processors, as many of them wait."""
    return int(os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS") or len(os.sched_getaffinity(0)) + WAITING)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep what is collected out of the garbage collector's way: to go through it takes a fifth of the tests' time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long files."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        name = item.path.relative_to(here).as_posix()
        return next((number for number, place in enumerate(FIRST) if name.startswith(place)), len(FIRST))

    items.sort(key=rank)


class FakeClock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 14, 8, 15, 2, 417000, tzinfo=UTC)
        self.uptime = 1000.0
        self.is_trusted = True

    def wall(self) -> datetime:
        """Return the hand-set wall time."""
        return self.now

    def boot(self) -> float:
        """Return the hand-set uptime."""
        return self.uptime

    def trusted(self) -> bool:
        """Tell whether the wall time is right."""
        return self.is_trusted

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        self.now += timedelta(seconds=seconds)
        self.uptime += seconds


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock at 2026-03-14T08:15:02.417Z, 1000 s after boot."""
    return FakeClock()


@pytest.fixture(autouse=True)
def logging_of_its_own() -> Iterator[None]:
    """Undo what a command configured in this process: a level that it set would swallow what later tests look for."""
    yield
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def no_thread_outlives_its_test() -> Iterator[None]:
    """Fail the test that leaves a thread behind; half a second of grace for those just ending."""
    before = set(threading.enumerate())
    yield
    deadline = time.monotonic() + 0.5
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        for thread in left:
            thread.join(0.05)
    assert not left, f"threads left behind: {sorted(thread.name for thread in left)}"
