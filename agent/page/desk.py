"""What the page answers: the page itself and its parts, pictures, figures for programs, and three orders."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from agent.app.house import House
from agent.clock import SystemClock
from agent.errors import AgentError
from agent.page.document import document, live
from agent.page.history import series
from agent.page.metrics import exposition
from agent.spool.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from agent.config.environment import Environment
    from agent.page.sight import Window
    from agent.spool.orders import Orders

STATIC = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "uplot.css": "text/css",
    "uplot.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
PICTURES = frozenset({"image/jpeg", "image/png"})
LARGEST_FORM = 4096
SEE_OTHER = 303


class Desk:
    """The endpoints; each looks anew."""

    def __init__(self, window: Window, environment: Environment, host: str) -> None:
        self._window = window
        self._environment = environment
        self._host = host

    def application(self) -> Starlette:
        """Return the application."""
        reads = {
            "/": self.index,
            "/live": self.live,
            "/history.json": self.history,
            "/status.json": self.status,
            "/metrics": self.metrics,
            "/pictures/{source}": self.picture,
            "/static/{name}": self.static,
        }
        routes = [Route(path, read) for path, read in reads.items()]
        routes.append(Route("/{order}", self.order, methods=["POST"]))
        return Starlette(routes=routes, exception_handlers={AgentError: _unable})

    async def index(self, _: Request) -> Response:
        """Show the page."""
        return HTMLResponse(_encoded(document(self._window.see(), self._window.configuration, self._host)))

    async def live(self, _: Request) -> Response:
        """Return the parts that change, for a page that is open already."""
        return HTMLResponse(_encoded(live(self._window.see())))

    async def history(self, _: Request) -> Response:
        """Return six hours of figures."""
        status = self._window.status()
        return JSONResponse(series(status.samples, wall_s=status.wall.timestamp(), boot_s=status.boot_s))

    async def status(self, _: Request) -> Response:
        """Return what `status --json` prints."""
        return JSONResponse(self._window.status().as_json())

    async def metrics(self, _: Request) -> Response:
        """Return the figures for Prometheus."""
        content, media_type = exposition(self._window.status())
        return Response(content, media_type=media_type)

    async def picture(self, request: Request) -> Response:
        """Return the last picture of a source."""
        preview = self._window.preview(request.path_params["source"])
        if preview is None or preview.media_type not in PICTURES:
            return PlainTextResponse("There is no picture of it.\n", 404)
        return Response(preview.picture, media_type=preview.media_type)

    async def static(self, request: Request) -> Response:
        """Return the page's style and script."""
        name = request.path_params["name"]
        if name not in STATIC:
            return PlainTextResponse("There is no such file.\n", 404)
        content = resources.files(__package__).joinpath(name).read_bytes()
        return Response(content, media_type=STATIC[name], headers={"cache-control": "no-cache"})

    async def order(self, request: Request) -> Response:
        """Enter an order into the spool, which the daemon obeys within seconds; then show the page again."""
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > LARGEST_FORM:
                return PlainTextResponse("That is no form of this page.\n", 413)
        order = ordered(request.path_params["order"], body.decode("ascii", "replace"))
        if order is None:
            return PlainTextResponse("There is no such order.\n", 404)
        await run_in_threadpool(self._carry_out, order)  # a commit waits for the disk, and for the daemon's own
        return RedirectResponse("/", SEE_OTHER)

    def _carry_out(self, order: Callable[[Orders], object]) -> None:
        house = House(self._window.configuration, self._environment, clock=SystemClock())
        with house.open_spool(owner=False) as spool:
            order(spool.orders)


def ordered(name: str, form: str) -> Callable[[Orders], object] | None:
    """Return what an order does; None for what is none."""
    match name:
        case "pause":
            return lambda orders: orders.pause(SystemClock().wall())
        case "resume":
            return lambda orders: orders.resume()
        case "retry":
            said = parse_qs(form).get("id", [])
            if all(one.isascii() and one.isdecimal() and len(one) < len(str(2**63)) for one in said):
                ids = tuple(map(int, said))
                return lambda orders: orders.retry(Selection(ids=ids or None, state="quarantined"))
    return None


async def _unable(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error}\n", 503, headers={"retry-after": "5"})


def _encoded(html: str) -> bytes:
    return html.encode("utf-8", "replace")
