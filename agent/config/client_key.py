"""The private key of the device's own certificate: it must be nobody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.config.device_key import open_to_others
from agent.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def check_client_key(path: Path) -> None:
    """Raise `ConfigError` where the file cannot be found, or can be read by others; it says which `chmod` to run."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"cannot read the client key {path}: {error.strerror}") from None
    if fault := open_to_others(path, mode, "client certificate's key"):
        raise ConfigError(f"{path} {fault}")
