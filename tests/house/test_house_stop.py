from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from house_rig import House, Manager, arrive, photograph, until

if TYPE_CHECKING:
    from pathlib import Path

GRACE_S = 2.0
STUBBORN = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for number in range(10**6):
    sys.stdout.buffer.write(pathlib.Path(sys.argv[1]).read_bytes())
    sys.stdout.flush()
    time.sleep(0.05)
"""


def test_an_idle_agent_stops_at_once(tmp_path: Path) -> None:
    """With nothing to do SIGTERM ends it in less than a second, with status 0 and no complaint (I4)."""
    with House(tmp_path) as house:
        agent = house.run()
        assert agent.stop() < 1.0
        assert agent.events()[-1]["event"] == "stopped"
        assert agent.said() == []


def test_a_server_that_hangs_does_not_hold_the_stop(tmp_path: Path) -> None:
    """With uploads inside a server that accepts and never answers it ends within grace and a second (I4)."""
    with House(tmp_path) as house, closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        house.configure(server={"url": f"http://127.0.0.1:{port}"}, upload={"timeout_s": 60, "grace_s": GRACE_S})
        digests = [arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(3)]
        agent = house.run()
        agent.until("item_spooled", 3)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(5)
            assert connection.recv(1)
            assert GRACE_S - 0.5 < agent.stop() < GRACE_S + 1.0
        assert not agent.events("stragglers_left")
        house.check(digests, delivered=0)


def test_a_camera_that_ignores_sigterm_does_not_hold_the_stop(tmp_path: Path) -> None:
    """With a program that ignores SIGTERM it ends within grace and a second, and leaves no child (I4)."""
    with House(tmp_path) as house:
        picture = house.root / "picture.jpg"
        picture.write_bytes(photograph(1))
        program = house.root / "stubborn.py"
        program.write_text(STUBBORN, encoding="utf-8")
        source = "cmd:" + shlex.join([sys.executable, "-S", str(program), str(picture)])
        house.configure(camera=[{"name": "gate", "source": source, "interval_s": 60}], watch=[])
        agent = house.run()
        house.arrived(1)
        assert any("stubborn.py" in line for line in house.living().values())
        assert agent.stop() < GRACE_S + 1.0
        assert agent.pid not in house.living()
        assert not any("stubborn.py" in line for line in house.living().values())


def test_a_second_stop_request_changes_nothing(tmp_path: Path) -> None:
    """Asked to end twice, it ends once, in order."""
    with House(tmp_path) as house:
        agent = house.run()
        agent.signal(signal.SIGTERM)
        agent.signal(signal.SIGINT)
        assert agent.wait(3) == 0
        assert agent.said() == []


def test_a_stop_during_intake_keeps_what_was_taken(tmp_path: Path) -> None:
    """Stopped between many files it forgets none: the next run takes the rest (I2)."""
    with House(tmp_path) as house:
        digests = [arrive(house.watched / f"{number}.jpg", photograph(number)) for number in range(60)]
        agent = house.run()
        agent.until("item_spooled")
        agent.stop()
        house.once()
        assert house.check(digests).total() == 60


def test_a_second_agent_on_the_same_spool_is_refused(tmp_path: Path) -> None:
    """The second one ends with 1 and names the first; the first goes on."""
    with House(tmp_path) as house:
        first = house.run()
        second = house.start("run")
        assert second.wait() == 1
        told = f"acusight-agent: another agent (pid {first.pid}) already uses the spool {house.spool}."
        assert len(second.said()) == 1
        assert second.said()[0].startswith(told)
        digest = arrive(house.watched / "a.jpg", photograph(1))
        house.settled(1)
        first.stop()
        house.check([digest])


def test_a_changed_configuration_takes_effect_on_sighup(tmp_path: Path) -> None:
    """After SIGHUP the new directory is watched by the same process; pictures flow on."""
    with House(tmp_path) as house:
        agent = house.run()
        digests = [arrive(house.watched / "a.jpg", photograph(1))]
        house.settled(1)
        other = house.root / "other"
        digests.append(arrive(other / "b.jpg", photograph(2)))
        house.configure(watch=[{}, {"path": str(other), "name": "dock"}])
        agent.signal(signal.SIGHUP)
        house.settled(2)
        assert agent.events("configuration_reloaded")
        digests.append(arrive(house.watched / "c.jpg", photograph(3)))
        house.settled(3)
        assert {upload["metadata"]["source"] for upload in house.sandbox.uploads()} == {"captures", "dock"}
        agent.stop()
        house.check(digests)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[server\n", "config.toml"),
        ('[server]\nurl = "https://h/"\nspeed = 3\n', "server.speed"),
        ('[server]\nurl = "https://h/"\ndevice_key_file = "gone"\n', "gone"),
    ],
)
def test_an_invalid_configuration_is_refused_on_sighup(tmp_path: Path, text: str, told: str) -> None:
    """The old configuration goes on, and the log says what was wrong (I9)."""
    with House(tmp_path) as house:
        agent = house.run()
        house.config.write_text(text, encoding="utf-8")
        agent.signal(signal.SIGHUP)
        refused = agent.until("configuration_refused")[0]
        assert told in refused["reason"]
        assert refused["consequence"] == "the old one goes on"
        digest = arrive(house.watched / "a.jpg", photograph(1))
        house.settled(1)
        house.configure()
        agent.signal(signal.SIGHUP)
        agent.until("configuration_reloaded")
        agent.until("started", 2)
        agent.stop()
        house.check([digest])


@pytest.mark.parametrize("what", ["authority", "spool"])
def test_a_configuration_that_cannot_be_started_is_refused_on_sighup(tmp_path: Path, what: str) -> None:
    """Also one that is valid by itself, but whose authority or spool is of no use, leaves the old one at work (I9)."""
    with House(tmp_path) as house:
        agent = house.run()
        if what == "authority":
            house.configure(server={"url": "https://127.0.0.1:1", "ca_file": str(house.root / "gone.pem")})
        else:
            house.configure(spool={"dir": str(house.key_file / "spool")})
        agent.signal(signal.SIGHUP)
        agent.until("configuration_refused")
        digest = arrive(house.watched / "a.jpg", photograph(1))
        house.settled(1)
        agent.stop()
        house.check([digest])


def is_verdict(line: str, said: str) -> bool:
    """Tell whether a line is the verdict that `status` begins with; this machine's clock or heat may be part of it."""
    return line.startswith(("STATUS=HEALTHY: ", "STATUS=DEGRADED: ")) and said in line


def test_a_service_manager_hears_of_start_progress_reload_and_stop(tmp_path: Path) -> None:
    """READY=1, STATUS=, WATCHDOG=1, RELOADING=1 and STOPPING=1 come over a real notify socket, in order."""
    with House(tmp_path) as house, closing(Manager(tmp_path / "notify")) as manager:
        agent = house.run(NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="1000000")
        until(lambda: manager.listen().count("WATCHDOG=1") >= 2)
        assert manager.heard[0] == "READY=1"
        assert any(is_verdict(line, "0 pictures wait, 0 delivered") for line in manager.heard)
        arrive(house.watched / "a.jpg", photograph(1))
        until(lambda: any(is_verdict(line, "0 pictures wait, 1 delivered") for line in manager.listen()))
        agent.signal(signal.SIGHUP)
        until(lambda: manager.listen().count("READY=1") == 2)
        reloading = next(index for index, line in enumerate(manager.heard) if line == "RELOADING=1")
        assert manager.heard[reloading + 1].startswith("MONOTONIC_USEC=")
        agent.stop()
        assert manager.listen()[-1] == "STOPPING=1"


def test_a_failed_part_ends_the_agent_for_the_service_manager(tmp_path: Path) -> None:
    """What no part can mend ends the process with 1 and a sentence, not with a hang."""
    with House(tmp_path) as house:
        house.spool.mkdir()
        (house.spool / "items").write_bytes(b"no folder")
        agent = house.start("run")
        began = time.monotonic()
        assert agent.wait() == 1
        assert time.monotonic() - began < 5
        assert len(agent.said()) == 1
        assert agent.said()[0].startswith("acusight-agent: ")
        assert os.fspath(house.spool) in agent.said()[0]
