"""The shape of the platform's answers: one JSON object that says how it went."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

DUPLICATE = "DUPLICATE_IMAGE"
_CODES = {400: "VALIDATION_ERROR", 401: "INVALID_DEVICE_KEY", 409: DUPLICATE, 413: "PAYLOAD_TOO_LARGE"}
_WITHOUT_BODY = {204, 304}


def success(data: Mapping[str, object], status: int = 200) -> Response:
    """Return the answer to a request that went well."""
    return as_json({"success": True, "data": data, "meta": {"server": "sandbox"}}, status)


def failure(status: int, message: str, code: str | None = None) -> Response:
    """Return the answer to a request that did not; the code is that of the status unless given."""
    error = {"code": code or default_code(status), "message": message, "details": ""}
    return as_json({"success": False, "error": error, "meta": {"server": "sandbox"}}, status)


def as_json(value: object, status: int = 200) -> Response:
    """Return any value as JSON in ASCII: a lone surrogate out of somebody's metadata cannot break the answer."""
    return plain(json.dumps(value).encode(), status, "application/json")


def plain(body: bytes, status: int, media_type: str) -> Response:
    """Return these bytes, or none where HTTP allows no body."""
    return Response(b"" if status in _WITHOUT_BODY else body, status, media_type=media_type)


def default_code(status: int) -> str:
    """Return the error code for a status, also for one that nobody has named."""
    try:
        return _CODES.get(status) or HTTPStatus(status).name
    except ValueError:
        return f"STATUS_{status}"


def base_url(request: Request) -> str:
    """Return the URL that the client sees the sandbox at; it is the client's own text."""
    return f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"
