"""Small regular files, read without ever waiting for one that is something else."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from agent.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def read_regular(path: Path, what: str, *, largest: int) -> tuple[bytes, int] | None:
    """Return content and mode of the file at `path`, None where there is none.

    Raises ConfigError, with `what` as the file's part in things, for what cannot be read, is no regular file or has
    more than `largest` bytes.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            raw = file.read(largest + 1) if stat.S_ISREG(mode) else b""
    except FileNotFoundError:
        return None
    except PermissionError:
        remedy = "Give it to the user that runs the agent: chown USER FILE"
        raise ConfigError(f"the {what} {path} may not be read by this user", remedy=remedy) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot read the {what} {path}: {reason}") from None
    if not stat.S_ISREG(mode):
        raise ConfigError(f"the {what} {path} is no regular file")
    if len(raw) > largest:
        raise ConfigError(f"the {what} {path} is larger than {largest} bytes; is it the right file?")
    return raw, mode


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO would hold up the start
