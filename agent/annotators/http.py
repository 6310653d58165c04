"""A server as an annotator: one POST a picture over one connection, with a deadline over the whole of it.

It speaks through the transport of the uploads, but knows nothing of the platform: the device's key is not here, no
redirect is followed, no cookie kept, no proxy taken from the environment.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from agent import __version__
from agent.annotators.answers import MAX_ANSWER_BYTES
from agent.errors import Unanswered
from agent.platform.transport import Transport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from agent.annotators.plan import AnnotatorPlan
    from agent.annotators.requests import RequestPlan
    from agent.clock import Clock
    from agent.workers import Stop

# About this one picture; every other refusal would meet the next one, too.
ABOUT_THE_PICTURE = frozenset({400, 413, 415, 422})
_REDIRECTS = range(300, 400)
_GOOD = range(200, 300)
_LONGEST_REASON = 200


class Server:
    """Asks a server; used by one thread. A stop breaks off what is under way."""

    def __init__(
        self, request: RequestPlan, plan: AnnotatorPlan, *, context: ssl.SSLContext | None, stop: Stop, clock: Clock
    ) -> None:
        self._request = request
        self._url = httpx.URL(request.url)
        self._plan = plan
        self._clock = clock
        self._stop = stop
        self._until = 0.0
        self._transport = Transport(context, pace=self._pace)
        stop.subscribe(self._transport.abort)

    def look(self, jpeg: bytes) -> bytes:
        """Return what the server says of a picture."""
        self._until = self._clock.boot() + self._plan.timeout_s
        content_type, body = self._request.payload(jpeg)
        with self._errors():
            try:
                return self._request.answer(self._ask(content_type, body))
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                # A connection that was kept may have been closed under us; asking twice does no harm here.
                if self._stop.is_set():
                    raise
                return self._request.answer(self._ask(content_type, body))

    def reset(self) -> None:
        """Take a new connection for the next picture."""
        self._transport.close()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _ask(self, content_type: str, body: bytes) -> bytes:
        left = self._hurry()
        headers = {
            "host": self._url.netloc.decode("ascii"),
            "user-agent": f"acusight-agent/{__version__}",
            "accept": "application/json",
            "accept-encoding": "identity",
            "content-type": content_type,
            "content-length": str(len(body)),
            **self._request.headers,
        }
        request = httpx.Request(
            "POST",
            self._url,
            headers=headers,
            stream=httpx.ByteStream(body),
            extensions={"timeout": {"connect": left, "read": left, "write": left}},
        )
        response = self._transport.handle_request(request)
        try:
            return self._read(response)
        finally:
            response.close()

    def _read(self, response: httpx.Response) -> bytes:
        answer = bytearray()
        for piece in response.iter_raw():
            answer += piece
            if len(answer) > MAX_ANSWER_BYTES:
                raise Unanswered(f"its answer is larger than {MAX_ANSWER_BYTES} bytes", away=True)
        status = response.status_code
        if status in _GOOD:
            return bytes(answer)
        if status in _REDIRECTS:
            raise Unanswered(f"it redirects ({status})", remedy="Write the address that it leads to.", away=True)
        reason = " ".join(answer.decode(errors="replace").split())[:_LONGEST_REASON]
        raise Unanswered(f"it answered {status}: {reason}", away=status not in ABOUT_THE_PICTURE)

    def _pace(self, _count: int) -> None:
        self._hurry()

    def _hurry(self) -> float:
        """Return the seconds that are left of this picture's time; raises where there are none."""
        left = self._until - self._clock.boot()
        if left <= 0:
            raise httpx.WriteTimeout("too slow")
        return left

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Translate what the wire raises; nothing of httpx goes further."""
        try:
            yield
        except httpx.TimeoutException:
            raise Unanswered(f"{self._place} did not answer in time", away=True) from None
        except httpx.TransportError as error:
            what = f"{self._place} cannot be asked: {error}"
            raise Unanswered("the agent is stopping" if self._stop.is_set() else what, away=True) from error

    @property
    def _place(self) -> str:
        return f"{self._url.scheme}://{self._url.netloc.decode('ascii')}"
