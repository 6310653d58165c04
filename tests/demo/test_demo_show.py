from __future__ import annotations

import json
import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from demo_rig import GONE_S, Demo, until

from agent.demo.shots import shots

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What the surroundings may hold, and must not get through to a throwaway agent.
FOREIGN = {"ACUSIGHT_AGENT_SERVER__URL": "http://127.0.0.1:9", "ACUSIGHT_AGENT_SERVER__DEVICE_KEY": "adk_0123"}


def interrupt(demo: Demo) -> None:
    """Press Ctrl-C: the signal goes to the whole group of the terminal."""
    os.killpg(demo.process.pid, signal.SIGINT)


def terminate(demo: Demo) -> None:
    """End the demo's own process alone, as a service manager may."""
    demo.process.terminate()


def check_stopped(demo: Demo, stop: Callable[[Demo], None]) -> None:
    """Stop a demo, and see that it ends in time, with status 0, in peace, with all that it started."""
    stop(demo)
    assert demo.wait(GONE_S) == 0, demo.said()
    assert not demo.living()
    assert "Traceback" not in demo.said()
    assert demo.said().endswith("Stopped. Run it again to go on: what has not arrived is kept.\n")


def test_a_dropped_picture_arrives_and_a_second_run_goes_on(tmp_path: Path) -> None:
    """A picture with a sidecar put into the folder that was named arrives with its boxes, beside the scene's pictures.

    Ctrl-C ends it; a second run has the same pictures and keeps on; SIGTERM ends that. The key is no argument.
    """
    shot = shots(1)[0]
    with Demo(tmp_path, "--port", "0", **FOREIGN) as demo:
        demo.until(
            r"Drop pictures into +\S+/captures\nSee them arrive at +http://127\.0\.0\.1:\d+/\n(?s:.*)Ctrl-C stops"
        )
        for name, content in shot.files():
            (tmp_path / "captures" / name).write_bytes(content)
        demo.until("item_delivered .*source=captures")
        demo.until("item_delivered .*source=scene")
        dropped = [upload for upload in demo.uploads() if upload["metadata"]["source"] == "captures"]
        assert [json.dumps(box["geometry"])[:6] for box in dropped[0]["metadata"]["annotations"]] == [
            json.dumps(box.geometry)[:6] for box in shot.boxes
        ]
        key = (tmp_path / ".demo" / "device_key").read_text(encoding="ascii").strip()
        assert len(demo.living()) == 4  # demo, sandbox, agent, scene
        assert not any(key in line for line in demo.living().values())
        assert key not in demo.said()
        check_stopped(demo, interrupt)
    with Demo(tmp_path, "--port", "0") as demo:
        demo.until("item_delivered .*source=scene")
        uploads = demo.uploads()
        assert [one["id"] for one in uploads if one["metadata"]["source"] == "captures"] == [dropped[0]["id"]]
        assert len({one["filename"] for one in uploads}) == len(uploads) >= 3
        check_stopped(demo, terminate)


def test_no_child_outlives_a_killed_demo(tmp_path: Path) -> None:
    """After SIGKILL to the demo alone, the sandbox, the agent and its camera end by themselves."""
    with Demo(tmp_path, "--port", "0") as demo:
        demo.until("source_opened")
        assert len(demo.living()) == 4
        demo.process.kill()
        demo.wait()
        until(lambda: not demo.living(), GONE_S, demo.living)
        assert "Traceback" not in demo.said()


@pytest.mark.parametrize(("name", "words"), [("sandbox", "-m agent.sandbox "), ("agent", "-m agent -c")])
def test_a_program_that_ends_by_itself_is_named(tmp_path: Path, name: str, words: str) -> None:
    """When one of the two dies the demo says which, stops the other, and ends with 1."""
    with Demo(tmp_path, "--port", "0") as demo:
        demo.until("source_opened")
        os.kill(demo.child(words), signal.SIGKILL)
        assert demo.wait() == 1
        last = demo.said().splitlines()[-1]
        assert last.startswith(f"acusight-agent: the {name} ended by itself, with status -9. ")
        until(lambda: not demo.living(), GONE_S, demo.living)  # a killed agent's camera ends at its next picture


@pytest.mark.parametrize("options", [[], ["--once"]])
def test_a_taken_port_is_one_sentence(tmp_path: Path, options: list[str]) -> None:
    """A port that somebody has ends both kinds of demo with 1 and one line that names it and the option."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Demo(tmp_path, "--port", str(port), *options) as demo:
            assert demo.wait() == 1
            assert demo.said().count("\n") == 1
            assert f"cannot listen on 127.0.0.1 port {port}: " in demo.said()
            assert "--port" in demo.said()
            assert not demo.living()
