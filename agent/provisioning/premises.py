"""What provisioning finds on this device and leaves there: the configuration, the key's file, who the device is."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent.clock import SystemClock
from agent.config.address import check_url
from agent.config.completion import complete
from agent.config.example import EXAMPLE
from agent.config.key_file import KeyFile
from agent.config.load import load
from agent.config.paths import SYSTEM_CONFIG, find_config
from agent.config.regular import read_regular
from agent.errors import ConfigError, UsageError
from agent.platform.client import Client, Endpoint
from agent.platform.enrolment import bases
from agent.platform.transport import Transport
from agent.provisioning.provisioner import Provisioner
from agent.tls import secured
from agent.workers import Stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.config.environment import Environment
    from agent.config.settings import ServerSettings

KEY_NAME = "device_key"
ANSWER_S = 30.0
LARGEST_TOKEN = 4096
SERIAL = Path("/proc/device-tree/serial-number")  # of a Raspberry Pi or a Jetson: copied cards share all else
MACHINE = Path("/etc/machine-id")
TAIL = 8


class Premises:
    """The files of one device, settled before the token is spent: what is wrong with them is told first."""

    def __init__(
        self,
        given: Path | None,
        environment: Environment,
        *,
        url: str | None,
        key_file: Path | None,
        ca_file: Path | None,
    ) -> None:
        here = environment.working_directory
        self._environment = environment
        self.path = here / (find_config(given, environment) or "config.toml")
        self._is_new = not self.path.exists()
        # One that is to be written begins as the example, which says what the defaults say.
        self._configuration = load(EXAMPLE if self._is_new else self.path, environment)
        server = self._configuration.settings.server
        self.url = _checked(url or server.url, server)
        self._ca_file = here / ca_file if ca_file else None
        named = here / key_file if key_file else server.device_key_file
        self.keys = KeyFile(named or self.path.parent / KEY_NAME)
        self._inline = self._configuration.device_key_source.inline
        self.host = socket.gethostname()
        self._check_environment()
        self._check_writable()

    def provisioner(self, token_file: Path | None, *, say: Callable[[str], None]) -> Provisioner:
        """Put the parts together."""
        clock = SystemClock()
        server = self._server(self.url)
        context = secured(server)

        def dial(base: str, key: str) -> Client:
            endpoint = Endpoint(_checked(base, server), server.connect_timeout_s, ANSWER_S)
            return Client(
                endpoint, key=lambda: key, transport=Transport(context or secured(self._server(base))), clock=clock
            )

        return Provisioner(
            self.keys,
            dial,
            token=lambda: read_token(token_file),
            inline=self._inline,
            say=say,
            stop=Stop(),
            clock=clock,
            rng=random.Random(),  # noqa: S311 (jitter is no secret)
        )

    def device_id(self) -> str:
        """Make an id that a device keeps, and that a copy of its card on another board does not share."""
        return device_id_of(self.host, [_text(SERIAL), _text(MACHINE)])

    def complete(self, base: str) -> bool:
        """Have the configuration say where the API and the key are; tell whether it had to be written."""
        values = self._missing(base)
        written = bool(values) and complete(self.path, values)
        server = load(self.path, self._environment).settings.server if self.path.exists() else None
        if server is not None and server.url.rstrip("/") != base:
            raise ConfigError(
                f"the key is in place, but the environment sets another server.url than {base}",
                remedy=f"Unset ACUSIGHT_AGENT_SERVER__URL, or set it to {base}",
            )
        return written

    def _missing(self, base: str) -> dict[str, str | None]:
        server = self._configuration.settings.server
        values: dict[str, str | None] = {}
        if self._is_new or server.url.rstrip("/") != base:
            values["url"] = base
        if server.device_key_file != self.keys.path and not self._is_handed_over():
            beside = self.keys.path.parent == self.path.parent
            values["device_key_file"] = self.keys.path.name if beside else str(self.keys.path)
        if self._ca_file is not None and server.ca_file != self._ca_file:
            values["ca_file"] = str(self._ca_file)
        if self._inline is not None:
            values["device_key"] = None
        return values

    def _is_handed_over(self) -> bool:
        """Tell whether the service manager gives the key to the agent, which may not read the file itself."""
        return self.path == SYSTEM_CONFIG and self.keys.path == SYSTEM_CONFIG.parent / KEY_NAME

    def _server(self, url: str) -> ServerSettings:
        server = self._configuration.settings.server
        return server.model_copy(update={"url": url, "ca_file": self._ca_file or server.ca_file})

    def _check_environment(self) -> None:
        names = {name.upper() for name, value in self._environment.overrides.items() if value}
        if "ACUSIGHT_AGENT_SERVER__DEVICE_KEY" in names:
            what = "the environment sets the device key (ACUSIGHT_AGENT_SERVER__DEVICE_KEY), which wins over any file"
            raise ConfigError(what, remedy="Unset it, then provision.")

    def _check_writable(self) -> None:
        """Say before the token is spent that the configuration could not be written."""
        if not any(not self._missing(base) for base in bases(self.url)):
            folder = next(parent for parent in self.path.parents if parent.exists())
            if not os.access(folder, os.W_OK):
                raise ConfigError(
                    f"the configuration {self.path} may not be written", remedy="Run this as root, or name one with -c."
                )


def read_token(path: Path | None) -> str:
    """Return the token; raises `UsageError`, which never repeats it, where there is none."""
    if path is None:
        raise UsageError("a token is needed", remedy="Give --token-file FILE, or - and the token on standard input.")
    if str(path) == "-":
        text = sys.stdin.read(LARGEST_TOKEN)
    else:
        found = read_regular(path, "token file", largest=LARGEST_TOKEN)
        if found is None:
            raise UsageError(f"there is no token file {path}")
        text = found[0].decode("utf-8", "replace")
    token = text.strip()
    if token.startswith("adk_"):
        raise UsageError(
            "that is a device key (adk_), not a token",
            remedy="A key needs no provisioning: put it into server.device_key_file.",
        )
    if not (token.startswith("apt_") and token.isascii() and token.isprintable() and " " not in token):
        raise UsageError(
            "that is no provisioning token", remedy="A token begins with apt_ and stands alone in its file."
        )
    return token


def device_id_of(host: str, marks: list[str]) -> str:
    """Make an id of the host's name and of the first mark of its hardware, which it does not give away."""
    mark = next((text for text in marks if text), "")
    tail = hashlib.sha256(f"acusight-agent {mark}".encode()).hexdigest()[:TAIL]
    return f"{host or 'device'}-{tail}" if mark else host or "device"


def _checked(url: str, server: ServerSettings) -> str:
    try:
        check_url(url, allow_plain_http=server.allow_plain_http)
    except ValueError as error:
        raise UsageError(f"--url {error}") from None
    return url.rstrip("/")


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("ascii", "replace").strip("\0\n ")
    except OSError:
        return ""
