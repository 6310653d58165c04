"""`acusight-agent version`: what is running here."""

from __future__ import annotations

import json
import platform

import click

from agent import __version__


@click.command("version", epilog="\b\nExample:\n  acusight-agent version --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> None:
    """Print the versions of the agent and of Python."""
    facts = {"version": __version__, "python": platform.python_version(), "machine": platform.machine()}
    if as_json:
        click.echo(json.dumps({"schema": 1, **facts}))
    else:
        click.echo(f"acusight-agent {facts['version']} (Python {facts['python']}, {facts['machine']})")
