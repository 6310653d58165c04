"""The process's environment, read once; nothing else in the agent looks at it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "ACUSIGHT_AGENT_"

# What systemd hands to this process alone, and what may hold the device key.
_WITHHELD = ("ACUSIGHT_", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What surrounds the process: the folders and sockets it was given, and the settings it overrides.

    `overrides` holds the `ACUSIGHT_AGENT_…` variables under their full names; `children` is the environment for
    child processes, without secrets and without what belongs to the service manager. Neither is in the `repr`.
    """

    home: Path = Path("/")
    working_directory: Path = Path("/")
    state_directory: Path | None = None
    runtime_directory: Path | None = None
    credentials_directory: Path | None = None
    xdg_state_home: Path | None = None
    xdg_runtime_dir: Path | None = None
    notify_socket: str | None = None
    watchdog_usec: int | None = None
    watchdog_pid: int | None = None
    listen_fds: int | None = None
    listen_pid: int | None = None
    journal_stream: str | None = None
    invocation_id: str | None = None
    no_color: bool = False
    overrides: Mapping[str, str] = field(default_factory=dict, repr=False)
    children: Mapping[str, str] = field(default_factory=dict, repr=False)


def read_environment() -> Environment:
    """Read the environment of this process."""
    return parse_environment(os.environ, _working_directory())


def parse_environment(variables: Mapping[str, str], working_directory: Path) -> Environment:
    """Make an `Environment` of plain variables; malformed values count as absent."""
    return Environment(
        home=_folder(variables.get("HOME")) or Path("/"),
        working_directory=working_directory,
        state_directory=_folder(variables.get("STATE_DIRECTORY")),
        runtime_directory=_folder(variables.get("RUNTIME_DIRECTORY")),
        credentials_directory=_folder(variables.get("CREDENTIALS_DIRECTORY")),
        xdg_state_home=_folder(variables.get("XDG_STATE_HOME")),
        xdg_runtime_dir=_folder(variables.get("XDG_RUNTIME_DIR")),
        notify_socket=variables.get("NOTIFY_SOCKET") or None,
        watchdog_usec=_number(variables.get("WATCHDOG_USEC")),
        watchdog_pid=_number(variables.get("WATCHDOG_PID")),
        listen_fds=_number(variables.get("LISTEN_FDS")),
        listen_pid=_number(variables.get("LISTEN_PID")),
        journal_stream=variables.get("JOURNAL_STREAM") or None,
        invocation_id=variables.get("INVOCATION_ID") or None,
        no_color=bool(variables.get("NO_COLOR")),
        overrides=MappingProxyType({k: v for k, v in variables.items() if k.startswith(PREFIX)}),
        children=MappingProxyType({k: v for k, v in variables.items() if not k.startswith(_WITHHELD)}),
    )


def _folder(value: str | None) -> Path | None:
    # systemd joins several directories with colons; the first is ours. The XDG rules ignore relative paths.
    path = Path((value or "").partition(":")[0])
    return path if path.is_absolute() else None


def _number(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 20 else None  # noqa: PLR2004 (the digits of 64 bits)


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except OSError:  # it was removed under us
        return Path("/")
