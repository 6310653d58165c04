"""The endless demonstration: the sandbox and the agent together, until Ctrl-C."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.demo.children import AgentProcess, check_alive, platform
from agent.demo.premises import Scene
from agent.service import Signals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.demo.premises import Premises

LOOK_EVERY_S = 0.3
SCENE = Scene(("--fps", "1"), interval_s=3.0)
WELCOME = """\
Drop pictures into    {captures}
See them arrive at    {url}/
Beside part.jpg, a part.txt (YOLO) or part.annotations.json brings boxes. A test scene, the camera "scene", gives a
picture every {interval_s:g} s. Ctrl-C stops both. What follows is the agent's own log.
"""


def show(premises: Premises, port: int, environment: Mapping[str, str], say: Callable[[str], None]) -> None:
    """Run both until a signal asks for the end; an AgentError where they cannot start, or one ends by itself.

    Started again on the same premises, both go on with what they have. `environment` is what the agent gets.
    """
    with Signals() as signals, premises.occupied(), platform(premises, port) as sandbox:
        premises.configure(sandbox.url, SCENE)
        say(WELCOME.format(captures=premises.captures, url=sandbox.url, interval_s=SCENE.interval_s))
        with AgentProcess(premises, environment) as agent:
            while not signals.wait(LOOK_EVERY_S):
                check_alive(premises, sandbox, agent)
            say("Stopping the agent, then the sandbox ...")
    say("Stopped. Run it again to go on: what has not arrived is kept.")
