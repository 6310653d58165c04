"""The last picture of each source with its boxes, for the status page: once delivered, it is nowhere else any more.

One small file a source on the memory file system, replaced at most every few seconds; a picture that is too large to
keep in memory is left out. Where there is no memory file system there are no previews: flash is not for that.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.clock import utc_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.clock import Clock
    from agent.spool.records import Staged

EVERY_S = 5.0
LARGEST = 2_000_000
MOST = 32
HEAD = 262_144


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture, when it was captured, and what it is sent with."""

    media_type: str
    captured_at: str
    metadata: str
    picture: bytes


class Previews:
    """Keeps them in `folder`; a disk that refuses is no reason to stop."""

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._kept: dict[str, float] = {}

    def captured(self, batch: Sequence[Staged]) -> None:
        """Keep the last picture of each source in a batch; called while their files are there for sure."""
        now = self._clock.boot()
        for source, one in {one.draft.source: one for one in batch}.items():
            is_due = now - self._kept.get(source, float("-inf")) >= EVERY_S
            if is_due and one.draft.size <= LARGEST and (source in self._kept or len(self._kept) < MOST):
                self._kept[source] = now
                with suppress(OSError):
                    self._keep(source, one)

    def _keep(self, source: str, one: Staged) -> None:
        draft = one.draft
        data = draft.body if isinstance(draft.body, bytes) else one.path.read_bytes()
        head = {"type": draft.media_type, "at": utc_text(draft.captured_at), "metadata": draft.metadata}
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self._folder / f".{source}.{os.getpid()}.tmp"
        temporary.write_bytes(json.dumps(head).encode() + b"\n" + data)
        temporary.replace(self._folder / source)


def read_preview(folder: Path, source: str) -> Preview | None:
    """Return what is kept of a source; None where there is nothing, or nothing sensible."""
    if "/" in source or source.startswith("."):
        return None
    try:
        with (folder / source).open("rb") as file:
            head = json.loads(file.readline(HEAD))
            return Preview(str(head["type"]), str(head["at"]), str(head["metadata"]), file.read(LARGEST))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def previews_folder(state_file: Path) -> Path:
    """Return where the previews of an agent lie: beside its state file."""
    return state_file.with_suffix(".previews")
