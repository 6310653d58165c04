"""The gate before the platform: counts requests, and lets the fault script have its way with them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from agent.sandbox import envelope
from agent.sandbox.wire import HANG_UP

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from agent.sandbox.faults import Fault, Faults, Route

ROUTES: dict[str, Route] = {
    "/device/images/upload": "upload",
    "/device/self": "self",
    "/device/checkin": "checkin",
    "/devices/provision": "provision",
    "/core/agent/checkin": "heartbeat",
}
MODELS = "/device/models/"
DROPPED = "dropped"
GONE = "gone"
PORTAL = b"<!doctype html><title>Welcome</title><h1>Welcome to the guest network</h1><p>Please sign in.</p>"


class Tally:
    """How many requests each route has answered, by status, `dropped` or `gone` (the client left first)."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def add(self, route: str, outcome: str) -> None:
        """Count one request."""
        self._counts.setdefault(route, Counter())[outcome] += 1

    def as_json(self) -> dict[str, dict[str, int]]:
        """Return the counts by route and outcome."""
        return {route: dict(outcomes) for route, outcomes in self._counts.items()}


class Gate:
    """An ASGI application around the platform's; its own `/_sandbox/` and the page pass untouched."""

    def __init__(self, platform: ASGIApp, faults: Faults, tally: Tally) -> None:
        self._platform = platform
        self._faults = faults
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, the way the script wants it."""
        route = route_of(scope["path"])
        if route is None:
            with suppress(ClientDisconnect):
                await self._platform(scope, receive, send)
            return
        fault = self._faults.next(route)
        try:
            answer = await self._answer(fault, scope, receive)
        except ClientDisconnect:
            self._tally.add(route, GONE)
            return
        if not answer:
            self._tally.add(route, DROPPED)
            scope["state"][HANG_UP]()
            await _gone(receive)
            return
        self._tally.add(route, str(answer[0]["status"]))
        for message in answer:
            await send(message)

    async def _answer(self, fault: Fault | None, scope: Scope, receive: Receive) -> list[Message]:
        if fault is None:
            return await _held(self._platform, scope, receive)
        stand_in = answer_of(fault)
        if stand_in is not None:
            await _read_all(receive)
            answer = await _held(stand_in, scope, receive)
        else:
            answer = [] if fault.drop == "before" else await _held(self._platform, scope, receive)
        await _delay(fault.delay_s, receive)
        return [] if fault.drop else answer


def route_of(path: str) -> Route | None:
    """Return the name of a path, with or without `/api`; None for what is no part of the platform."""
    if path == "/" or path.startswith("/_sandbox/"):
        return None
    path = path.removeprefix("/api")
    return "model" if path.startswith(MODELS) else ROUTES.get(path, "other")


def answer_of(fault: Fault) -> Response | None:
    """Return what a rule says instead of the platform; None where the platform itself is to answer."""
    status = fault.answer_status
    if status is None:
        return None
    answer = _body_of(fault, status)
    if fault.redirect is not None:
        answer.headers["location"] = fault.redirect
    if fault.retry_after is not None:
        answer.headers["retry-after"] = str(fault.retry_after)
    return answer


def _body_of(fault: Fault, status: int) -> Response:
    if fault.portal:
        return envelope.plain(PORTAL, status, "text/html")
    if isinstance(fault.body, str):
        return envelope.plain(fault.body.encode(errors="replace"), status, "text/plain")
    if fault.body is not None:
        return envelope.plain(json.dumps(fault.body).encode(), status, "application/json")
    if status < HTTPStatus.BAD_REQUEST:
        return envelope.success({}, status)
    code = fault.code or (envelope.DUPLICATE if fault.duplicate else None)
    default = "This image was uploaded before" if fault.duplicate else "The fault script says so"
    return envelope.failure(status, fault.message or default, code=code)


async def _held(app: ASGIApp, scope: Scope, receive: Receive) -> list[Message]:
    messages: list[Message] = []

    async def hold(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, hold)
    return messages


async def _read_all(receive: Receive) -> None:
    # A proxy has the whole request before it answers. Unread, the delay of a large body would be a send that blocks.
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if not message.get("more_body"):
            return


async def _delay(seconds: float, receive: Receive) -> None:
    # Waiting for the client to leave, not sleeping: the delay ends when the sandbox does, which hangs up on it.
    if not seconds:
        return
    try:
        async with asyncio.timeout(seconds):
            await _gone(receive)
    except TimeoutError:
        return
    raise ClientDisconnect


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
