"""Where models lie: `<id>/<version>/` with the model, its labels and what is known of it, and which one is in force.

What the platform calls a model is its own business: no name of it becomes part of a path as it is. Everything is
put in place by a rename, and `current.json` changes last, so that a power cut leaves the one or the other.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from agent.spool.durable import disk_errors, flush, fsync_directory, make_directory, write_file

if TYPE_CHECKING:
    from pathlib import Path

CURRENT = "current.json"
INCOMING = ".incoming"
ABOUT = "model.json"
LABELS = "labels.txt"
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_EXTENSION = re.compile(r"[a-z0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Model:
    """A model on the shelf; `folder` is relative to it."""

    model_id: str
    version: str
    folder: str
    file: str
    size: int
    sha256: str
    classes: tuple[str, ...] = ()


def folder_name(text: str) -> str:
    """Return a name for a folder: the text itself where it is plain, else what is plain of it and a digest."""
    if _PLAIN.fullmatch(text):
        return text
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:40]
    return f"{plain}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:12]}"


def file_name(extension: str) -> str:
    """Return what a model's file is called."""
    plain = extension.lower().lstrip(".")
    return f"model.{plain}" if _EXTENSION.fullmatch(plain) else "model.bin"


class ModelShelf:
    """The models of one device, used by one thread; whoever only reads `current` may do so at any time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def current(self) -> Model | None:
        """Return the model in force: the last one that was put, else the one before where that file is gone."""
        for known in self._known():
            path = self.path(known)
            with suppress(OSError):
                if path.stat().st_size == known.size:
                    return known
        return None

    def path(self, model: Model) -> Path:
        """Return where a model's file is."""
        return self.directory / model.folder / model.file

    def begin(self, name: str) -> Path:
        """Return the folder for what is on its way, with what came of it before; of others nothing is left."""
        folder = self.directory / INCOMING / name
        make_directory(folder)
        with disk_errors("look into", folder.parent):
            for other in folder.parent.iterdir():
                if other != folder:
                    shutil.rmtree(other, ignore_errors=True)
        return folder

    def put(self, staged: Path, model: Model) -> None:
        """Move what was tried into its place, and have it in force; raises `Wait` where the disk refuses."""
        target, incoming = self.directory / model.folder, staged.parent
        about = json.dumps(asdict(model), indent=1).encode()
        write_file(incoming / "about.tmp", incoming / ABOUT, [about])
        write_file(incoming / "labels.tmp", incoming / LABELS, [f"{name}\n".encode() for name in model.classes])
        with disk_errors("put the model into place", target):
            staged.rename(incoming / model.file)
            flush(incoming / model.file)
            fsync_directory(incoming)
            make_directory(target.parent)
            aside = target.with_name(f".{target.name}.old")
            if target.exists():
                shutil.rmtree(aside, ignore_errors=True)
                target.rename(aside)
            incoming.rename(target)
            fsync_directory(target.parent)
            shutil.rmtree(aside, ignore_errors=True)
        self._force(model)

    def prune(self) -> None:
        """Keep the model in force and the one before; older ones go."""
        kept = {(self.directory / known.folder).resolve() for known in self._known()}
        for about in self.directory.glob(f"*/*/{ABOUT}"):
            if about.parent.resolve() not in kept:
                shutil.rmtree(about.parent, ignore_errors=True)
                with suppress(OSError):  # others of this model are there still
                    about.parent.parent.rmdir()

    def _force(self, model: Model) -> None:
        before = [known for known in self._known() if known.folder != model.folder][:1]
        text = json.dumps({"schema": 1, "models": [asdict(known) for known in [model, *before]]}, indent=1)
        write_file(self.directory / f"{CURRENT}.{os.getpid()}.tmp", self.directory / CURRENT, [text.encode()])
        fsync_directory(self.directory)

    def _known(self) -> list[Model]:
        try:
            entries: list[dict[str, Any]] = json.loads((self.directory / CURRENT).read_bytes())["models"]
            return [Model(**{**entry, "classes": tuple(entry["classes"])}) for entry in entries]
        except (OSError, ValueError, TypeError, KeyError):
            return []
