"""`acusight-agent service`: the systemd units of this installation, shown, put in place, taken away."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.commands.beside import examples, safe

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.setup.installation import Installation

ROOT = Path("/")

_root_option = click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    default=ROOT,
    help="Work below this folder instead of /: only files are put in place there.",
)


def _program_option(verb: Callable[..., None]) -> Callable[..., None]:
    return click.option("--program", help="The program that the service starts; by default this one.")(verb)


@click.group("service", epilog=examples("service print", "service install --now", "service uninstall"))
def command() -> None:
    """Show, install or uninstall the systemd service of this installation."""


@command.command("print", epilog=examples("service print", "service print raspberry-pi-csi.conf"))
@click.argument("name", default="acusight-agent.service")
@_program_option
def print_command(name: str, program: str | None) -> None:
    """Print the unit, fit to this installation, or the unit file or drop-in called NAME."""
    from agent.setup.units import fitted, named, shipped

    path = named(shipped(), name)
    click.echo(fitted(path.read_text(encoding="utf-8"), program or _program()), nl=False)


@command.command(epilog=examples("service install", "service install --now"))
@_root_option
@_program_option
@click.option("--now", is_flag=True, help="Start it as well, or start it anew.")
def install(root: Path, program: str | None, *, now: bool) -> None:
    """Write the units, the user and a first configuration, and have the service started with the system.

    Needs root. What is there already is kept: run twice it changes nothing.
    """
    from agent.setup.units import drop_ins

    installation = _installation(root, program)
    for line in installation.install(start=now):
        click.echo(safe(line))
    names = ", ".join(path.stem for path in drop_ins(installation.units))
    click.echo(f"for other places there are drop-ins ({names}); for one: acusight-agent service print NAME.conf")


@command.command(epilog=examples("service uninstall"))
@_root_option
def uninstall(root: Path) -> None:
    """Stop the service and remove its units. Needs root.

    Configuration, key, waiting pictures and receipts stay where they are.
    """
    for line in _installation(root, None).uninstall():
        click.echo(safe(line))


def _installation(root: Path, program: str | None) -> Installation:
    from agent.config.environment import read_environment
    from agent.setup.installation import Installation, check_rights
    from agent.setup.units import shipped

    check_rights(root)
    return Installation(root.absolute(), program or _program(), shipped(), read_environment().children)


def _program() -> str:
    """Return the program beside this interpreter: it is the environment's own, whatever PATH says."""
    return str(Path(sys.executable).with_name("acusight-agent"))
