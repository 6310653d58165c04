"""How this device identifies itself to the platform, and whom it trusts: its key and its certificates."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from agent.config.device_key import read_device_key
from agent.errors import ConfigError
from agent.platform.client import tls_context
from agent.platform.key import KeyHolder

if TYPE_CHECKING:
    from agent.config.load import Configuration
    from agent.config.settings import ServerSettings


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


def trust(server: ServerSettings) -> ssl.SSLContext | None:
    """Return how the server's certificate is checked, None for plain HTTP; raises `ConfigError` for a bad `ca_file`."""
    try:
        return tls_context(server.url, server.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"server.ca_file {server.ca_file} cannot be used: {error}", remedy="Give a readable PEM file."
        ) from error
