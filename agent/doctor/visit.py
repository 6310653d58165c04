"""One visit to the platform, which changes nothing: its name looked up, its certificate read, `device/self` asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent.doctor.network import Reach, certificate, offset_s, resolve
from agent.errors import ConfigError, LinkFault
from agent.platform.client import Client, Endpoint
from agent.platform.transport import Transport
from agent.synchronisation import is_synchronised
from agent.tls import secured

if TYPE_CHECKING:
    import ssl

    from agent.clock import Clock
    from agent.config.secret import Secret
    from agent.config.settings import ServerSettings

STEP_S = 10.0
"""The longest that one step may take here, whatever uploads may."""
PORTS = {"http": 80, "https": 443}


def visit(server: ServerSettings, key: Secret | None, clock: Clock) -> Reach:
    """Return what came of it; without a key the server is not asked what it thinks of this device."""
    parts = urlsplit(server.url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    addresses, error = resolve(host, port)
    reach = Reach(server.url, addresses, error, now=clock.wall(), synchronised=is_synchronised())
    if error:
        return reach
    try:
        context = secured(server)
    except ConfigError:  # told with the configuration
        return reach
    if context is not None:
        version, ends = certificate(host, port, context, min(server.connect_timeout_s, STEP_S))
        reach = replace(reach, tls_version=version, certificate_ends=ends)
    return reach if key is None else _asked(reach, server, context, key, clock)


def _asked(reach: Reach, server: ServerSettings, context: ssl.SSLContext | None, key: Secret, clock: Clock) -> Reach:
    endpoint = Endpoint(server.url, min(server.connect_timeout_s, STEP_S), STEP_S)
    with Client(endpoint, key=key.get_secret_value, transport=Transport(context), clock=clock) as client:
        try:
            before = clock.wall()
            answer = client.identify()
            offset = offset_s(answer, before, clock.wall())
            return replace(reach, verdict=client.judge(answer), offset_s=offset)
        except LinkFault as fault:
            return replace(reach, fault=fault)
