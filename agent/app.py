"""The composition root: the one place where the parts of the agent are chosen and put together."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING

from agent.annotations.metadata import retimed
from agent.config.device_key import read_device_key
from agent.drain import Uploader
from agent.errors import ConfigError
from agent.frame import Model
from agent.health import Pulse
from agent.housekeeping import Examiner, Housekeeping
from agent.intake import FrameIntake
from agent.link import Link
from agent.pictures.limits import PictureLimits
from agent.pictures.studio import PictureChild
from agent.pipeline import Pipeline
from agent.plans import camera_plan, watch_plan
from agent.platform.client import Client, Endpoint
from agent.platform.key import KeyHolder
from agent.platform.pace import Pace
from agent.platform.transport import Transport
from agent.receipts import ReceiptClerk
from agent.sources.adoption import Adopter
from agent.sources.camera import Camera
from agent.sources.directory import DirectoryWatch
from agent.sources.drafting import Drafter, Encoding
from agent.sources.grammar import parse_source
from agent.sources.listing import Listing
from agent.spool.budget import Limits
from agent.spool.shelf import HIDDEN
from agent.spool.spool import Spool
from agent.timekeeping import Timekeeping
from agent.tls import secured
from agent.workers import Bell, Nursery, Stop

if TYPE_CHECKING:
    import ssl

    from agent.clock import Clock
    from agent.config.environment import Environment
    from agent.config.load import Configuration
    from agent.config.settings import CameraSettings
    from agent.frame import Item
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
        self._key_holder()
        secured(self._settings.server)

    def pipeline(self) -> Pipeline:
        """Open the spool and put everything around it; nothing runs yet.

        Raises `ConfigError` where there is no key or no readable `ca_file`, `SpoolTaken` where another agent runs.
        """
        settings = self._settings
        key = self._key_holder()
        context = secured(self._settings.server)
        spool = self.open_spool(owner=True)
        darkroom = PictureChild(environment=self._environment.children, limits=self._limits())
        link = Link(
            clock=self._clock,
            rng=self._rng,
            bell=spool.arrived,
            start_jitter_s=0.0 if self._once else settings.upload.start_jitter_s,
        )
        pace = Pace(settings.upload.max_rate_bytes_s, clock=self._clock, stop=self.stop)
        clients = [self._client(key, context, pace, name) for name in self._uploader_names()]
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
        spool = self._settings.spool
        note = json.dumps({"pid": os.getpid(), "state_file": str(self._configuration.state_file)})
        return Spool(
            self._configuration.spool_dir,
            Limits(
                max_bytes=spool.max_bytes,
                min_free_bytes=spool.min_free_bytes,
                quarantine_max_items=spool.quarantine_max_items,
            ),
            order=self._settings.upload.order,
            clock=self._clock,
            owner=owner,
            note=note,
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
        encode = self._settings.encode
        return PictureLimits(max_bytes=encode.max_bytes, max_pixels=encode.max_pixels)

    def _model(self) -> Model:
        return Model(self._settings.model.id, self._settings.model.version)

    def _key_holder(self) -> KeyHolder:
        configuration = self._configuration
        if configuration.device_key is None:
            raise ConfigError(
                f"there is no device key (looked in: {configuration.device_key_source})",
                remedy="Put it into a file of mode 600 and name that in server.device_key_file.",
            )

        def read_again() -> str | None:
            key = read_device_key(configuration.device_key_source)
            return key.get_secret_value() if key else None

        return KeyHolder(configuration.device_key.get_secret_value(), read_again)

    def _uploader_names(self) -> list[str]:
        return [f"upload-{number}" for number in range(1, self._settings.upload.workers + 1)]

    def _client(self, key: KeyHolder, context: ssl.SSLContext | None, pace: Pace, name: str) -> Client:
        server = self._settings.server

        def moved(count: int) -> None:
            pace.take(count)
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
            return darkroom.shrink(item.path.read_bytes(), max_bytes=min(SHRINK_TO, item.size // 2))

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
        intake = FrameIntake(camera.name, spool.inbox, self._model(), live=live, pulse=self.pulse)
        return Camera(
            camera_plan(camera, self._settings.encode),
            deliver=intake.put,
            stop=self.stop,
            clock=self._clock,
            rng=self._rng,
            resume=lambda path, fingerprint: spool.progress(camera.name, path, fingerprint),
            environment=self._environment.children,
            observe=pipeline.observe,
        )

    def _housekeeping(self, spool: Spool) -> Housekeeping:
        watches = self._settings.watch
        examine = Examiner(self._limits(), self._model(), {watch.name: watch.classes for watch in watches})
        folders = [spool.directory / "items", *(watch.path / HIDDEN for watch in watches)]
        return Housekeeping(spool, spool.reconciler(examine), folders, stop=self.stop)
