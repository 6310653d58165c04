"""The sandbox put together and run."""

from __future__ import annotations

import socket
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount
from uvicorn import Config

from agent.clock import SystemClock
from agent.errors import AgentError, Halt
from agent.sandbox import envelope
from agent.sandbox.contract import Keys, Refusal
from agent.sandbox.desk import Desk
from agent.sandbox.device import DeviceApi
from agent.sandbox.faults import Faults, Script
from agent.sandbox.gate import Gate, Tally
from agent.sandbox.store import Store
from agent.sandbox.wire import QuietServer, Wire

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from agent.sandbox.store import Upload

KEEP_ALIVE_S = 60


@dataclass(frozen=True, slots=True)
class Options:
    """How a sandbox is run; without `device_key` any well-formed key is taken, port 0 is any free one."""

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8600
    device_key: str | None = None
    script: Script = field(default_factory=Script)
    rejects_duplicates: bool = True
    tls_cert: Path | None = None
    tls_key: Path | None = None


def serve(options: Options, ready: Callable[[str], None], report: Callable[[Upload], None]) -> None:
    """Serve until SIGINT or SIGTERM; Halt where it cannot start.

    `ready` gets the URL once it listens, `report` each upload that was stored.
    """
    with _listen(options.host, options.port) as listener:
        url = _url(options, listener.getsockname()[1])
        with closing(Store(options.folder)) as store:
            config = _config(build(options, store, report), options)
            QuietServer(config, lambda: ready(url)).run([listener])


def build(options: Options, store: Store, report: Callable[[Upload], None]) -> Gate:
    """Return the whole application."""
    faults, tally = Faults(options.script), Tally()
    api = DeviceApi(
        store,
        Keys(options.device_key),
        faults,
        SystemClock(),
        rejects_duplicates=options.rejects_duplicates,
        report=report,
    )
    device = api.routes()
    desk = Desk(store, faults, tally, api.checkins)
    routes = [*device, Mount("/api", routes=device), *desk.routes()]
    platform = Starlette(routes=routes, exception_handlers={HTTPException: _refuse, AgentError: _refuse})
    platform.router.redirect_slashes = False
    return Gate(platform, faults, tally)


def _refuse(_request: Request, error: Exception) -> Response:
    match error:
        case Refusal():
            return envelope.failure(error.status, str(error), error.code)
        case HTTPException():
            return envelope.failure(error.status_code, error.detail)
    return envelope.failure(500, str(error))


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        what = f"the sandbox cannot listen on {host} port {port}: {error.strerror}"
        raise Halt(what, remedy="Choose another --port, or 0 for any free one") from error
    # asyncio sets this only on sockets that name their protocol, which those of create_server do not. Without it an
    # answer's body waits 40 ms for the client to acknowledge its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _config(application: Gate, options: Options) -> Config:
    config = Config(
        application,
        http=Wire,
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one too
        raise Halt(f"the certificate {options.tls_cert} or its key cannot be used: {error}") from error
    return config


def _url(options: Options, port: int) -> str:
    host = f"[{options.host}]" if ":" in options.host else options.host
    return f"{'https' if options.tls_cert else 'http'}://{host}:{port}"
