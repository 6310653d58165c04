"""The spool of the configuration, opened by a command beside whoever owns it, and what such commands share."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.config.redaction import printable, redacted
from agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.config.configuration import Configuration
    from agent.outline import Outline
    from agent.spool.orders import Orders
    from agent.spool.reader import Reader

config_option = click.option(
    "-c", "--config", "given", type=click.Path(path_type=Path, dir_okay=False), help="Configuration file."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
state_option = click.option(
    "--state",
    type=click.Choice(["waiting", "quarantined", "all"]),
    default="all",
    show_default=True,
    help="Which items.",
)
ITEM_ID = click.IntRange(1, 2**63 - 1)


def examples(*lines: str) -> str:
    """Return the end of a help text."""
    title = "Example:" if len(lines) == 1 else "Examples:"
    return "\n".join(["\b", title, *(f"  acusight-agent {line}" for line in lines)])


def safe(text: object) -> str:
    """Return what may be printed: servers write reasons, and people name files."""
    return printable(redacted(str(text)))


def outlined(path: Path | None) -> Outline:
    """Return what a look at the agent needs: as its owner noted it where that still holds, else of the configuration.

    Only the latter takes the time to check the configuration, and says what is wrong with it.
    """
    from agent.config.environment import read_environment
    from agent.config.mark import trace
    from agent.outline import outline_of, read_noted
    from agent.spool.ownership import owner_note

    environment = read_environment()
    if (found := trace(path, environment)) is not None:
        note = owner_note(found.spool_dir).get("outline")
        known = read_noted(note, found.mark, spool_dir=found.spool_dir, state_file=found.state_file)
        if known is not None:
            return known
    from agent.config.load import load

    return outline_of(load(path, environment))


@contextmanager
def look(path: Path | None) -> Iterator[tuple[Configuration, Reader]]:
    """Open the configured spool to read it."""
    from agent.config.environment import read_environment
    from agent.config.load import load
    from agent.spool.orders import beside

    configuration = load(path, read_environment())
    with beside(configuration.spool_dir) as reader:
        yield configuration, reader


@contextmanager
def give_orders(path: Path | None) -> Iterator[tuple[Orders, Reader]]:
    """Open the configured spool to change it."""
    from agent.app.house import House
    from agent.clock import SystemClock
    from agent.config.environment import read_environment

    with look(path) as (configuration, _):
        house = House(configuration, read_environment(), clock=SystemClock())
        with house.open_spool(owner=False) as spool:
            yield spool.orders, spool.reader


def absent(reader: Reader, ids: tuple[int, ...]) -> list[int]:
    """Return those ids that no item of the queue has."""
    from agent.spool.selection import missing

    return missing(reader, ids) if ids else []


def complain(ids: list[int]) -> None:
    """End with an error where ids were given that the queue does not have; the others were taken care of."""
    if ids:
        raise AgentError(f"not in the queue: {', '.join(map(str, ids))}", remedy="See: acusight-agent queue list")
