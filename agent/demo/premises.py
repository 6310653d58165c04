"""The folder that a demonstration works in, and the configuration of its agent."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shlex
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.errors import Halt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FOLDER, CAMERA = "captures", "scene"  # the sources' names
_CONFIGURATION = """\
# Written by `acusight-agent demo` at each start.

[server]
url = {url}
device_key_file = {key_file}

[model]
id = "demo"
version = "1"

[[watch]]
name = "{folder}"
path = {captures}
{watch}

[[camera]]
name = "{camera}"
source = {source}
interval_s = {interval_s}

[spool]
dir = {spool}
max_bytes = "500 MB"
min_free_bytes = "50 MB"

[upload]
start_jitter_s = 0.0
grace_s = 2.0

[log]
format = "console"
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """How the test scene is filmed: the program's options, and how often the agent takes a picture of it."""

    options: tuple[str, ...]
    interval_s: float


@dataclass(frozen=True, slots=True)
class Premises:
    """Where one demonstration keeps what it needs; `captures` is the watched folder.

    Both are absolute. What the disk refuses is a Halt.
    """

    folder: Path
    captures: Path

    @property
    def key_file(self) -> Path:
        """The throwaway device key."""
        return self.folder / "device_key"

    @property
    def config_file(self) -> Path:
        """The agent's configuration."""
        return self.folder / "config.toml"

    @property
    def spool(self) -> Path:
        """Where the agent's pictures wait."""
        return self.folder / "spool"

    @property
    def platform(self) -> Path:
        """Where the sandbox keeps what arrived."""
        return self.folder / "platform"

    @property
    def agent_log(self) -> Path:
        """What the agent said, where that is not shown."""
        return self.folder / "agent.log"

    @property
    def sandbox_log(self) -> Path:
        """What the sandbox said: nothing, unless something is wrong."""
        return self.folder / "sandbox.log"

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Hold the folder against a second demonstration, with a new device key in it; what it has is kept."""
        with disk(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "lock").open("wb")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Halt(
                    f"another demo runs in {self.folder}", remedy="Stop it first, or choose another --dir"
                ) from None
            with disk(self.captures):
                self.captures.mkdir(parents=True, exist_ok=True)
            self._write(self.key_file, f"adk_{secrets.token_hex(16)}\n")
            yield

    def configure(self, url: str, scene: Scene, *, watch: str = "") -> None:
        """Write the configuration: `url` is the sandbox's, `watch` more lines of the watched folder's table."""
        program = [sys.executable, "-m", "agent.sandbox.scene", *scene.options]
        text = _CONFIGURATION.format(
            url=quoted(url),
            key_file=quoted(self.key_file),
            captures=quoted(self.captures),
            folder=FOLDER,
            watch=watch,
            camera=CAMERA,
            source=quoted(f"cmd:{shlex.join(program)}"),
            interval_s=scene.interval_s,
            spool=quoted(self.spool),
        )
        self._write(self.config_file, text)

    def _write(self, path: Path, text: str) -> None:
        with disk(path), open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:  # noqa: PTH123 (a descriptor)
            os.fchmod(file.fileno(), 0o600)
            file.write(_encoded(text))


def quoted(value: object) -> str:
    """Return a value's text as a TOML string: JSON's is one, but for a control character that JSON leaves alone."""
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def listed(values: Sequence[str]) -> str:
    """Return texts as a TOML array."""
    return f"[{', '.join(map(quoted, values))}]"


@contextmanager
def disk(path: Path) -> Iterator[None]:
    """Turn what the disk refuses into a Halt that names the path."""
    try:
        yield
    except OSError as error:
        raise Halt(f"the demo cannot use {path}: {error.strerror}", remedy="Choose another --dir") from error


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise Halt("the demo's folder has a name that is no text", remedy="Choose another --dir") from None
