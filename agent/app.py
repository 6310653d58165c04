"""The composition root: the one place where the parts of the agent are chosen and put together."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING

from agent.annotations.metadata import retimed
from agent.drain import Uploader
from agent.frame import Model
from agent.health import Pulse
from agent.housekeeping import Examiner, Housekeeping
from agent.identity import key_holder
from agent.intake import FrameIntake
from agent.link import Link
from agent.pictures.limits import PictureLimits
from agent.pictures.studio import PictureChild
from agent.pipeline import Pipeline
from agent.plans import camera_plan, spool_limits, spool_policies, watch_plan
from agent.platform.body import opened
from agent.platform.client import Client, Endpoint
from agent.platform.pace import Pace
from agent.platform.transport import Transport
from agent.receipts import ReceiptClerk
from agent.sources.adoption import Adopter
from agent.sources.camera import Camera
from agent.sources.directory import DirectoryWatch
from agent.sources.drafting import Drafter, Encoding
from agent.sources.grammar import parse_source
from agent.sources.listing import Listing
from agent.spool.shelf import HIDDEN
from agent.spool.spool import Spool
from agent.tariff import Meter
from agent.timekeeping import Timekeeping
from agent.tls import secured
from agent.workers import Bell, Nursery, Stop

if TYPE_CHECKING:
    import ssl

    from agent.clock import Clock
    from agent.config.environment import Environment
    from agent.config.load import Configuration
    from agent.config.sources import CameraSettings
    from agent.frame import Item
    from agent.platform.key import KeyHolder
    from agent.sources.drafting import WatchPlan

SHRINK_TO = 5_000_000


class House:
    """Builds the parts of one run from one configuration; every part gets its neighbours finished."""

    def __init__(
        self,
        configuration: Configuration,
        environment: Environment,
        *,
        clock: Clock,
        once: bool = False,
        intake: bool = True,
    ) -> None:
        self._configuration = configuration
        self._settings = configuration.settings
        self._environment = environment
        self._clock = clock
        self._once = once
        self._intake = intake
        self._rng = random.Random()  # noqa: S311 (jitter is no secret)
        self.stop = Stop()
        self.pulse = Pulse(clock)

    def check(self) -> None:
        """Raise `ConfigError` where there is no key or no usable TLS file: a reload has to know before it stops."""
        key_holder(self._configuration)
        secured(self._settings.server)

    def pipeline(self) -> Pipeline:
        """Open the spool and put everything around it; nothing runs yet.

        Raises `ConfigError` where there is no key or no readable `ca_file`, `SpoolTaken` where another agent runs.
        """
        settings = self._settings
        key = key_holder(self._configuration)
        context = secured(self._settings.server)
        spool = self.open_spool(owner=True)
        darkroom = PictureChild(environment=self._environment.children, limits=self._limits())
        meter = Meter(settings.upload.tariff(), spool.traffic, clock=self._clock)
        link = self._link(spool, meter)
        pace = Pace(meter.rate, clock=self._clock, stop=self.stop)
        clients = [self._client(key, context, meter, pace, name) for name in self._uploader_names()]
        clerk = ReceiptClerk(spool.outbox, stop=self.stop, pulse=self.pulse)
        uploaders = {
            name: self._uploader(name, spool, link, client, clerk, darkroom, key)
            for name, client in zip(self._uploader_names(), clients, strict=True)
        }
        watches = {plan.name: self._watch(plan, spool, darkroom) for plan in self.watch_plans() if self._intake}
        pipeline = Pipeline(
            spool=spool,
            link=link,
            nursery=Nursery(self.stop),
            pulse=self.pulse,
            uploaders=uploaders,
            clerk=clerk,
            clients=clients,
            watches=watches,
            housekeeping=self._housekeeping(spool),
            timekeeping=Timekeeping(spool.retiming(retimed), clock=self._clock, stop=self.stop),
            darkroom=darkroom,
        )
        for camera in settings.camera if self._intake else ():
            if not (self._once and parse_source(camera.source).live):
                pipeline.cameras[camera.name] = self._camera(camera, spool, pipeline)
        return pipeline

    def open_spool(self, *, owner: bool) -> Spool:
        """Open the configured spool."""
        note = json.dumps({"pid": os.getpid(), "state_file": str(self._configuration.state_file)})
        return Spool(
            self._configuration.spool_dir,
            spool_limits(self._settings.spool),
            order=self._settings.upload.order,
            clock=self._clock,
            owner=owner,
            note=note,
            policies=spool_policies(self._settings) if owner else None,
        )

    def drafter(self, plan: WatchPlan, darkroom: PictureChild) -> Drafter:
        """Make what turns files into drafts."""
        encode = self._settings.encode
        return Drafter(
            plan,
            limits=self._limits(),
            encoding=Encoding(encode.quality, encode.max_side, encode.passthrough),
            model=self._model(),
            darkroom=darkroom,
            clock=self._clock,
        )

    def darkroom(self) -> PictureChild:
        """Make the parent's side of the picture child."""
        return PictureChild(environment=self._environment.children, limits=self._limits())

    def watch_plans(self) -> list[WatchPlan]:
        """Return the plans of all watched directories."""
        return [watch_plan(watch) for watch in self._settings.watch]

    def _limits(self) -> PictureLimits:
        return PictureLimits(max_bytes=self._settings.encode.max_bytes, max_pixels=self._settings.encode.max_pixels)

    def _model(self) -> Model:
        return Model(self._settings.model.id, self._settings.model.version)

    def _link(self, spool: Spool, meter: Meter) -> Link:
        upload = self._settings.upload
        return Link(
            clock=self._clock,
            rng=self._rng,
            bell=spool.arrived,
            start_jitter_s=0.0 if self._once else upload.start_jitter_s,
            workers=upload.workers,
            meter=meter,
        )

    def _uploader_names(self) -> list[str]:
        return [f"upload-{number}" for number in range(1, self._settings.upload.workers + 1)]

    def _client(self, key: KeyHolder, context: ssl.SSLContext | None, meter: Meter, pace: Pace, name: str) -> Client:
        server = self._settings.server

        def moved(count: int) -> None:
            meter.count(count)
            pace.take(count, beat=lambda: self.pulse.beat(name))
            self.pulse.beat(name)

        return Client(
            Endpoint(server.url, server.connect_timeout_s, self._settings.upload.timeout_s),
            key=key.current,
            transport=Transport(context, pace=moved),
            clock=self._clock,
        )

    def _uploader(
        self,
        name: str,
        spool: Spool,
        link: Link,
        client: Client,
        clerk: ReceiptClerk,
        darkroom: PictureChild,
        key: KeyHolder,
    ) -> Uploader:
        def shrink(item: Item) -> bytes:
            with opened(item) as descriptor:
                return darkroom.shrink(descriptor, max_bytes=min(SHRINK_TO, item.size // 2))

        upload = self._settings.upload
        return Uploader(
            name,
            spool.outbox,
            link,
            client,
            clerk,
            stop=self.stop,
            bell=spool.arrived,
            pulse=self.pulse,
            clock=self._clock,
            rng=self._rng,
            shrink=shrink,
            refresh_key=key.refresh,
            # Where the newest goes first anyway, fresh pictures need no share.
            fresh_share=upload.fresh_share if upload.order == "oldest" else 0.0,
        )

    def _watch(self, plan: WatchPlan, spool: Spool, darkroom: PictureChild) -> DirectoryWatch:
        return DirectoryWatch(
            plan,
            Listing(plan.root, plan.patterns, recursive=plan.recursive),
            Adopter(plan, self.drafter(plan, darkroom), spool),
            spool,
            stop=self.stop,
            bell=Bell(),
            clock=self._clock,
            pulse=self.pulse,
            once=self._once,
        )

    def _camera(self, camera: CameraSettings, spool: Spool, pipeline: Pipeline) -> Camera:
        live = parse_source(camera.source).live
        intake = FrameIntake(
            camera.name, spool.inbox, self._model(), live=live, when_full=camera.when_full, pulse=self.pulse
        )
        return Camera(
            camera_plan(camera, self._settings.encode),
            deliver=intake.put,
            stop=self.stop,
            clock=self._clock,
            rng=self._rng,
            resume=lambda path, fingerprint: spool.history.progress(camera.name, path, fingerprint),
            environment=self._environment.children,
            observe=pipeline.observe,
        )

    def _housekeeping(self, spool: Spool) -> Housekeeping:
        watches = self._settings.watch
        examine = Examiner(self._limits(), self._model(), {watch.name: watch.classes for watch in watches})
        folders = [spool.directory / "items", *(watch.path / HIDDEN for watch in watches)]
        return Housekeeping(spool, spool.reconciler(examine), folders, stop=self.stop, clock=self._clock)
