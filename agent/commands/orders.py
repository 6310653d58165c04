"""The orders among the verbs of `acusight-agent queue`: what changes the queue, or how it is carried."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from agent.commands import document
from agent.commands.beside import (
    ITEM_ID,
    absent,
    complain,
    config_option,
    examples,
    give_orders,
    json_option,
    look,
    state_option,
)
from agent.errors import AgentError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from agent.spool.reader import Reader
    from agent.spool.selection import Selection

ids_argument = click.argument("ids", nargs=-1, metavar="[ID]...", type=ITEM_ID)


@click.command(epilog=examples("queue retry 17 18", "queue retry --all"))
@ids_argument
@click.option("--all", "everything", is_flag=True, help="Every item.")
@config_option
@json_option
@click.pass_obj
def retry(inherited: Path | None, given: Path | None, ids: tuple[int, ...], *, everything: bool, as_json: bool) -> None:
    """Let quarantined items wait again, and items that wait for a later attempt go now."""
    selection = _selection(ids, everything=everything)
    with give_orders(given or inherited) as (orders, reader):
        gone = absent(reader, ids)
        done = orders.retry(selection)
    if as_json:
        click.echo(document.text(requeued=done.requeued, hurried=done.hurried, unfit=done.unfit, missing=gone))
    else:
        click.echo(f"{done.requeued} out of quarantine, {done.hurried} due now")
        if done.unfit:
            click.echo(f"{done.unfit} are no whole pictures and stay: export or drop them", err=True)
    complain(gone)


@click.command(epilog=examples("queue drop 17", "queue drop --state quarantined --all --yes"))
@ids_argument
@click.option("--all", "everything", is_flag=True, help="Every item, or with --state or --source every one of these.")
@state_option
@click.option("--source", help="Every item of this source.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
@click.pass_obj
def drop(
    inherited: Path | None,
    given: Path | None,
    ids: tuple[int, ...],
    state: str,
    source: str | None,
    *,
    everything: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Give items up for good. They are counted as dropped; the files that they came from are left alone."""
    selection = _selection(ids, everything=everything, state=state, source=source)
    path = given or inherited
    with look(path) as (_, reader):
        gone, selection = absent(reader, ids), _agreed(reader, selection, yes=yes)
    with give_orders(path) as (orders, _):
        done = orders.drop(selection)
    if as_json:
        click.echo(document.text(dropped=done.items, bytes=done.size, files_left=done.left, missing=gone))
    else:
        click.echo(f"dropped {done.items} items, {done.size} bytes")
        if done.left:
            click.echo(f"{done.left} files could not be removed from here; the agent removes them", err=True)
    complain(gone)


def _agreed(reader: Reader, selection: Selection, *, yes: bool) -> Selection:
    """Ask whether to drop; return what was asked about, so that what comes in meanwhile is spared."""
    from agent.spool.selection import extent

    held = extent(reader, selection)
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise UsageError(f"this would drop {held.items} items for good", remedy="Without a terminal, add --yes.")
        if held.items and not click.confirm(f"Drop {held.items} items ({held.size} bytes) for good?", err=True):
            raise AgentError("nothing was dropped")
    return replace(selection, upto=held.highest)


@click.command(epilog=examples("queue pause"))
@config_option
@json_option
@click.pass_obj
def pause(inherited: Path | None, given: Path | None, *, as_json: bool) -> None:
    """Let uploads rest until `resume`, also across restarts; pictures are still taken in."""
    from agent.clock import SystemClock

    with give_orders(given or inherited) as (orders, _):
        since = orders.pause(SystemClock().wall())
    text = f"uploads are paused since {since}; what is under way ends. Let them go on: acusight-agent queue resume"
    click.echo(document.text(paused_since=since) if as_json else text)


@click.command(epilog=examples("queue resume"))
@config_option
@json_option
@click.pass_obj
def resume(inherited: Path | None, given: Path | None, *, as_json: bool) -> None:
    """Let uploads go on after a `pause`."""
    with give_orders(given or inherited) as (orders, _):
        resumed = orders.resume()
    text = "uploads go on" if resumed else "uploads were not paused"
    click.echo(document.text(resumed=resumed) if as_json else text)


@click.command(epilog=examples("queue flush"))
@config_option
@json_option
@click.pass_obj
def flush(inherited: Path | None, given: Path | None, *, as_json: bool) -> None:
    """Forget all waits: items that wait for a later attempt, and the link's pause after failures."""
    from agent.spool.orders import read_standing

    with give_orders(given or inherited) as (orders, reader):
        hurried = orders.flush()
        since = read_standing(reader).paused_since
    if as_json:
        click.echo(document.text(hurried=hurried, paused_since=since))
        return
    click.echo(f"all waits are over; {hurried} items were waiting for a later attempt")
    if since is not None:
        click.echo(f"uploads are paused by hand since {since}: acusight-agent queue resume", err=True)


def _selection(ids: tuple[int, ...], *, everything: bool, state: str = "all", source: str | None = None) -> Selection:
    from agent.spool.selection import Selection

    if bool(ids) == (everything or source is not None):
        raise UsageError("name the items by their ids, or say --all", remedy="See: acusight-agent queue list")
    return Selection(ids=ids or None, state=state, source=source)


VERBS = (retry, drop, pause, resume, flush)
