"""The gate before the page: who may come in, from where, and under which headers what is said goes out.

A page on loopback is in reach of every site that its user visits. A foreign name that was made to point here (DNS
rebinding) fails on the `Host`, a foreign form on the `Origin`; a script from elsewhere is stopped by the policy.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from ipaddress import ip_address
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from agent.clock import Clock

HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    # Not no-referrer: with that, a browser sends `Origin: null` with the page's own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
SAFE = frozenset({"GET", "HEAD"})
REALM = {"www-authenticate": 'Basic realm="Acusight agent", charset="UTF-8"'}


class Gate:
    """An ASGI application around the page's; `names` are the host names that are this machine's."""

    def __init__(self, page: ASGIApp, *, token: str | None, names: frozenset[str], clock: Clock) -> None:
        self._page = page
        self._token = token
        self._names = names
        self._clock = clock
        self.visited_at = clock.boot()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or turn it away."""
        if scope["type"] != "http":
            return
        self.visited_at = self._clock.boot()
        answer = self._refusal(scope["method"], Headers(scope=scope)) or self._page

        async def harden(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await answer(scope, receive, harden)

    def _refusal(self, method: str, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if not is_ours(host, self._names):
            return PlainTextResponse("This page is not known by that name; use its address.\n", 421)
        if self._token is not None and not is_known(headers.get("authorization", ""), self._token):
            return PlainTextResponse("The page asks for its token: see [page] token_file.\n", 401, headers=REALM)
        if method not in SAFE and not is_own_form(host, headers):
            return PlainTextResponse("Only the page's own buttons may do that.\n", 403)
        return None


def is_ours(host: str, names: frozenset[str]) -> bool:
    """Tell whether a `Host` is an address, which nobody can rebind, or one of this machine's names; ports aside."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        ip_address(name)
    except ValueError:
        return name.lower() in names
    return True


def is_known(authorization: str, token: str) -> bool:
    """Tell whether somebody has the token, as a password (any user) or as a bearer."""
    scheme, _, said = authorization.partition(" ")
    if scheme.lower() == "basic":
        try:
            said = base64.b64decode(said, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(said.strip().encode(), token.encode())


def is_own_form(host: str, headers: Headers) -> bool:
    """Tell whether a request that changes something comes from a page of this very address."""
    origin = headers.get("origin", "")
    return origin in {f"http://{host}", f"https://{host}"} and headers.get("sec-fetch-site", "same-origin") == (
        "same-origin"
    )
