"""An uploader between a real spool and a real server, driven step by step in virtual time."""

from __future__ import annotations

import json
import random
import sqlite3
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from wire_rig import ACCEPTED, KEY, SEEN, Server, make_client

from agent.drain import Uploader
from agent.health import Pulse
from agent.link import Link
from agent.media import JPEG
from agent.receipts import ReceiptClerk
from agent.spool.budget import Limits
from agent.spool.records import Draft
from agent.spool.spool import Spool
from agent.workers import Nursery, Stop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wire_rig import Connection, MovedClock, Request

    from agent.frame import Item

ROOMY = Limits(max_bytes=10**9, min_free_bytes=0)
UPLOAD = "/api/device/images/upload"
SELF = "/api/device/self"


class PatientStop(Stop):
    """A stop whose waits move the clock; `meanwhile` happens in each."""

    def __init__(self, clock: MovedClock) -> None:
        super().__init__()
        self._clock = clock
        self.waits: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def wait(self, seconds: float | None) -> bool:
        """Let virtual time pass."""
        assert seconds is not None
        assert len(self.waits) < 1000, "waited without end"
        self.waits.append(seconds)
        self._clock.advance(seconds)
        self.meanwhile()
        return self.is_set()


@dataclass
class Reply:
    """What the server answers."""

    status: int = 201
    body: bytes = ACCEPTED
    headers: dict[str, str] = field(default_factory=dict)


def error(status: int, **said: str) -> Reply:
    """Make the platform's refusal."""
    return Reply(status, json.dumps({"success": False, "error": said}).encode())


def accept(_: Request) -> Reply:
    """Take everything."""
    return Reply()


class Drain:
    """The parts of one uploader, put together as the composition root does."""

    def __init__(self, folder: Path, clock: MovedClock, *, stop: Stop | None = None, limits: Limits = ROOMY) -> None:
        self.clock = clock
        self.stop = stop or PatientStop(clock)
        self.reply: Callable[[Request], Reply | None] = accept
        self.key = KEY
        self.shrink: Callable[[Item], bytes] | None = None
        self.refreshed = 0
        self.timeout_s = 5.0
        self.pulse = Pulse(clock)
        self._ends = ExitStack()
        self.server = self._ends.enter_context(Server(self._behave))
        self.url = self.server.url
        self.spool = self._ends.enter_context(Spool(folder, limits, clock=clock, owner=True))
        self.clerk = ReceiptClerk(self.spool.outbox, stop=self.stop, pulse=self.pulse)
        self._nursery = Nursery(self.stop)
        self._ends.callback(self._end)
        self._ends.enter_context(self.clerk.at_work())
        self._nursery.start("receipts", self.clerk.run)
        self.link = Link(clock=clock, rng=random.Random(3), bell=self.spool.arrived, start_jitter_s=0.0, workers=8)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def _end(self) -> None:
        self.stop.set()
        assert self._nursery.join(5) == []

    def _behave(self, connection: Connection) -> None:
        while request := connection.request():
            reply = self.reply(request)
            if reply is None:
                connection.reset()
                return
            connection.answer(reply.status, reply.body, **reply.headers)

    def uploader(self, name: str = "upload-1") -> Uploader:
        """Make an uploader with a client of its own."""

        def refresh() -> None:
            self.refreshed += 1

        client = make_client(self.url, key=lambda: self.key, timeout_s=self.timeout_s, clock=self.clock)
        self._ends.callback(client.close)
        return Uploader(
            name,
            self.spool.outbox,
            self.link,
            client,
            self.clerk,
            stop=self.stop,
            bell=self.spool.arrived,
            pulse=self.pulse,
            clock=self.clock,
            rng=random.Random(4),
            shrink=self.shrink,
            refresh_key=refresh,
        )

    def put(self, *pictures: bytes) -> None:
        """Take pictures in."""
        for picture in pictures:
            draft = Draft.of_bytes(picture, source="cam-1", captured_at=SEEN, media_type=JPEG, metadata="{}")
            self.spool.inbox.commit([self.spool.inbox.stage(draft)])

    def run(self, seconds: float, *, uploader: Uploader | None = None) -> None:
        """Let one uploader work for so long, in virtual time, or until the queue is empty."""
        uploader = uploader or self.uploader()
        until = self.clock.boot() + seconds
        for _ in range(5000):
            if self.clock.boot() >= until or self.spool.outbox.empty():
                return
            rest = uploader._step()
            self.written()
            self.clock.advance(0.01 if rest is None else min(rest, 300.0))
        raise AssertionError("a tight loop")

    def written(self) -> None:
        """Wait until no receipt is pending."""
        with self.clerk._changed:
            assert self.clerk._changed.wait_for(lambda: not self.clerk._pending, 10)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Ask the index directly, without the code under test."""
        with closing(sqlite3.connect(self.spool.directory / "index.sqlite3")) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1")]  # noqa: S608 (a name of the test's own)

    def posts(self) -> list[bytes]:
        """Return the pictures that were sent, in the order of the attempts."""
        bodies = (request.body for request in self.server.requests if request.method == "POST")
        return [body.partition(b"image/jpeg\r\n\r\n")[2].partition(b"\r\n--")[0] for body in bodies]

    def account(self) -> tuple[int, int, int, dict[str, int]]:
        """Return what is delivered, waits, is quarantined and was dropped."""
        account = self.spool.accounts()["cam-1"]
        assert account.captured == account.delivered + account.waiting + account.quarantined + sum(
            account.dropped.values()
        )
        return account.delivered, account.waiting, account.quarantined, account.dropped
