"""`acusight-agent reconcile`: which pictures of a folder have arrived, and which have not."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.commands.beside import config_option, examples, json_option, look, safe
from agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agent.config.configuration import Configuration
    from agent.sources.listing import Listing
    from agent.spool.reader import Reader

TOGETHER = 2000  # files that share one look through the receipts, which takes some 0.1 s for 200,000 of them
UNREADABLE = "unreadable"


@click.command("reconcile", epilog=examples("reconcile captures", "reconcile --recursive --json /srv/pictures"))
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("-r", "--recursive", is_flag=True, help="Also the folders below.")
@click.option("--all", "everything", is_flag=True, help="Also list the pictures that were delivered.")
@config_option
@json_option
@click.pass_obj
def command(
    inherited: Path | None, given: Path | None, directory: Path, *, recursive: bool, everything: bool, as_json: bool
) -> None:
    """Compare the pictures of a folder with the receipts and the queue. Nothing is changed.

    Lists those that have not been delivered, and counts them all. Ends with 0 when every one was delivered, else
    with 1, also where the others were skipped by [select]: 0 says that a card may be wiped. Which names are pictures is
    what the configuration says of that folder, if it is watched.
    """
    from agent.commands.document import pieces
    from agent.fate import DELIVERED

    counts: dict[str, int] = {}
    with look(given or inherited) as (configuration, reader):
        found = _counted(_fates(reader, _listing(configuration, directory, recursive=recursive)), counts)
        told = (one for one in found if everything or one["fate"] != DELIVERED)
        if as_json:
            lines = pieces("files", told, tail=lambda: {"counts": counts}, directory=str(directory))
        else:
            lines = _lines(told, counts)
        for line in lines:
            click.echo(line)
    absent = sum(counts.values()) - counts.get(DELIVERED, 0)
    if absent:
        raise AgentError(f"{absent} of {sum(counts.values())} pictures have no receipt")


def _listing(configuration: Configuration, directory: Path, *, recursive: bool) -> Listing:
    """List a folder by the patterns, and under the path, by which the agent watches it."""
    from agent.config.sources import WatchSettings
    from agent.sources.listing import Listing

    here = directory.resolve()
    for watch in configuration.settings.watch:
        root = watch.path.resolve()
        if here.is_relative_to(root):
            return Listing(watch.path / here.relative_to(root), watch.patterns, recursive=recursive)
    return Listing(here, WatchSettings(path=here, name="any").patterns, recursive=recursive)


def _fates(reader: Reader, listing: Listing) -> Iterator[dict[str, Any]]:
    """Yield each picture with its fate; as many as share a look are held at once, however many there are."""
    from agent.errors import Wait
    from agent.fate import SKIPPED, Seen, see, trace_files
    from agent.sources.opening import Vanished

    walk = listing.walk()
    while names := list(islice(walk, TOGETHER)):
        seen: list[Seen] = []
        for name, sighting in names:
            try:
                seen.append(see(reader, listing.root / name, sighting))
            except Vanished:
                continue  # taken away since it was listed, as a delivery may do
            except Wait as error:
                yield {"path": name, "fate": UNREADABLE, "filename": None, "reason": str(error)}
        for file, trace in trace_files(reader, seen):
            row = trace.receipt or trace.item or {}
            yield {
                "path": str(file.path.relative_to(listing.root)),
                "fate": trace.fate,
                "filename": row.get("filename"),
                "reason": row.get("reason") or (trace.skipped if trace.fate == SKIPPED else None),
            }


def _counted(entries: Iterable[dict[str, Any]], counts: dict[str, int]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        counts[entry["fate"]] = counts.get(entry["fate"], 0) + 1
        yield entry


def _lines(entries: Iterable[dict[str, Any]], counts: dict[str, int]) -> Iterator[str]:
    from agent.fate import MEANINGS

    for entry in entries:
        reason = f" ({entry['reason']})" if entry["reason"] else ""
        yield safe(f"{entry['fate']:11} {entry['path']}{reason}")
    meanings = MEANINGS | {UNREADABLE: "not readable from here"}
    for fate in filter(counts.get, meanings):
        yield f"{counts[fate]:8} {fate}: {meanings[fate]}"
    if not counts:
        yield "there are no pictures"
