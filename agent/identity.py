"""How this device identifies itself to the platform: its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.config.device_key import read_device_key
from agent.errors import ConfigError
from agent.platform.key import KeyHolder

if TYPE_CHECKING:
    from agent.config.configuration import Configuration


def key_holder(configuration: Configuration) -> KeyHolder:
    """Return the configured key, which can be read again; raises `ConfigError` where there is none."""
    if configuration.device_key is None:
        raise ConfigError(
            f"there is no device key (looked in: {configuration.device_key_source})",
            remedy="Put it into a file of mode 600 and name that in server.device_key_file.",
        )

    def read_again() -> str | None:
        key = read_device_key(configuration.device_key_source)
        return key.get_secret_value() if key else None

    return KeyHolder(configuration.device_key.get_secret_value(), read_again)
