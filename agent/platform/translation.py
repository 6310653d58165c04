"""Errors of sockets, TLS and the parser, told as httpx's."""

from __future__ import annotations

from http.client import HTTPException

import httpx


class Translation:
    """Turns what sockets, TLS and the parser raise into httpx's errors, as a transport of httpx does."""

    def __init__(self, error_type: type[httpx.TransportError], timeout_type: type[httpx.TimeoutException]) -> None:
        self._error_type = error_type
        self._timeout_type = timeout_type

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        match error:
            case None:
                pass
            case TimeoutError():
                raise self._timeout_type(str(error) or "timed out") from error
            case OSError() | UnicodeError():  # a host name that DNS cannot hold
                raise self._error_type(str(error)) from error
            case HTTPException() | ValueError():
                raise httpx.RemoteProtocolError(f"{type(error).__name__}: {error}") from error


CONNECTING = Translation(httpx.ConnectError, httpx.ConnectTimeout)
SENDING = Translation(httpx.WriteError, httpx.WriteTimeout)
RECEIVING = Translation(httpx.ReadError, httpx.ReadTimeout)
