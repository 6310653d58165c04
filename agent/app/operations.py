"""How the agent's talk with its platform is put together, apart from the pictures: the check-in and what it brings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.app.deployed import models_dir
from agent.app.trial import trial
from agent.checkin import CheckIn
from agent.device import DeviceMeter
from agent.models.deployment import Deployer
from agent.models.shelf import ModelShelf
from agent.platform.client import Client, Endpoint, tls_context
from agent.platform.download import Downloader
from agent.platform.transport import Transport
from agent.report import Reporter
from agent.steward import Settlements, Steward

if TYPE_CHECKING:
    import random
    import ssl
    from collections.abc import Mapping

    from agent.clock import Clock
    from agent.config.settings import Settings
    from agent.pipeline import Pipeline
    from agent.platform.download import Nearness
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
        children: Mapping[str, str],
        *,
        clock: Clock,
        rng: random.Random,
        stop: Stop,
    ) -> None:
        self._settings = settings
        self._key = key
        self._context = context
        self._children = children
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
        settlements = Settlements(pipeline.spool.errands, clock=self._clock)
        deployer = self._deployer(pipeline, settlements) if self._settings.models.accept else None
        if deployer is not None:
            pipeline.take_deployer(deployer)
        steward = Steward(settlements, deploy=deployer.take if deployer else None)
        pipeline.take_checkin(self._checkin(client, pipeline, steward), client)

    def _deployer(self, pipeline: Pipeline, settlements: Settlements) -> Deployer:
        models, server = self._settings.models, self._settings.server
        downloader = Downloader(
            server.url,
            key=self._key.current,
            context=self._context_for,
            connect_timeout_s=server.connect_timeout_s,
            timeout_s=models.timeout_s,
            max_bytes=models.max_bytes,
            clock=self._clock,
            stop=self._stop,
        )
        return Deployer(
            ModelShelf(models_dir(self._settings, pipeline.spool.directory)),
            downloader,
            tried=trial(self._settings, self._children, clock=self._clock, stop=self._stop),
            settle=settlements.settle,
            switch=pipeline.renew,
            stop=self._stop,
            clock=self._clock,
            rng=self._rng,
        )

    def _context_for(self, url: str, near: Nearness) -> ssl.SSLContext | None:
        if near == "own":
            return self._context
        return tls_context(url, self._settings.server.ca_file if near == "host" else None)

    def _checkin(self, client: Client, pipeline: Pipeline, steward: Steward) -> CheckIn:
        settings = self._settings
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
