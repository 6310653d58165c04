"""One run, put together from one configuration."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

from agent.annotations.metadata import retimed
from agent.app.deployed import deployed
from agent.app.drain import DrainParts
from agent.app.intake import IntakeParts
from agent.app.operations import Operations
from agent.health import Pulse
from agent.housekeeping import Housekeeping
from agent.identity import key_holder
from agent.logbook import Logbook
from agent.outline import noted, outline_of
from agent.pipeline import Pipeline
from agent.plans import select_plan, spool_limits, spool_policies, watch_plan
from agent.previews import Previews, previews_folder
from agent.sources.grammar import parse_source
from agent.spool.shelf import HIDDEN
from agent.spool.spool import Spool
from agent.timekeeping import Timekeeping
from agent.tls import secured
from agent.workers import Nursery, Stop, last_core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.clock import Clock
    from agent.config.configuration import Configuration
    from agent.config.environment import Environment
    from agent.pictures.studio import PictureChild
    from agent.sources.drafting import Drafter, WatchPlan
    from agent.spool.records import Staged


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
        self._settings = deployed(configuration.settings, configuration.spool_dir)
        self._children = environment.children
        self._clock = clock
        self._once = once
        self._takes_in = intake
        self._rng = random.Random()  # noqa: S311 (jitter is no secret)
        self.stop = Stop()
        self.pulse = Pulse(clock)
        self.logbook = Logbook(clock)
        self._previews = previews_of(configuration, clock)
        self._intake = IntakeParts(
            self._settings,
            environment,
            clock=clock,
            rng=self._rng,
            stop=self.stop,
            pulse=self.pulse,
            once=once,
        )

    def check(self) -> None:
        """Raise `ConfigError` where there is no key or no usable TLS file: a reload has to know before it stops."""
        key_holder(self._configuration)
        secured(self._settings.server)

    def pipeline(self) -> Pipeline:
        """Open the spool and put everything around it; nothing runs yet.

        Raises `ConfigError` where there is no key or no readable `ca_file`, `SpoolTaken` where another agent runs.
        """
        key = key_holder(self._configuration)
        context = secured(self._settings.server)
        spool = self.open_spool(owner=True)
        darkroom = self.darkroom()
        drain = DrainParts(
            self._settings,
            spool,
            darkroom,
            key,
            context,
            clock=self._clock,
            rng=self._rng,
            stop=self.stop,
            pulse=self.pulse,
            once=self._once,
            logbook=self.logbook,
        )
        plans = self.watch_plans() if self._takes_in else []
        pipeline = Pipeline(
            spool=spool,
            link=drain.link,
            nursery=Nursery(self.stop, core=last_core()),
            pulse=self.pulse,
            uploaders=drain.uploaders,
            clerk=drain.clerk,
            clients=drain.clients,
            watches={plan.name: self._intake.watch(plan, spool, darkroom) for plan in plans},
            housekeeping=self._housekeeping(spool),
            timekeeping=Timekeeping(spool.retiming(retimed), clock=self._clock, stop=self.stop),
            darkroom=darkroom,
            logbook=self.logbook,
        )
        self._add_cameras(pipeline, spool, darkroom)
        if not self._once:
            operations = Operations(
                self._settings, key, context, self._children, clock=self._clock, rng=self._rng, stop=self.stop
            )
            operations.join(pipeline)
        return pipeline

    def _add_cameras(self, pipeline: Pipeline, spool: Spool, darkroom: PictureChild) -> None:
        """Give a pipeline its cameras, and what all its sources have brought along."""
        for camera in self._settings.camera if self._takes_in else ():
            if not (self._once and parse_source(camera.source).live):
                pipeline.cameras[camera.name] = self._intake.camera(camera, spool, darkroom, pipeline.observe)
        pipeline.annotating, pipeline.annotators = self._intake.annotators.threads, self._intake.annotators.states
        pipeline.closings, self._intake.choosers.closings = self._intake.choosers.closings, []

    def open_spool(self, *, owner: bool) -> Spool:
        """Open the configured spool."""
        given = self._configuration
        outline = noted(outline_of(given), given.mark)
        note = json.dumps({"pid": os.getpid(), "state_file": str(given.state_file), "outline": outline})
        return Spool(
            given.spool_dir,
            spool_limits(self._settings.spool),
            order=self._settings.upload.order,
            clock=self._clock,
            owner=owner,
            note=note,
            policies=spool_policies(self._settings) if owner else None,
            captured=self._captured,
        )

    def _captured(self, batch: Sequence[Staged]) -> None:
        self.logbook.captured(batch)
        if self._previews is not None:
            self._previews.captured(batch)

    def drafter(self, plan: WatchPlan, darkroom: PictureChild) -> Drafter:
        """Make what turns files into drafts."""
        return self._intake.drafter(plan, darkroom)

    def darkroom(self) -> PictureChild:
        """Make the parent's side of the picture child."""
        return self._intake.darkroom()

    def watch_plans(self) -> list[WatchPlan]:
        """Return the plans of all watched directories."""
        select = self._settings.select
        return [watch_plan(watch, select_plan(watch, select)) for watch in self._settings.watch]

    def watch_plan_of(self, folder: Path) -> WatchPlan:
        """Return the plan of the watched directory that a folder is, or how it would be watched with the defaults."""
        for plan in self.watch_plans():
            if Path(os.path.realpath(plan.root)) == folder:
                return plan
        from agent.config.sources import WatchSettings  # noqa: PLC0415 (commands ask for this, the daemon never does)

        watch = WatchSettings(path=folder, name="folder")
        return watch_plan(watch, select_plan(watch, self._settings.select))

    def _housekeeping(self, spool: Spool) -> Housekeeping:
        folders = [spool.directory / "items", *(watch.path / HIDDEN for watch in self._settings.watch)]
        return Housekeeping(
            spool, spool.reconciler(self._intake.examiner()), folders, stop=self.stop, clock=self._clock
        )


def previews_of(configuration: Configuration, clock: Clock) -> Previews | None:
    """Return what keeps sources' last pictures, where there is a memory file system to keep them on."""
    if configuration.state_file.is_relative_to(configuration.spool_dir):
        return None
    return Previews(previews_folder(configuration.state_file), clock=clock)
