"""Files that tell of all pictures in their folder: parsed once per change, and asked for one picture at a time."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from agent.annotations.lookup import fits
from agent.annotations.read import MAX_SIDECAR_BYTES, Subject, sidecar_of
from agent.annotations.recognition import recognised
from agent.errors import BadSidecar, Wait
from agent.sources.listing import sighting
from agent.sources.opening import open_below

if TYPE_CHECKING:
    from pathlib import Path

    from agent.annotations.plan import AnnotationPlan
    from agent.sources.settle import Sighting

log = structlog.get_logger(__name__)

# Each holds at most what its file has, 8 MB.
REMEMBERED = 4


@dataclass(frozen=True, slots=True)
class SharedFile:
    """What one version of such a file says: a small document for each picture, or why it cannot be read."""

    name: str
    sighting: Sighting
    excerpts: dict[str, bytes] = field(default_factory=dict)
    error: BadSidecar | None = None

    def excerpt(self, picture: str) -> bytes | None:
        """Return what it says of a picture, None where it says nothing."""
        found = self.excerpts.get(picture)
        if found is not None:
            return found
        stem = picture.rpartition(".")[0] or picture
        named = next((name for name in (stem, stem.lstrip("0")) if name and name in self.excerpts), None)
        return None if named is None or not (fits(named, picture) or named.isdecimal()) else self.excerpts[named]


class SharedFiles:
    """Reads such files; the last few stay in memory until they change."""

    def __init__(self, plan: AnnotationPlan) -> None:
        self._plan = plan
        self._files: OrderedDict[Path, SharedFile] = OrderedDict()

    def look(self, path: Path, root: Path, shown: str) -> SharedFile | None:
        """Return what lies at a path now; None where it is no regular file, or no readable one.

        `shown` is its name below `root`, beneath which it is opened.
        """
        try:
            with open_below(root, shown) as (descriptor, status):
                known = self._files.get(path)
                if known is not None and known.sighting == sighting(status):
                    self._files.move_to_end(path)
                    return known
                data = os.pread(descriptor, MAX_SIDECAR_BYTES + 1, 0)
                now = sighting(os.fstat(descriptor))
        except (Wait, OSError):
            return None
        self._files[path] = found = self._parsed(shown, data, now)
        self._files.move_to_end(path)
        while len(self._files) > REMEMBERED:
            self._files.popitem(last=False)
        return found

    def _parsed(self, shown: str, data: bytes, now: Sighting) -> SharedFile:
        try:
            content = recognised(sidecar_of(shown, data, Subject("", 1, 1), self._plan), self._plan.formats)
            excerpts = content.excerpts()
        except BadSidecar as error:
            return SharedFile(shown, now, error=error)
        if not excerpts:
            log.info("shared_sidecar_unused", path=shown, reason=f"as {content.format.name} it names no picture")
        return SharedFile(shown, now, {name: _text(document) for name, document in (excerpts or {}).items()})


def _text(document: object) -> bytes:
    if isinstance(document, str):
        return document.encode()
    return json.dumps(document, separators=(",", ":")).encode()
