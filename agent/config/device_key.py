"""The device key: where it may come from, and what it looks like."""

from __future__ import annotations

import re
import shlex
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.config.regular import read_regular
from agent.config.secret import Secret
from agent.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_KEY = re.compile(r"adk_[0-9A-Fa-f]+")
_LARGEST = 4096  # bytes of a key file; a real one has well under 100
_READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH


@dataclass(frozen=True, slots=True)
class DeviceKeySource:
    """Where the device key is looked for: written out in the settings, else in a file, else as a credential.

    `inline_place` names the variable or file that `inline` was written in. A source is kept for the life of the
    process and read again when the platform refuses the key, so that a rotated key file needs no restart.
    """

    inline: Secret | None = None
    inline_place: str = ""
    file: Path | None = None
    credential: Path | None = None

    def __str__(self) -> str:
        """Say which of them is in use; never the key."""
        if self.inline is not None:
            return self.inline_place
        if self.file is not None:
            return str(self.file)
        return str(self.credential) if self.credential is not None else "nowhere"


def read_device_key(source: DeviceKeySource) -> Secret | None:
    """Return the key as it is now; None where there is none, or its file is missing or empty.

    Raises ConfigError where a file cannot be read, is open to others, or holds something else than a device key.
    """
    if source.inline is not None:
        return source.inline
    path = source.file or source.credential
    if path is None:
        return None
    found = read_regular(path, "device key file", largest=_LARGEST)
    if found is None:
        return None
    raw, mode = found
    # systemd keeps credentials to the service's user by other means than the mode bits.
    if source.file is not None and (fault := open_to_others(path, mode)):
        raise ConfigError(f"{path} {fault}")
    try:
        return checked_key(raw.decode("utf-8", "replace"))
    except ValueError as error:
        raise ConfigError(f"{path} {error}") from None


def checked_key(text: str) -> Secret | None:
    """Return the stripped key, None for an empty text; ValueError, without the text, for anything else."""
    text = text.strip()
    if not text:
        return None
    if text.startswith("apt_"):
        raise ValueError("holds a provisioning token (apt_), not a device key; put the key that begins with adk_ there")
    if not _KEY.fullmatch(text):
        raise ValueError("holds no device key; a key is adk_ followed by hexadecimal digits, and nothing else")
    return Secret(text)


def open_to_others(path: Path, mode: int, what: str = "device key") -> str | None:
    """Return what is wrong with a secret file's mode and how to mend it; None when only its owner can read it."""
    if not mode & _READABLE_BY_OTHERS:
        return None
    return f"holds the {what} and can be read by other users; run: chmod 600 {shlex.quote(str(path))}"
