"""The folder that keeps what arrived: `images/<sha256>.<ext>`, and a line of `uploads.jsonl` for each upload.

Memory holds where each line starts, never the lines: metadata is somebody else's and may be large.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from bisect import bisect_right
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING, Any

from agent.errors import AgentError
from agent.media import EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE_BYTES = 32_000_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """One upload as it came in; `received_at` is UTC as text, `metadata` is None where none was sent."""

    filename: str
    sha256: str
    bytes: int
    media_type: str
    metadata: dict[str, Any] | None
    received_at: str
    key_suffix: str


@dataclass(frozen=True, slots=True)
class Upload(Arrival):
    """One upload as it is kept: numbered from 1, `duplicate` where its bytes had been here before."""

    id: int
    duplicate: bool


class Store:
    """The uploads of one folder; opening it again finds what it had. Every failure of the disk is an AgentError."""

    def __init__(self, folder: Path) -> None:
        self._images = folder / "images"
        self._models = folder / "models"
        self._path = folder / "uploads.jsonl"
        self._ids: list[int] = []
        self._spans: list[tuple[int, int]] = []
        self._known: set[str] = set()
        self._next_id = 1
        with _disk(folder):
            self._images.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+b", buffering=0)
            self._recall()

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def last_id(self) -> int:
        """The number of the newest upload, 0 before the first; it never goes back while the store is open."""
        return self._next_id - 1

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def has(self, sha256: str) -> bool:
        """Tell whether a picture of these bytes is kept."""
        return sha256 in self._known

    def add(self, picture: IO[bytes], arrival: Arrival) -> Upload:
        """Keep a picture, read from its start, and the line that tells of it."""
        upload = Upload(**asdict(arrival), id=self._next_id, duplicate=self.has(arrival.sha256))
        line = json.dumps(asdict(upload)).encode() + b"\n"
        with _disk(self._path):
            if not upload.duplicate:
                _write_whole(picture, self.image(upload))
            start = self._file.seek(0, os.SEEK_END)
            if self._file.write(line) < len(line):  # a full disk takes what fits
                self._file.truncate(start)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._remember(upload, start, len(line))
        return upload

    def image(self, upload: Upload) -> Path:
        """Return where the bytes of an upload are."""
        return self._images / f"{upload.sha256}.{EXTENSIONS[upload.media_type]}"

    def model(self, name: str) -> Path:
        """Return where a model of this name is, or is to be; the name is one of a file."""
        return self._models / name.replace("/", "_").lstrip(".")

    def get(self, upload_id: int) -> Upload | None:
        """Return one upload by its number."""
        found = self.since(upload_id - 1, 1)
        return found[0] if found and found[0].id == upload_id else None

    def newest(self, limit: int) -> list[Upload]:
        """Return the latest uploads, newest first."""
        return self._read(max(0, len(self) - limit), limit)[::-1]

    def since(self, upload_id: int, limit: int) -> list[Upload]:
        """Return the uploads after a number, oldest first: at most `limit`, fewer where their lines are long."""
        return self._read(bisect_right(self._ids, upload_id), limit)

    def clear(self) -> None:
        """Delete all uploads, and no other file; numbers go on while the store is open."""
        with _disk(self._path):
            self._file.truncate(0)
            for path in self._images.iterdir():
                if path.stem in self._known:
                    path.unlink()
        self._ids.clear()
        self._spans.clear()
        self._known.clear()

    def _read(self, first: int, limit: int) -> list[Upload]:
        found: list[Upload] = []
        budget = PAGE_BYTES
        with _disk(self._path):
            for start, length in self._spans[first : first + limit]:
                budget -= length
                if found and budget < 0:
                    break
                found.append(_upload(os.pread(self._file.fileno(), length, start)))
        return found

    def _recall(self) -> None:
        start = 0
        with self._path.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n"):  # torn by a kill: the next line must not be glued to it
                    self._file.truncate(start)
                    return
                # A line that somebody edited beyond recognition is passed over, not a reason to refuse the folder.
                with suppress(ValueError, TypeError):
                    self._remember(_upload(line), start, len(line))
                start += len(line)

    def _remember(self, upload: Upload, start: int, length: int) -> None:
        self._ids.append(upload.id)
        self._spans.append((start, length))
        self._known.add(upload.sha256)
        self._next_id = upload.id + 1


def digest(picture: IO[bytes]) -> str:
    """Return the sha256 of a file, read from its start in pieces."""
    picture.seek(0)
    sha256 = hashlib.sha256()
    while piece := picture.read(1 << 18):
        sha256.update(piece)
    return sha256.hexdigest()


def _upload(line: bytes) -> Upload:
    return Upload(**json.loads(line))


def _write_whole(picture: IO[bytes], target: Path) -> None:
    picture.seek(0)
    part = target.with_suffix(".part")
    with part.open("wb") as file:
        shutil.copyfileobj(picture, file, 1 << 18)
    part.replace(target)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AgentError(f"the sandbox cannot use {path}: {error.strerror}") from error
