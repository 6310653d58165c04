"""The items of the queue, as they are told to people and programs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from agent.clock import boot_id
from agent.errors import AgentError
from agent.spool.durable import disk_errors, fsync_directory, make_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from agent.clock import Clock
    from agent.frame import Item
    from agent.spool.reader import Reader

PIECE = 262_144
BOOT = "SELECT value FROM meta WHERE key = 'boot_id'"

Row = Any  # a row of the table of items, read by column name


def due_in(reader: Reader, clock: Clock) -> Callable[[float], float]:
    """Return what tells how many seconds from now a `not_before` is; one of an earlier boot holds no more."""
    row = reader.one(BOOT)
    same_boot = row is not None and row[0] == boot_id()
    now = clock.boot()
    return lambda not_before: round(max(0.0, not_before - now), 1) if same_boot else 0.0


def summary(row: Row, due: Callable[[float], float]) -> dict[str, Any]:
    """Return what a list tells of an item; `due_in_s` is None for one that is quarantined."""
    return {
        "id": row["id"],
        "state": row["state"],
        "source": row["source"],
        "filename": row["filename"],
        "captured_at": row["captured_at"],
        "size": row["size"],
        "attempts": row["attempts"],
        "outcome_unknown": bool(row["outcome_unknown"]),
        "due_in_s": due(row["not_before"]) if row["state"] == "waiting" else None,
        "reason": row["reason"],
    }


def details(item: Item) -> dict[str, Any]:
    """Return what else is known of an item: its files, and what the platform is told."""
    return {
        "media_type": item.media_type,
        "sha256": item.sha256 or None,
        "reencoded": item.reencoded,
        "path": item.pathname,
        "present": os.path.lexists(item.pathname),
        "sidecar": str(item.beside) if item.beside else None,
        "original": item.origin.pathname if item.origin else None,
        "after_delivery": item.origin.after if item.origin else None,
        "metadata": _metadata(item.metadata),
    }


def _metadata(text: str) -> object:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text


def export(item: Item, folder: Path) -> tuple[Path, Path | None]:
    """Copy an item's picture, and its metadata beside it as it would be sent; return both paths, once durable.

    An item that is no whole picture has no metadata. Raises `AgentError` where a name is taken: nothing is replaced.
    """
    make_directory(folder)
    picture = folder / item.filename
    beside = picture.with_suffix(".json") if item.metadata else None
    _write_new(picture, _pieces(item))
    if beside is not None:
        try:
            _write_new(beside, [item.metadata.encode()])
        except BaseException:
            picture.unlink(missing_ok=True)
            raise
    fsync_directory(folder)
    return picture, beside


def _pieces(item: Item) -> Iterable[bytes]:
    try:
        with item.path.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except FileNotFoundError:
        raise AgentError(f"the file of item {item.id} is not there any more: {item.path}") from None


def _write_new(path: Path, data: Iterable[bytes]) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise AgentError(f"{path} exists and was left as it is", remedy="Export to another folder.") from None
    except OSError as error:
        raise AgentError(f"cannot write {path}: {error.strerror}") from error
    try:
        with disk_errors("write", path), os.fdopen(descriptor, "wb") as file:
            for piece in data:
                file.write(piece)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
