from __future__ import annotations

import os
import re
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from house_rig import NOBODY, House, Manager, arrive, photograph, until

from agent.app.house import House as Builder
from agent.clock import SystemClock
from agent.config.environment import parse_environment
from agent.config.load import load
from agent.daemon import QUIET_S, Daemon
from agent.service import Notifier, Signals
from agent.spool.budget import Limits
from agent.spool.records import Draft
from agent.spool.spool import Spool

if TYPE_CHECKING:
    from conftest import FakeClock
    from house_rig import Agent

MB = 1_000_000
NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)


def backlog(directory: Path, count: int) -> None:
    """Put so many tiny pictures into a spool."""
    limits = Limits(max_bytes=10**9, min_free_bytes=0)
    with Spool(directory, limits, clock=SystemClock(), owner=False) as spool:
        for first in range(0, count, 250):
            drafts = [
                Draft.of_bytes(
                    b"picture %d" % number, source="belt", captured_at=NOON, media_type="image/jpeg", metadata="{}"
                )
                for number in range(first, min(count, first + 250))
            ]
            spool.inbox.commit([spool.inbox.stage(draft) for draft in drafts])


def memory(agent: Agent, figure: str) -> int:
    """Return a process's memory in bytes: VmRSS is the present, VmHWM the most there ever was."""
    status = Path(f"/proc/{agent.pid}/status").read_text(encoding="ascii")
    found = re.search(rf"^{figure}:\s+(\d+) kB$", status, re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def switches(agent: Agent) -> int:
    """Return how often the threads of a process went to sleep; that others interrupted them is not their doing."""
    tasks = Path(f"/proc/{agent.pid}/task").glob("*/status")
    count = re.compile(r"^voluntary_ctxt_switches:\s+(\d+)", re.MULTILINE)
    return sum(int(number) for task in tasks for number in count.findall(task.read_text(encoding="ascii")))


def test_a_start_takes_a_second_and_a_half_at_most(tmp_path: Path) -> None:
    """Without a camera, until it tells the service manager that it is ready; its own time, others may work too."""
    with House(tmp_path, online=False) as house, closing(Manager(tmp_path / "notify")) as manager:
        agent = house.start("run", NOTIFY_SOCKET=str(manager.path))
        until(lambda: "READY=1" in manager.listen(), said=agent.tail)
        assert used_s(agent) < 1.5
        agent.stop()


def used_s(agent: Agent) -> float:
    """Return the processor time that a process and its ended children have used."""
    fields = Path(f"/proc/{agent.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def test_memory_does_not_grow_with_the_backlog(tmp_path: Path) -> None:
    """With five thousand pictures waiting the daemon's peak is within 20 MB of that with ten (I8)."""
    peaks = []
    for count in (10, 5000):
        (tmp_path / f"{count}").mkdir()
        with House(tmp_path / f"{count}", online=False) as house:
            backlog(house.spool, count)
            agent = house.run()
            agent.until("link_paused")
            assert house.rows("SELECT count(*) AS n FROM item WHERE state = 'waiting'")[0]["n"] == count
            peaks.append(memory(agent, "VmHWM"))
            assert agent.stop() < 2
    assert peaks[1] - peaks[0] < 20 * MB, peaks


def test_a_large_picture_is_streamed(tmp_path: Path) -> None:
    """Pictures of 30 MB raise the daemon's peak by less than one of them, however many uploaders work (I8)."""
    with House(tmp_path) as house:
        house.configure(upload={"workers": 4})
        agent = house.run()
        arrive(house.watched / "small.jpg", photograph(0))
        house.settled(1)
        before = memory(agent, "VmHWM")
        digests = [arrive(house.watched / f"{seed}.jpg", photograph(seed) + b"\0" * 30 * MB) for seed in range(1, 4)]
        house.settled(4)
        assert memory(agent, "VmHWM") - before < 30 * MB
        agent.stop()
        assert {upload["sha256"] for upload in house.sandbox.uploads()} > set(digests)


def test_an_idle_agent_is_small_and_sleeps(tmp_path: Path) -> None:
    """Watching a directory it takes at most 46 MB, and wakes at most every other second (I8)."""
    with House(tmp_path) as house:
        house.configure(watch=[{"rescan_s": 30}])
        agent = house.run()
        arrive(house.watched / "a.jpg", photograph(0))
        house.settled(1)
        time.sleep(QUIET_S + 1.5)  # the look at its own last commit is behind it, and nothing has moved since
        rates = list[float]()
        while len(rates) < 3 and min(rates, default=1.0) > 0.5:  # the machine's clock may be set, a scan be due
            before, began = switches(agent), time.monotonic()
            time.sleep(10)
            rates.append((switches(agent) - before) / (time.monotonic() - began))
        assert min(rates) <= 0.5, rates
        assert memory(agent, "VmRSS") <= 46 * MB
        maps = Path(f"/proc/{agent.pid}/maps").read_text(encoding="utf-8")
        assert not re.search(r"cv2|numpy|uvicorn|pydantic", maps)


def test_the_spools_cap_holds(tmp_path: Path) -> None:
    """With a platform that is slow no more bytes than the cap are taken; what found no room comes later (I5)."""
    with House(tmp_path) as house:
        pictures = [photograph(seed) for seed in range(8)]
        cap = sum(map(len, pictures[:5]))
        house.configure(spool={"max_bytes": cap})
        house.fault(delay_s=1.0, count=2)
        digests = [arrive(house.watched / f"{seed}.jpg", picture) for seed, picture in enumerate(pictures)]
        agent = house.run()
        agent.until("intake_paused")
        while house.rows("SELECT count(*) AS n FROM receipt")[0]["n"] < len(pictures):
            assert (house.rows("SELECT sum(size) AS n FROM item")[0]["n"] or 0) <= cap
            assert agent.process.poll() is None
            time.sleep(0.02)
        agent.stop()
        house.check(digests)


def pings_of(manager: Manager) -> int:
    """Return how many pings came since this was asked last."""
    count = manager.listen().count("WATCHDOG=1")
    manager.heard.clear()
    return count


def test_a_stalled_stage_stops_the_pings(tmp_path: Path, clock: FakeClock) -> None:
    """A stage at work in which nothing moves is no life: systemd hears nothing until it moves or rests."""
    config = tmp_path / "config.toml"
    config.write_text(
        f'[server]\nurl = "{NOBODY}"\ndevice_key = "adk_01"\n[spool]\ndir = "spool"\n[upload]\ntimeout_s = 20\n',
        encoding="utf-8",
    )
    config.chmod(0o600)
    environment = parse_environment({"WATCHDOG_USEC": "60000000"}, tmp_path)
    configuration = load(config, environment)
    pipeline = Builder(configuration, environment, clock=clock).pipeline()
    with closing(Manager(tmp_path / "notify")) as manager, Signals() as signals:
        daemon = Daemon(
            configuration,
            environment,
            build=lambda _: pipeline,
            reload=lambda: configuration,
            signals=signals,
            notifier=Notifier(str(manager.path)),
            clock=clock,
        )
        limit_s = 20 + 10 + 30
        pipeline.pulse.beat("upload-1")
        pipeline.pulse.rest("upload-2")
        for pings, seconds in ((1, 30), (1, limit_s - 30 - 1), (0, 2), (0, 3600)):
            clock.advance(seconds)
            daemon._ping(pipeline)
            assert pings_of(manager) == pings, seconds
        pipeline.pulse.beat("upload-1")
        daemon._ping(pipeline)
        assert pings_of(manager) == 1
        pipeline.pulse.rest("upload-1")
        clock.advance(10 * 3600)
        daemon._ping(pipeline)
        assert pings_of(manager) == 1
    pipeline.spool.close()
