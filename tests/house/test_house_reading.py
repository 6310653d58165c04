"""The daemon and the child that reads its configuration, as real processes."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from house_rig import KEY, House, Manager, arrive, photograph, until

from agent.config.environment import parse_environment
from agent.config.load import load
from agent.errors import ConfigError

if TYPE_CHECKING:
    from house_rig import Agent

# It stands before the real one in the children's search path, and holds them up where it is told to.
PYDANTIC = """
import pathlib, sys, time
here = pathlib.Path(__file__).parent
if (here / "hang").exists():
    (here / "reached").touch()
    time.sleep(600)
sys.path.remove(str(here))
del sys.modules["pydantic"]
import pydantic
"""


def loaded(pid: int) -> set[str]:
    """Return which libraries of pydantic a process has in its memory."""
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
    return set(re.findall(r"/(_?pydantic[^/\s]*)$", maps, re.MULTILINE))


def readers(house: House) -> dict[int, str]:
    """Return the children that read a configuration."""
    return {pid: line for pid, line in house.living().items() if "reading_child" in line}


def slowed(house: House) -> Path:
    """Have the children of this house's agents hang while there is such a file; return it."""
    folder = house.root / "stub"
    folder.mkdir()
    (folder / "pydantic.py").write_text(PYDANTIC, encoding="ascii")
    house.environment["PYTHONPATH"] = str(folder)
    return folder / "hang"


def hang(house: House, agent: Agent, hanging: Path) -> int:
    """Have a reload hang; return the process id of its child."""
    hanging.touch()
    agent.signal(signal.SIGHUP)
    until(hanging.with_name("reached").exists, said=agent.tail)
    (child,) = readers(house)
    return child


def test_the_daemon_never_loads_pydantic(tmp_path: Path) -> None:
    """Neither at rest nor after a reload is its library mapped, and the child that has it is gone."""
    with House(tmp_path) as house:
        agent = house.run()
        arrive(house.watched / "a.jpg", photograph(0))
        house.settled(1)
        assert not loaded(agent.pid)
        assert not readers(house)
        agent.signal(signal.SIGHUP)
        agent.until("configuration_reloaded")
        agent.until("started", 2)
        assert not loaded(agent.pid)
        assert not readers(house)
        assert loaded(os.getpid())  # that the tests have it shows that it can be seen
        agent.stop()


@pytest.mark.parametrize(
    "text",
    ["[upload]\nworkers = 0\ncolour = 1\n", "[server]\nurl = 'ftp://x'\n", "[server\n", "# \xe9\n", None],
)
def test_a_wrong_configuration_ends_as_ever(tmp_path: Path, text: str | None) -> None:
    """`run` says on one line what `load` says, and ends with 78; the child leaves nothing behind."""
    with House(tmp_path, online=False) as house:
        if text is None:
            house.config.unlink()
        else:
            house.config.write_bytes(text.encode("latin-1"))
        with pytest.raises(ConfigError) as caught:
            load(house.config, parse_environment(house.environment, house.root / "run"))
        for arguments in (["run"], ["run", "--once"]):
            agent = house.start(*arguments)
            assert agent.wait() == 78
            assert agent.said() == [f"acusight-agent: {caught.value}"]
        assert not house.living()


def test_a_missing_key_ends_as_ever(tmp_path: Path) -> None:
    """What is found out after the configuration is read, such as that there is no key, ends with 78 as well."""
    with House(tmp_path, online=False) as house:
        house.key_file.unlink()
        agent = house.start("run")
        assert agent.wait() == 78
        assert agent.said()[0].startswith(f"acusight-agent: there is no device key (looked in: {house.key_file})")


def test_a_wrong_reload_changes_nothing(tmp_path: Path) -> None:
    """The old configuration goes on, the log has the reason, and the next good one is taken."""
    with House(tmp_path) as house:
        agent = house.run()
        house.config.write_text("[upload]\nworkers = 0\n", encoding="ascii")
        agent.signal(signal.SIGHUP)
        (refused,) = agent.until("configuration_refused")
        assert "config.toml:2: upload.workers: must be greater than or equal to 1" in refused["reason"]
        assert refused["consequence"] == "the old one goes on"
        arrive(house.watched / "a.jpg", photograph(0))
        house.settled(1)
        house.configure(upload={"workers": 3})
        agent.signal(signal.SIGHUP)
        agent.until("configuration_reloaded")
        agent.stop()


def test_a_child_that_is_killed_changes_nothing(tmp_path: Path) -> None:
    """As where memory runs out: the old configuration goes on, and a later reload works."""
    with House(tmp_path) as house:
        hanging = slowed(house)
        agent = house.run()
        os.kill(hang(house, agent, hanging), signal.SIGKILL)
        (refused,) = agent.until("configuration_refused")
        assert "the process that checks it was killed; is there enough memory?" in refused["reason"]
        hanging.unlink()
        agent.signal(signal.SIGHUP)
        agent.until("configuration_reloaded")
        arrive(house.watched / "a.jpg", photograph(0))
        house.settled(1)
        agent.stop()


def test_a_stop_does_not_wait_for_a_reload(tmp_path: Path) -> None:
    """With a reload that hangs SIGTERM ends the daemon at once and well, and its child with it (I4)."""
    with House(tmp_path) as house:
        agent = house.run()
        agent.stop()
        hanging = slowed(house)
        agent = house.run()
        hang(house, agent, hanging)
        assert agent.stop() < 3
        assert not readers(house)
        assert not agent.events("configuration_refused")
        assert agent.events("stopped")


def test_a_start_that_hangs_can_be_stopped(tmp_path: Path) -> None:
    """Before it is ready there is nothing to be saved: SIGTERM ends it at once, and its child with it."""
    with House(tmp_path, online=False) as house:
        hanging = slowed(house)
        hanging.touch()
        agent = house.start("run")
        until(hanging.with_name("reached").exists, said=agent.tail)
        agent.signal(signal.SIGTERM)
        assert agent.wait() == -signal.SIGTERM
        until(lambda: not readers(house))


def test_a_slow_reload_is_no_stall(tmp_path: Path) -> None:
    """While it is checked work goes on, the service watchdog is fed, and others find neither key nor password (I7)."""
    with House(tmp_path) as house, closing(Manager(tmp_path / "notify")) as manager:
        lines = house.config.read_text(encoding="utf-8").splitlines()
        house.config.write_text("\n".join(line for line in lines if "device_key" not in line), encoding="utf-8")
        house.environment["ACUSIGHT_AGENT_SERVER__DEVICE_KEY"] = KEY
        hanging = slowed(house)
        agent = house.run(NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="4000000")
        child = hang(house, agent, hanging)
        manager.listen()
        manager.heard.clear()
        began = time.monotonic()
        arrive(house.watched / "a.jpg", photograph(0))
        house.settled(1)
        until(lambda: manager.listen().count("WATCHDOG=1") >= 3)
        assert time.monotonic() - began < 6
        for name in ("cmdline", "environ"):
            seen = Path(f"/proc/{child}/{name}").read_bytes()
            assert seen
            assert KEY.encode() not in seen
        agent.signal(signal.SIGHUP)  # once more, while the first is under way: it is kept
        hanging.unlink()
        os.kill(child, signal.SIGKILL)
        agent.until("configuration_refused")
        agent.until("configuration_reloaded")
        agent.stop()
        assert KEY not in agent.err.read_text(encoding="utf-8")
