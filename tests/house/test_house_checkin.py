from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from house_rig import House, arrive, photograph, until

if TYPE_CHECKING:
    from pathlib import Path

QUICK = {"enabled": True, "interval_s": 1}


def status(house: House) -> dict[str, Any]:
    """Return what the agent's status tells."""
    told: dict[str, Any] = json.loads(house.call("status", "--json").stdout)
    return told


def test_an_agent_is_heard_of_while_its_uploads_fail(tmp_path: Path) -> None:
    """The check-in tells of the outage and of the queue; what the platform asks for is shown, and done by nobody."""
    with House(tmp_path) as house:
        house.sandbox.set_faults({"fault": [{"status": 503, "retry_after": 600}]})
        house.sandbox.ask({"id": 5, "type": "deploy", "payload": {"stack_id": 1, "compose_file": "services: {}"}})
        house.configure(checkin=QUICK)
        arrive(house.watched / "a.jpg", photograph(1))
        agent = house.run()
        agent.until("link_paused")
        until(lambda: any(one["metrics"]["queue_items"] == 1 for one in house.sandbox.checkins()))
        last = house.sandbox.checkins()[-1]
        assert last["status"] == "degraded"
        assert {"cpu_usage", "memory_usage", "disk_usage", "uptime", "queue_oldest_s"} <= last["metrics"].keys() | {
            "queue_oldest_s"
        }
        agent.until("action_settled")
        house.says("a compose file is never run")
        # The actions are in the index at once, what the daemon says of itself in its state file a moment later.
        until(lambda: status(house)["daemon"]["checkin"]["device_id"] is not None)
        told = status(house)
        assert [(action["id"], action["outcome"]) for action in told["actions"]] == [("5", "shown")]
        assert told["daemon"]["checkin"]["device_id"] == "sandbox-device"
        agent.stop()
        assert len(agent.events("action_settled")) == 1


def test_an_unapproved_device_keeps_everything(tmp_path: Path) -> None:
    """No picture is spent on it; once somebody approves the device, it delivers without a restart (I6)."""
    with House(tmp_path) as house:
        house.sandbox.set_faults({"device_status": "rejected"})
        house.configure(checkin=QUICK)
        agent = house.run()
        agent.until("approval_changed")
        digest = arrive(house.watched / "a.jpg", photograph(1))
        until(lambda: status(house)["sources"])
        house.says("the device is rejected on the platform")
        assert "upload" not in house.sandbox.requests()
        house.sandbox.set_faults({})
        assert house.call("queue", "flush").returncode == 0  # else it asks within the minute
        house.settled(1)
        agent.stop()
        house.check([digest])


def test_a_platform_without_a_check_in_is_told_once(tmp_path: Path) -> None:
    """Uploads are none the worse for it."""
    with House(tmp_path) as house:
        house.sandbox.set_faults({"fault": [{"route": "checkin", "status": 404}]})
        house.configure(checkin=QUICK)
        agent = house.run()
        agent.until("checkin_failed")
        digest = arrive(house.watched / "a.jpg", photograph(1))
        house.settled(1)
        house.says("check-in  fails (wrong_url)")
        assert agent.stop() < 2
        assert len(agent.events("checkin_failed")) == 1
        house.check([digest])


def test_a_check_in_that_hangs_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    """It is broken off like an upload (I4)."""
    with House(tmp_path) as house:
        house.sandbox.set_faults({"fault": [{"route": "self", "delay_s": 60}]})
        house.configure(checkin=QUICK)
        agent = house.run()
        digest = arrive(house.watched / "a.jpg", photograph(1))
        house.settled(1)
        assert agent.stop() < 3.5
        house.check([digest])
