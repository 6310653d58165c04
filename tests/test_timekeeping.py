from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from clock_rig import set_clock, sleeps
from house_rig import NOBODY, until

from agent.annotations.metadata import metadata_json
from agent.app.house import House as Builder
from agent.bulletin import Bulletin
from agent.clock import Stamp, boot_id, utc_text
from agent.config.environment import parse_environment
from agent.config.load import load
from agent.daemon import Daemon
from agent.frame import Model
from agent.service import Notifier, Signals
from agent.spool.records import Draft
from agent.timekeeping import FRESH_S, LONG_S, SOON_S, rest_s

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import FakeClock

    from agent.pipeline import Pipeline

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AGES = (0.0, 0.001, 2.0, 9.999, 10.0, 60.0, 3600.0, 40 * 86_400.0)


class TestRest:
    """How long the clock is left alone."""

    @pytest.mark.parametrize("trusted", [True, False])
    @pytest.mark.parametrize("told", [True, False])
    @pytest.mark.parametrize("age", AGES)
    def test_every_case(self, age: float, *, trusted: bool, told: bool) -> None:
        """Soon after a step, and wherever nobody would tell of one that is still to come; else seldom."""
        soon = age < 10 or not (trusted or told)
        assert rest_s(age, trusted=trusted, told=told) == (2.0 if soon else 60.0)

    @pytest.mark.parametrize("told", [True, False])
    def test_a_mark_that_comes_after_the_step_is_seen_soon(self, *, told: bool) -> None:
        """In the seconds after a step no two looks are further apart than two seconds, wherever they began."""
        looks, now = list[float](), 0.0
        while now < FRESH_S:
            looks.append(now)
            now += rest_s(now, trusted=False, told=told)
        assert max(after - before for before, after in zip(looks, [*looks[1:], now], strict=True)) <= 2.0

    def test_a_box_without_a_time_service_sleeps(self) -> None:
        """In an hour after the start it looks no more often than a box whose clock is kept, about once a minute."""
        looks, now = 0, 0.0
        while now < 3600:
            looks += 1
            now += rest_s(now, trusted=False, told=True)
        assert looks <= 3600 / LONG_S + FRESH_S / SOON_S


class House:
    """A pipeline of which only the timekeeping runs, and the daemon over it; the clock is moved by hand."""

    def __init__(self, daemon: Daemon, pipeline: Pipeline, clock: FakeClock) -> None:
        self.daemon = daemon
        self.pipeline = pipeline
        self._clock = clock
        self._bulletin = Bulletin(pipeline, daemon._configuration, clock=clock)

    def capture(self) -> None:
        """Put what a clock labelled that had begun at 1970 with the boot, a minute ago."""
        boot_s = self._clock.uptime - 60
        labelled = EPOCH + timedelta(seconds=boot_s)
        metadata = metadata_json(source="cam-1", captured_at=labelled, model=Model("m-1"), labels=None)
        draft = Draft.of_bytes(
            b"picture",
            source="cam-1",
            captured_at=labelled,
            media_type="image/jpeg",
            metadata=metadata,
            stamp=Stamp(boot_id(), boot_s, trusted=False),
        )
        inbox = self.pipeline.spool.inbox
        inbox.commit([inbox.stage(draft)])

    def tick(self) -> None:
        """Let the main thread look around."""
        self.daemon._look(self.pipeline, self.daemon._state_file(), self._bulletin)

    def rest(self) -> None:
        """Have the timekeeping rest as it does when the clock was set long ago."""
        watch = self.pipeline.timekeeping._watch
        until(lambda: watch.tells)
        for _ in range(2):  # once it has heard one wake, the start is behind it
            self._clock.advance(FRESH_S)
            watch.wake()
            until(lambda: not self._is_woken())
        [thread] = self.pipeline.nursery._threads
        until(lambda: sleeps(thread))

    def _is_woken(self) -> bool:
        """Tell whether a wake is still to be heard."""
        assert self.pipeline.timekeeping._watch._open is not None
        bell = self.pipeline.timekeeping._watch._open[1].descriptor
        told = Path(f"/proc/self/fdinfo/{bell}").read_text(encoding="ascii")
        return re.search(r"^eventfd-count:\s*0$", told, re.MULTILINE) is None

    def is_corrected(self) -> bool:
        """Tell whether what was captured has its right time."""
        with closing(sqlite3.connect(f"file:{self.pipeline.spool.directory}/index.sqlite3?mode=ro", uri=True)) as index:
            [(time,)] = index.execute("SELECT captured_at FROM item").fetchall()
        return bool(time == utc_text(self._clock.now - timedelta(seconds=60)))


@pytest.fixture
def house(tmp_path: Path, clock: FakeClock) -> Iterator[House]:
    """Give a house whose clock is wrong, and in which the timekeeping sleeps."""
    config = tmp_path / "config.toml"
    config.write_text(f'[server]\nurl = "{NOBODY}"\ndevice_key = "adk_01"\n[spool]\ndir = "spool"\n', encoding="utf-8")
    config.chmod(0o600)
    environment = parse_environment({}, tmp_path)
    configuration = load(config, environment)
    clock.is_trusted = False
    pipeline = Builder(configuration, environment, clock=clock).pipeline()
    with Signals() as signals:
        daemon = Daemon(
            configuration,
            environment,
            build=lambda _: pipeline,
            reload=lambda: configuration,
            signals=signals,
            notifier=Notifier(None),
            clock=clock,
        )
        pipeline.nursery.start("clock", pipeline.timekeeping.run)
        yield House(daemon, pipeline, clock)
        assert pipeline.stop(10) == []


class TestNews:
    """What ends a rest of a minute."""

    def test_a_clock_that_is_set_is_noticed_at_once(self, house: House, clock: FakeClock) -> None:
        """By the kernel's word alone, while no other thread looks at the clock."""
        house.rest()
        house.capture()
        assert not house.is_corrected()
        clock.is_trusted = True
        set_clock(+1)
        set_clock(-1)
        until(house.is_corrected, 5)

    def test_a_clock_that_is_trusted_is_noticed_with_the_next_tick(self, house: House, clock: FakeClock) -> None:
        """The time service's word may come long after its step: the main thread looks anyway, and tells."""
        house.rest()
        house.capture()
        house.tick()
        assert not house.is_corrected()
        clock.is_trusted = True
        house.tick()
        until(house.is_corrected, 5)

    def test_what_is_no_news_wakes_nobody(
        self, house: House, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A clock that stays wrong, or stays right, costs no wake-up with each tick."""
        for trusted in (False, True):
            clock.is_trusted = trusted
            house.rest()
            with monkeypatch.context() as patch:
                patch.setattr(house.pipeline.timekeeping._watch, "wake", lambda: pytest.fail("woken"))
                for _ in range(3):
                    house.tick()
