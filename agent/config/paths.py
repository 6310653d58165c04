"""Where things are: the configuration file, the folders it names, the spool and the state file."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.config.environment import Environment

SYSTEM_CONFIG = Path("/etc/acusight-agent/config.toml")
# Where the service manager puts what the service keeps: known here too, so that `status` in an administrator's shell
# looks where the service works, although that shell has none of the service's variables.
SYSTEM_STATE = Path("/var/lib/acusight-agent")
SYSTEM_RUNTIME = Path("/run/acusight-agent")

# Every key that holds a path; a test holds this list against the settings tree.
PATH_KEYS = {
    "server": ("device_key_file", "ca_file", "client_cert_file", "client_key_file"),
    "watch": ("path", "classes", "move_to"),
    "camera": ("source",),
    "annotator": ("classes", "model_file"),
    "spool": ("dir",),
    "page": ("token_file",),
    "models": ("dir",),
}
_NO_FILE = re.compile(r"[0-9]+|[a-z][a-z0-9+.-]*:.*", re.DOTALL)  # a camera's number, a URL, `gst:`, `cmd:`


def find_config(given: Path | None, environment: Environment) -> Path | None:
    """Return the configuration file to read: the given one, else the first that is there, else None."""
    if given is not None:
        return given
    for candidate in (environment.working_directory / "config.toml", SYSTEM_CONFIG):
        try:
            candidate.stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError(f"cannot look for {candidate}: {error.strerror}", remedy="Name a file with -c.") from None
        return candidate
    return None


def anchored(document: Mapping[str, Any], folder: Path, home: Path) -> dict[str, Any]:
    """Return `document` with its relative paths made absolute under `folder`, and `~` expanded."""
    result = dict(document)
    for section, keys in PATH_KEYS.items():
        tables = result.get(section)
        if isinstance(tables, list):
            result[section] = [_anchored_table(table, keys, folder, home) for table in tables]
        elif tables is not None:
            result[section] = _anchored_table(tables, keys, folder, home)
    return result


def spool_dir(configured: Path | None, environment: Environment, *, system: bool = False) -> Path:
    """Return the spool's folder: as configured, else in the service's state folder, else in the user's.

    `system` says that the configuration is the service's own, /etc/acusight-agent/config.toml.
    """
    if configured is not None:
        return configured
    if environment.state_directory is not None or system:
        return (environment.state_directory or SYSTEM_STATE) / "spool"
    state = environment.xdg_state_home or environment.home / ".local" / "state"
    return state / "acusight-agent" / "spool"


def state_file(spool: Path, environment: Environment, *, system: bool = False) -> Path:
    """Return where the daemon says how it is: on a memory file system where there is one."""
    if environment.runtime_directory is not None or system:
        return (environment.runtime_directory or SYSTEM_RUNTIME) / "state.json"
    if environment.xdg_runtime_dir is not None:
        # One user may run several agents; the spool tells them apart.
        digest = hashlib.sha256(bytes(spool)).hexdigest()[:12]
        return environment.xdg_runtime_dir / "acusight-agent" / f"{digest}.json"
    return spool / "state.json"


def _anchored_table(table: object, keys: tuple[str, ...], folder: Path, home: Path) -> object:
    if not isinstance(table, dict):
        return table
    return {key: _anchored_value(value, folder, home) if key in keys else value for key, value in table.items()}


def _anchored_value(value: object, folder: Path, home: Path) -> object:
    if not isinstance(value, str) or not value or _NO_FILE.fullmatch(value):
        return value
    if value == "~" or value.startswith("~/"):
        return str(home / value[2:])
    return str(folder / value)
