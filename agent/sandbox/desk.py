"""The sandbox's own side: what arrived, as JSON and as a page; the fault script at run time."""

from __future__ import annotations

from dataclasses import asdict
from importlib import resources
from typing import TYPE_CHECKING

from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from agent.errors import UsageError
from agent.sandbox import envelope, faults, page
from agent.sandbox.contract import Refusal
from agent.sandbox.intake import body_of, limited

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request

    from agent.sandbox.faults import Faults
    from agent.sandbox.gate import Tally
    from agent.sandbox.store import Store

MAX_LISTED = 10_000
CARDS = 60
MAX_DIGITS = 18
_HARDENED = {
    "content-security-policy": "default-src 'none'; img-src 'self' data:; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_STATIC = {"page.css": "text/css", "page.js": "text/javascript"}


class Desk:
    """The endpoints of `/` and `/_sandbox/`."""

    def __init__(
        self, store: Store, script: Faults, tally: Tally, checkins: Sequence[Mapping[str, object]] = ()
    ) -> None:
        self._store = store
        self._faults = script
        self._tally = tally
        self._checkins = checkins

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/", self.index),
            Route("/_sandbox/cards", self.cards),
            Route("/_sandbox/static/{name}", self.static),
            Route("/_sandbox/images/{upload_id:int}", self.image),
            Route("/_sandbox/uploads", self.uploads),
            Route("/_sandbox/uploads", self.empty, methods=["DELETE"]),
            Route("/_sandbox/requests", self.requests),
            Route("/_sandbox/faults", self.show_faults),
            Route("/_sandbox/faults", self.load_faults, methods=["PUT"]),
            Route("/_sandbox/checkins", self.checkins),
            Route("/_sandbox/actions", self.ask, methods=["POST"]),
        ]

    async def index(self, request: Request) -> Response:
        """Show the page."""
        uploads, base = self._store.newest(CARDS), envelope.base_url(request)
        html = page.document(uploads, len(self._store), self._store.last_id, base)
        return HTMLResponse(html.encode(errors="replace"), headers=_HARDENED)

    async def cards(self, request: Request) -> Response:
        """Return the newest cards after `since` as HTML inside JSON, for a page that is open already."""
        since = _number(request, "since", 0)
        uploads = [upload for upload in self._store.newest(CARDS) if upload.id > since]
        return envelope.as_json({"count": len(self._store), "last": self._store.last_id, "html": page.cards(uploads)})

    async def static(self, request: Request) -> Response:
        """Serve the page's style and script."""
        name = request.path_params["name"]
        if name not in _STATIC:
            raise Refusal("There is no such file", 404)
        content = resources.files(__package__).joinpath(name).read_bytes()
        return Response(content, media_type=_STATIC[name], headers={**_HARDENED, "cache-control": "no-cache"})

    async def image(self, request: Request) -> Response:
        """Serve the bytes of one upload, as they came."""
        upload = self._store.get(request.path_params["upload_id"])
        if upload is None or not self._store.image(upload).is_file():
            raise Refusal("There is no such upload", 404)
        return FileResponse(self._store.image(upload), media_type=upload.media_type, headers=_HARDENED)

    async def uploads(self, request: Request) -> Response:
        """List what is kept, oldest first: `?since=ID` only what came after, `?limit=` at most so many."""
        limit = min(_number(request, "limit", MAX_LISTED), MAX_LISTED)
        found = self._store.since(_number(request, "since", 0), limit)
        return envelope.as_json({"count": len(self._store), "uploads": [asdict(upload) for upload in found]})

    async def empty(self, _request: Request) -> Response:
        """Delete all uploads."""
        self._store.clear()
        return envelope.as_json({"count": 0})

    async def requests(self, _request: Request) -> Response:
        """Tell how many requests each route answered, and how."""
        return envelope.as_json(self._tally.as_json())

    async def show_faults(self, _request: Request) -> Response:
        """Return the script in force."""
        return envelope.as_json(self._faults.script.as_json())

    async def load_faults(self, request: Request) -> Response:
        """Put the script in the body in force, if it is one."""
        raw = await limited(request, faults.MAX_SCRIPT_BYTES).body()
        try:
            self._faults.load(faults.parse(raw))
        except UsageError as error:
            raise Refusal(str(error)) from error
        return await self.show_faults(request)

    async def checkins(self, _request: Request) -> Response:
        """List the latest check-ins, oldest first."""
        return envelope.as_json({"checkins": list(self._checkins)})

    async def ask(self, request: Request) -> Response:
        """Have check-ins ask for the action in the body, besides those of the script."""
        self._faults.ask(await body_of(request))
        return envelope.as_json({"actions": self._faults.script.actions}, 201)


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < MAX_DIGITS):
        raise Refusal(f"{name} is not a number")
    return int(text)
