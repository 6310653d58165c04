"""`acusight-agent demo`: the agent and a small Acusight together, to play with or as a bounded tour."""

from __future__ import annotations

import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.errors import AgentError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

PORT = 8600
NEEDED = ("cv2", "multipart", "starlette", "uvicorn")


@click.command("demo", epilog="\b\nExamples:\n  acusight-agent demo\n  acusight-agent demo --once")
@click.option("--once", is_flag=True, help="A tour of half a minute with an outage; 0 if every byte arrived.")
@click.option(
    "--dir",
    "folder",
    default=".",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where `captures` and `.demo` are made; default: here.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), help=f"The sandbox's port, 0 for a free one; default {PORT}, a tour's 0."
)
def command(*, once: bool, folder: Path, port: int | None) -> None:
    """Start a small Acusight and the agent beside it, with a test scene as camera; Ctrl-C stops both.

    Ends with 0 when it was stopped, or the tour found everything arrived; with 1 when something failed.
    """
    from agent.config.environment import read_environment

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(f"the demo needs {missing[0]}", remedy="Run: pip install 'acusight-agent[camera,sandbox]'")
    environment = read_environment()
    # Without ACUSIGHT_AGENT_… variables: a throwaway agent must not send to the real platform.
    children = environment.children
    root = environment.working_directory / folder
    if once:
        _tour(root, port or 0, children)
    else:
        _show(root, PORT if port is None else port, children)


def _show(root: Path, port: int, environment: Mapping[str, str]) -> None:
    from agent.demo.premises import Premises
    from agent.demo.show import show

    show(Premises(root / ".demo", root / "captures"), port, environment, click.echo)


def _tour(root: Path, port: int, environment: Mapping[str, str]) -> None:
    from agent.demo.premises import Premises, disk
    from agent.demo.tour import tour

    parent = root / ".demo"
    with disk(parent):
        parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="tour-", dir=parent))
    outcome = tour(Premises(folder, folder / "captures"), port, environment, click.echo)
    click.echo(outcome.table())
    for fault in outcome.faults:
        click.echo(f"  {fault}")
    if outcome.faults:
        raise AgentError("the tour failed: see the list above", remedy=f"Logs, spool and pictures are in {folder}")
    click.echo(f"Passed: every picture arrived, byte for byte, once, with its boxes ({outcome.seconds:.0f} s).")
    shutil.rmtree(folder, ignore_errors=True)
