"""`acusight-agent receipt`: whether a picture arrived, and the proof."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.commands import document
from agent.commands.beside import config_option, examples, json_option, look, safe
from agent.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.fate import Trace
    from agent.spool.reader import Reader

DIGEST = re.compile(r"[0-9a-fA-F]{64}")
TOLD = ("id", "state", "source", "filename", "captured_at", "attempts", "outcome_unknown", "reason")


@click.command("receipt", epilog=examples("receipt captures/part-17.jpg", "receipt --json 2c26b46b68ffc68f…"))
@click.argument("picture", metavar="FILE|SHA256|NAME")
@config_option
@json_option
@click.pass_obj
def command(inherited: Path | None, given: Path | None, picture: str, *, as_json: bool) -> None:
    """Show the receipt of a picture: a file, the sha256 of its bytes, or the name that it was uploaded under.

    Ends with 0 when the platform has it, and with 1 when there is no receipt, saying where it is instead: in the
    queue, set aside, or skipped by [select]. A camera's skipped frames are counted, and not known one by one.
    """
    with look(given or inherited) as (configuration, reader):
        trace = _find(reader, picture, [watch.path for watch in configuration.settings.watch])
    receipt = None if trace.receipt is None else _receipt(trace.receipt)
    if as_json:
        item = None if trace.item is None else _item(trace.item)
        click.echo(
            document.text(asked=picture, fate=trace.fate, skipped_by=_skipped_by(trace), receipt=receipt, item=item)
        )
    elif receipt is not None:
        for name, value in receipt.items():
            click.echo(f"{name:16} {safe('-' if value is None else value)}")
    if receipt is None:
        raise AgentError(f"no receipt for {safe(picture)}: {_instead(trace)}")


def _find(reader: Reader, picture: str, roots: Sequence[Path]) -> Trace:
    from agent.fate import as_watched, see, trace_digests, trace_files, trace_name
    from agent.sources.listing import sighting
    from agent.sources.opening import Vanished

    if DIGEST.fullmatch(picture):
        return trace_digests(reader, [picture.lower()])[picture.lower()]
    watched = None
    try:
        real = Path(os.path.realpath(picture))
        watched = as_watched(real, roots)
        return next(trace_files(reader, [see(reader, watched or real, sighting(real.lstat()))]))[1]
    except (OSError, ValueError, Vanished):  # no such file, and perhaps not even a name for one
        return trace_name(reader, picture, watched or Path(picture).absolute())


def _receipt(row: dict[str, Any]) -> dict[str, Any]:
    origin = row["origin"]
    return {
        "id": row["item_id"],
        "source": row["source"],
        "filename": row["filename"],
        "delivered_at": row["delivered_at"],
        "captured_at": row["captured_at"],
        "result": row["result"],
        "image_id": row["image_id"],
        "batch_id": row["batch_id"],
        "storage_key": row["storage_key"],
        "size": row["size"],
        "sha256": row["sha256"],
        "attempts": row["attempts"],
        "outcome_unknown": bool(row["outcome_unknown"]),
        "original": None if origin is None else os.fsdecode(origin),
    }


def _item(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in TOLD} | {"outcome_unknown": bool(row["outcome_unknown"])}


def _skipped_by(trace: Trace) -> str | None:
    from agent.fate import SKIPPED

    return trace.skipped if trace.fate == SKIPPED else None


def _instead(trace: Trace) -> str:
    from agent.fate import MEANINGS

    item = trace.item
    if item is None:
        by = _skipped_by(trace)
        return MEANINGS[trace.fate] + (f" (by {safe(by)})" if by else "")
    if item["state"] == "waiting":
        return f"it waits in the queue as item {item['id']}"
    return f"it is quarantined as item {item['id']} ({safe(item['reason'] or 'no reason is known')})"
