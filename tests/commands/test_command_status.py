from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from house_rig import House, Table, arrive, photograph, until, video

from agent.clock import SystemClock
from agent.verdict import RUN

ANSWERED_S = 0.25


def took_s(house: House) -> float:
    """Return how much processor time one look takes; others may have the processor meanwhile."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    house.call("status", cold=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def said(house: House) -> Table:
    """Return what the daemon says of itself."""
    return told(house)["daemon"] or {"cameras": {}, "link": {}}


def test_a_spool_that_was_never_used_has_a_status(tmp_path: Path) -> None:
    """Before the first run it says that nothing was captured, ends with 3, and makes no folder."""
    with House(tmp_path, online=False) as house:
        ended = house.call("status")
        assert ended.returncode == 3
        assert ended.stdout.splitlines()[0] == "ERROR: no agent runs; 0 pictures are in the queue, 0 delivered"
        assert ended.stdout.splitlines()[2] == f"    {RUN}."
        assert "nothing captured yet" in ended.stdout
        assert ended.stderr == (
            f"acusight-agent: no agent runs on the spool {house.spool}. "
            "Start it: systemctl start acusight-agent, or acusight-agent run.\n"
        )
        assert not house.spool.exists()
        told = json.loads(house.call("status", "--json").stdout)
        assert (told["schema"], told["running"], told["sources"], told["daemon"]) == (1, False, {}, None)


def test_the_status_of_a_running_agent_tells_everything_quickly(tmp_path: Path) -> None:
    """Queue, link and cameras are told at once, for people and as JSON."""
    with House(tmp_path) as house:
        video(house.root / "belt.avi", 8)
        camera = {"name": "belt", "source": str(house.root / "belt.avi"), "interval_s": 0}
        house.configure(camera=[camera])
        agent = house.run()
        arrive(house.watched / "a.jpg", photograph(1))
        house.settled(9)
        until(lambda: said(house)["cameras"].get("belt", {}).get("ended"))
        assert any(took_s(house) < ANSWERED_S for _ in range(10))
        ended = house.call("status")
        assert (ended.returncode, ended.stderr) == (0, "")
        lines = ended.stdout.splitlines()
        assert lines[0].endswith("0 pictures wait, 9 delivered")
        assert any(line.startswith("uploads   ") and "last success" in line for line in lines)
        assert any(line.split()[:5] == ["captures", "1", "1", "0", "0"] for line in lines)
        assert any(line.split()[:5] == ["belt", "8", "8", "0", "0"] for line in lines)
        assert any(line.startswith("camera    belt: ended, last picture ") for line in lines)
        assert any(line.startswith("folder    captures: open, last picture ") for line in lines)
        status = told(house)
        assert status["running"]
        assert status["daemon"]["pid"] == agent.pid
        assert status["daemon"]["link"]["state"] == "open"
        assert status["daemon"]["cameras"]["belt"]["taken"] == 8
        assert status["sources"]["belt"]["delivered"] == 8
        assert status["last_delivery"]["result"] == "delivered"


def test_the_status_says_why_pictures_wait(tmp_path: Path) -> None:
    """While the platform is away it names the cause, and when it is back that too, also with the state on disk."""
    with House(tmp_path) as house:
        house.environment.pop("XDG_RUNTIME_DIR")
        house.configure(camera=[{"name": "gate", "source": "cmd:sleep 60"}])
        house.sandbox.kill()
        agent = house.run()
        arrive(house.watched / "a.jpg", photograph(1))
        agent.until("link_paused")
        until(lambda: said(house)["link"].get("cause") == "offline")
        lines = house.call("status").stdout.splitlines()
        assert lines[0].startswith("DEGRADED: nothing can be delivered (offline): cannot connect")
        assert "; 1 picture waits, none is lost, 0 delivered" in lines[0]
        assert any(line.startswith("    Check the network, and server.url") for line in lines)
        assert any(line.startswith("link      paused (offline): cannot connect") for line in lines)
        assert any(line.startswith("camera    gate: not open (cmd:sleep 60): opening") for line in lines)
        uploads = next(line for line in lines if line.startswith("uploads   "))
        assert "last error " in uploads
        assert "next try " in uploads
        house.sandbox.start()
        agent.until("link_restored")
        until(lambda: said(house)["link"].get("state") == "open")
        agent.stop()
        assert json.loads(house.call("status", "--json").stdout)["daemon"] is None


def test_the_status_of_an_agent_that_was_killed_is_not_its_last_word(tmp_path: Path) -> None:
    """After kill -9 it is not running, whatever its state file says."""
    with House(tmp_path, online=False) as house:
        agent = house.run()
        until(lambda: told(house)["daemon"])
        agent.kill()
        ended = house.call("status")
        assert ended.returncode == 3
        assert ended.stdout.startswith("ERROR: no agent runs")


def test_what_the_owner_noted_spares_a_second_check_of_the_configuration(tmp_path: Path) -> None:
    """While the configuration is the one that it ran with, pydantic is not loaded; a changed one counts at once."""
    with House(tmp_path, online=False) as house:
        house.run().stop()
        assert not loaded(house, "pydantic")
        before = told(house)
        os.utime(house.config)
        assert not loaded(house, "pydantic")
        house.configure(watch=[{"path": str(house.watched), "name": "yard"}])
        assert loaded(house, "pydantic")
        assert (list(before["inputs"]), list(told(house)["inputs"])) == (["captures"], ["yard"])
        house.config.write_text("nonsense = 1", encoding="utf-8")
        ended = house.call("status")
        assert (ended.returncode, "unknown key" in ended.stderr) == (78, True)


def loaded(house: House, module: str) -> bool:
    """Tell whether a look at the agent loads a module."""
    arguments = [sys.executable, "-X", "importtime", "-m", "agent", "-c", str(house.config), "status"]
    ended = subprocess.run(
        arguments, env=house.environment, cwd=house.root, capture_output=True, text=True, check=False
    )
    assert "agent.standing" in ended.stderr
    return any(line.endswith(f" {module}") for line in ended.stderr.splitlines())


def told(house: House) -> Table:
    """Return the status as JSON."""
    status: Table = json.loads(house.call("status", "--json").stdout)
    return status


def test_a_spent_budget_rests_across_restarts_and_is_shown(tmp_path: Path) -> None:
    """One upload at a time: one picture goes over the budget, the next run sends none, and `status` says until when."""
    with House(tmp_path) as house:
        house.configure(upload={"max_bytes_month": 1000, "workers": 1})
        for number in range(3):
            arrive(house.watched / f"{number}.jpg", photograph(number))
        for _ in range(2):
            agent = house.once(5)
            assert "uploads rest: the month's budget of 1000 bytes is spent; uploads go on at 20" in agent.tail()
        status = told(house)
        assert [(status["sources"]["captures"][what]) for what in ("delivered", "waiting")] == [1, 2]
        budget = status["tariff"]["budgets"]["month"]
        assert budget["used_bytes"] > 1000 == budget["max_bytes"]
        assert budget["left_bytes"] == 0
        assert status["tariff"]["resting"]["opens_at"] == budget["renewed_at"]
        lines = house.call("status").stdout.splitlines()
        assert f"uploads   rest: {status['tariff']['resting']['reason']}" in lines
        spent = f"budget    month: {budget['used_bytes']} of 1000 bytes sent, 0 left until 20"
        assert any(line.startswith(spent) for line in lines)
        house.configure()
        house.once(0)


def test_a_timetable_rests_a_running_agent(tmp_path: Path) -> None:
    """Intake goes on, the verdict says that uploads rest, and a reload with other hours lets them go."""
    with House(tmp_path) as house:
        later = (datetime.now(UTC).astimezone() + timedelta(hours=12)).hour
        lines = f'[{{hours = "{later:02d}-{later + 1:02d}"}}, {{pause = true}}]'  # an hour that is half a day away
        written = house.config.read_text(encoding="utf-8")
        house.config.write_text(written.replace("[upload]", f"[upload]\ntimetable = {lines}"), encoding="utf-8")
        agent = house.run()
        arrive(house.watched / "a.jpg", photograph(1))
        until(lambda: told(house)["sources"].get("captures", {}).get("waiting") == 1)
        shown = house.call("status").stdout.splitlines()
        assert "1 picture waits, 0 delivered; uploads rest: the timetable pauses uploads now" in shown[0]
        rest = "uploads   rest: the timetable pauses uploads now; uploads go on at 20"
        assert any(line.startswith(rest) for line in shown)
        house.configure()
        agent.signal(signal.SIGHUP)
        house.settled(1)


def test_the_status_tells_of_a_clock_that_is_not_set(tmp_path: Path) -> None:
    """What the agent says of its clock is what people are told, and JSON has it as a fact."""
    with House(tmp_path, online=False) as house:
        house.run()
        until(lambda: told(house)["daemon"])
        synchronised = told(house)["daemon"]["clock_synchronised"]
        assert synchronised is SystemClock().trusted()
        said_so = any(line.startswith("clock     not synch") for line in house.call("status").stdout.splitlines())
        assert said_so is not synchronised


def test_an_agent_leaves_no_core_file(tmp_path: Path) -> None:
    """Whatever its shell allows, a crash must not write the device key to the disk."""
    with House(tmp_path, online=False) as house:
        agent = house.run()
        until(lambda: told(house)["daemon"])
        limits = Path(f"/proc/{agent.pid}/limits").read_text().splitlines()
        assert next(line for line in limits if line.startswith("Max core")).split()[4:6] == ["0", "0"]
