"""`acusight-agent queue`: look into what waits, and say what is to become of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.commands import orders
from agent.commands.beside import (
    ITEM_ID,
    absent,
    complain,
    config_option,
    examples,
    json_option,
    look,
    safe,
    state_option,
)
from agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.spool.reader import Reader


HEADER = f"{'id':>8} {'state':11} {'source':16} {'captured at':24} {'bytes':>10} {'tries':>5}  next try, or why not"


@click.group("queue", epilog=examples("queue list --state quarantined", "queue retry --all"))
def command() -> None:
    """Look into the queue, and change what is to become of it.

    All of it works beside a running agent, which obeys within about a second, and without one.
    """


for verb in orders.VERBS:
    command.add_command(verb)


@command.command("list", epilog=examples("queue list --state quarantined --newest --limit 10"))
@state_option
@click.option("--source", help="Only items of this source.")
@click.option("--limit", type=ITEM_ID, default=50, show_default=True, help="Most items to list.")
@click.option("--newest", is_flag=True, help="Newest first; by default the oldest is first.")
@config_option
@json_option
@click.pass_obj
def list_command(
    inherited: Path | None,
    given: Path | None,
    state: str,
    source: str | None,
    limit: int,
    *,
    newest: bool,
    as_json: bool,
) -> None:
    """List what waits and what is quarantined, and count it."""
    from agent.commands.document import pieces
    from agent.items import summary
    from agent.spool.selection import Selection, extent, rows

    selection = Selection(state=state, source=source)
    with look(given or inherited) as (_, reader):
        held = extent(reader, selection)
        due = _due(reader)
        found = (summary(row, due) for row in rows(reader, selection, limit=limit, newest=newest))
        lines = pieces("items", found, total=held.items, bytes=held.size) if as_json else _table(found, held.items)
        for line in lines:
            click.echo(line)


def _due(reader: Reader) -> Callable[[float], float]:
    from agent.clock import SystemClock
    from agent.items import due_in

    return due_in(reader, SystemClock())


def _table(entries: Iterator[dict[str, Any]], total: int) -> Iterator[str]:
    shown = 0
    for entry in entries:
        if shown == 0:
            yield HEADER
        shown += 1
        yield (
            f"{entry['id']:8} {entry['state']:11} {entry['source']:16} {entry['captured_at']:24} {entry['size']:10} "
            f"{entry['attempts']:5}  {_next(entry)}"
        )
    yield f"{shown} of {total} items" if total else "nothing is in the queue"


def _next(entry: dict[str, Any]) -> str:
    if entry["due_in_s"] is None:
        return safe(entry["reason"] or "")
    return f"in {entry['due_in_s']:g} s" if entry["due_in_s"] else "now"


@command.command(epilog=examples("queue show 17"))
@click.argument("item_id", metavar="ID", type=ITEM_ID)
@config_option
@json_option
@click.pass_obj
def show(inherited: Path | None, given: Path | None, item_id: int, *, as_json: bool) -> None:
    """Show all that is known of one item, with the metadata that the platform is told."""
    from agent.commands import document
    from agent.items import details, summary

    with look(given or inherited) as (configuration, reader):
        row = reader.one("SELECT * FROM item WHERE id = ?", item_id)
        if row is None:
            raise _not_there(reader, item_id)
        known = summary(row, _due(reader)) | details(reader.item(row, configuration.spool_dir))
    if as_json:
        click.echo(document.text(**known))
        return
    for name, value in known.items():
        click.echo(f"{name:16} {safe('-' if value is None else value)}")


def _not_there(reader: Reader, item_id: int) -> AgentError:
    receipt = reader.one("SELECT filename, delivered_at FROM receipt WHERE item_id = ?", item_id)
    if receipt is None:
        return AgentError(f"item {item_id} is not in the queue", remedy="See: acusight-agent queue list")
    return AgentError(
        f"item {item_id} is not in the queue: {receipt['filename']} was delivered at {receipt['delivered_at']}"
    )


@command.command(epilog=examples("queue export 17 18 --to /tmp/look"))
@click.argument("ids", nargs=-1, required=True, metavar="ID...", type=ITEM_ID)
@click.option(
    "--to", "folder", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write to."
)
@config_option
@json_option
@click.pass_obj
def export(inherited: Path | None, given: Path | None, ids: tuple[int, ...], folder: Path, *, as_json: bool) -> None:
    """Copy pictures and the metadata that goes with them into a folder; nothing there is replaced."""
    from agent.commands.document import pieces
    from agent.items import export as export_item
    from agent.spool.selection import Selection, rows

    with look(given or inherited) as (configuration, reader):
        gone = absent(reader, ids)
        found = rows(reader, Selection(ids=ids), limit=len(ids))
        written = (
            {"id": row["id"], "picture": str(picture), "metadata": None if beside is None else str(beside)}
            for row in found
            for picture, beside in [export_item(reader.item(row, configuration.spool_dir), folder)]
        )
        for line in pieces("exported", written) if as_json else (safe(entry["picture"]) for entry in written):
            click.echo(line)
    complain(gone)
