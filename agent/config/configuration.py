"""Everything that was configured, as it goes from whoever read it to whoever works with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from agent.config.device_key import DeviceKeySource
    from agent.config.secret import Secret
    from agent.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that was configured, resolved.

    `settings` are `Values` at run time. `path` is the file that was read, None where there was none; by `mark` the
    whole is known again. `device_key` is the key at the time of loading, None where there is none yet;
    `device_key_source` says where it came from, and can be read again.
    """

    settings: Settings
    path: Path | None
    device_key: Secret | None
    device_key_source: DeviceKeySource
    spool_dir: Path
    state_file: Path
    mark: str = ""
