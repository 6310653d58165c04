"""From the settings to the one TLS context of a run; what does not work is told by the key that it was written in."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from agent.config.client_key import check_client_key
from agent.errors import ConfigError
from agent.platform.client import present, tls_context

if TYPE_CHECKING:
    from pathlib import Path

    from agent.config.settings import ServerSettings


def secured(server: ServerSettings) -> ssl.SSLContext | None:
    """Make the context, None for a plain `http` URL; raises `ConfigError` where a file of it cannot be used."""
    try:
        context = tls_context(server.url, server.ca_file)
    except (OSError, ssl.SSLError) as error:
        what = f"server.ca_file {server.ca_file} cannot be used: {error}"
        raise ConfigError(what, remedy="Give a readable PEM file.") from error
    if context is not None and server.client_cert_file is not None:
        _present(context, server.client_cert_file, server.client_key_file)
    return context


def _present(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    check_client_key(key_file or cert_file)
    try:
        present(context, cert_file, key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"server.client_cert_file {cert_file} cannot be used: {error}",
            remedy="Give PEM files of a certificate and of its key, without a passphrase.",
        ) from error
