"""The key file as provisioning writes it: a new key lies beside the old one until it is proven.

The platform shows a key once. So its place is made durable before the key is asked for, and it is written there before
anything else can go wrong; the next run finds it.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from agent.config.device_key import checked_key
from agent.config.regular import read_regular
from agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent.config.secret import Secret

LARGEST = 4096
NEW = ".new"
REFUSED = ".refused"


class KeyFile:
    """A device key's file, and what lies beside it: `.new` is not proven yet, `.refused` was not taken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.new = path.with_name(path.name + NEW)
        self.refused = path.with_name(path.name + REFUSED)

    def current(self) -> Secret | None:
        """Return the key in use; None where there is none. ConfigError where the file is something else."""
        return _read(self.path)

    def unproven(self) -> Secret | None:
        """Return the key that an earlier run was given and did not prove."""
        return _read(self.new)

    def reserve(self) -> Reserved:
        """Make a durable place for a key, before there is one: a disk that refuses has to say so now."""
        with _disk("make a place for the key", self.new):
            self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            descriptor = os.open(self.new, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                _lock(descriptor, self.new)
                os.fchmod(descriptor, 0o600)
                os.posix_fallocate(descriptor, 0, LARGEST)  # a disk that fills up meanwhile has room for the key
                os.fsync(descriptor)
                _flush(self.path.parent)
            except BaseException:
                os.close(descriptor)
                raise
        return Reserved(self, descriptor)

    def install(self) -> None:
        """Put the new key in the place of the old one; whoever reads meanwhile finds the one or the other."""
        with _disk("put the new key into place", self.path):
            with suppress(FileNotFoundError, PermissionError):  # root provisions for the agent's own user
                owner = self.path.stat()
                os.chown(self.new, owner.st_uid, owner.st_gid)
            self.new.replace(self.path)
            _flush(self.path.parent)

    def set_aside(self) -> None:
        """Keep a new key that the platform refuses, out of the way."""
        with _disk("set the refused key aside", self.refused):
            self.new.replace(self.refused)
            _flush(self.path.parent)


class Reserved:
    """The open place for a key that is about to come."""

    def __init__(self, file: KeyFile, descriptor: int) -> None:
        self._file = file
        self._descriptor = descriptor

    def keep(self, key: str) -> None:
        """Write the key down, durably."""
        with _disk("write the new key", self._file.new):
            data = key.encode("utf-8", "replace")[: LARGEST - 1] + b"\n"
            os.write(self._descriptor, data)
            os.ftruncate(self._descriptor, len(data))
            os.fsync(self._descriptor)

    def close(self, *, used: bool) -> None:
        """Let go of the place; one that was not used is taken away."""
        if not used:
            with suppress(OSError):
                self._file.new.unlink()
        os.close(self._descriptor)


def _read(path: Path) -> Secret | None:
    found = read_regular(path, "device key file", largest=LARGEST)
    if found is None:
        return None
    try:
        return checked_key(found[0].decode("utf-8", "replace").strip("\0"))  # an empty place is zeros
    except ValueError as error:
        raise ConfigError(f"{path} {error}") from None


def _lock(descriptor: int, path: Path) -> None:
    """Have the place to ourselves: a second run would take away what the first has just been given."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"another run is provisioning into {path}", remedy="Let it end first.") from None


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _disk(doing: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"cannot {doing} ({path}): {error.strerror}", remedy="Name another place with --key-file."
        ) from error
