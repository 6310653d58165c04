"""How the drain is put together: the link, and an uploader with its client for each worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.config.derived import tariff_of
from agent.drain import Uploader
from agent.link import Link
from agent.platform.body import opened
from agent.platform.client import Client, Endpoint
from agent.platform.pace import Pace
from agent.platform.transport import Transport
from agent.receipts import ReceiptClerk
from agent.tariff import Meter

if TYPE_CHECKING:
    import random
    import ssl

    from agent.clock import Clock
    from agent.config.settings import Settings
    from agent.frame import Item
    from agent.health import Pulse
    from agent.logbook import Logbook
    from agent.pictures.studio import PictureChild
    from agent.platform.key import KeyHolder
    from agent.spool.spool import Spool
    from agent.workers import Stop

SHRINK_TO = 5_000_000


class DrainParts:
    """Builds everything behind the spool, once for a run: all workers share link, meter and clerk."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        darkroom: PictureChild,
        key: KeyHolder,
        context: ssl.SSLContext | None,
        *,
        clock: Clock,
        rng: random.Random,
        stop: Stop,
        pulse: Pulse,
        once: bool,
        logbook: Logbook,
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._darkroom = darkroom
        self._key = key
        self._context = context
        self._clock = clock
        self._rng = rng
        self._stop = stop
        self._pulse = pulse
        self._logbook = logbook
        upload = settings.upload
        self._meter = Meter(tariff_of(upload), spool.traffic, clock=clock)
        self._pace = Pace(self._meter.rate, clock=clock, stop=stop)
        self.clerk = ReceiptClerk(spool.outbox, stop=stop, pulse=pulse, record=logbook.delivered)
        self.link = Link(
            clock=clock,
            rng=rng,
            bell=spool.arrived,
            start_jitter_s=0.0 if once else upload.start_jitter_s,
            workers=upload.workers,
            meter=self._meter,
        )
        names = [f"upload-{number}" for number in range(1, upload.workers + 1)]
        self._clients = {name: self._client(name) for name in names}
        self.uploaders = {name: self._uploader(name, client) for name, client in self._clients.items()}

    @property
    def clients(self) -> list[Client]:
        """Return every worker's client, so that a stop can break off what is under way."""
        return list(self._clients.values())

    def _client(self, name: str) -> Client:
        server = self._settings.server

        def moved(count: int) -> None:
            self._meter.count(count)
            self._pace.take(count, beat=lambda: self._pulse.beat(name))
            self._pulse.beat(name)

        return Client(
            Endpoint(server.url, server.connect_timeout_s, self._settings.upload.timeout_s),
            key=self._key.current,
            transport=Transport(self._context, pace=moved),
            clock=self._clock,
            vouched=self._spool.vouching.take,
        )

    def _uploader(self, name: str, client: Client) -> Uploader:
        upload = self._settings.upload
        return Uploader(
            name,
            self._spool.outbox,
            self.link,
            client,
            self.clerk,
            stop=self._stop,
            bell=self._spool.arrived,
            pulse=self._pulse,
            clock=self._clock,
            rng=self._rng,
            shrink=self._shrink,
            refresh_key=self._key.refresh,
            # Where the newest goes first anyway, fresh pictures need no share.
            fresh_share=upload.fresh_share if upload.order == "oldest" else 0.0,
            record=self._logbook.answered,
        )

    def _shrink(self, item: Item) -> bytes:
        with opened(item) as descriptor:
            return self._darkroom.shrink(descriptor, max_bytes=min(SHRINK_TO, item.size // 2))
