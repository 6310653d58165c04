"""How the agent's talk with its platform is put together, apart from the pictures: the check-in and what it brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.checkin import CheckIn
from agent.device import DeviceMeter
from agent.platform.client import Client, Endpoint
from agent.platform.transport import Transport
from agent.report import Reporter
from agent.steward import Steward

if TYPE_CHECKING:
    import random
    import ssl

    from agent.clock import Clock
    from agent.config.settings import Settings
    from agent.pipeline import Pipeline
    from agent.platform.key import KeyHolder
    from agent.workers import Stop

ANSWER_S = 30.0


class Operations:
    """Builds what tells the platform of this device; it has a connection of its own, apart from the uploads'."""

    def __init__(
        self,
        settings: Settings,
        key: KeyHolder,
        context: ssl.SSLContext | None,
        *,
        clock: Clock,
        rng: random.Random,
        stop: Stop,
    ) -> None:
        self._settings = settings
        self._key = key
        self._context = context
        self._clock = clock
        self._rng = rng
        self._stop = stop

    def join(self, pipeline: Pipeline) -> None:
        """Have a pipeline check in, where that is wanted."""
        if not self._settings.checkin.enabled:
            return
        server = self._settings.server
        client = Client(
            Endpoint(server.url, server.connect_timeout_s, ANSWER_S),
            key=self._key.current,
            transport=Transport(self._context),
            clock=self._clock,
        )
        pipeline.take_checkin(self._checkin(client, pipeline), client)

    def _checkin(self, client: Client, pipeline: Pipeline) -> CheckIn:
        settings = self._settings
        steward = Steward(pipeline.spool.errands, deploy=None, clock=self._clock)
        return CheckIn(
            client,
            report=Reporter(
                pipeline.spool,
                DeviceMeter(pipeline.spool.directory),
                pipeline.facts,
                max_bytes=settings.spool.max_bytes,
                max_items=settings.spool.max_items,
                clock=self._clock,
            ),
            obey=steward.obey,
            approve=pipeline.link.approve,
            key=self._key,
            every_s=settings.checkin.interval_s,
            first_s=settings.upload.start_jitter_s,
            heartbeat=(lambda: settings.model.id or "") if settings.checkin.heartbeat else None,
            stop=self._stop,
            clock=self._clock,
            rng=self._rng,
        )
