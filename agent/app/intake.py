"""How the intake is put together: what turns files and frames into items."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent.app.annotators import AnnotatorParts
from agent.app.choosers import ChooserParts
from agent.frame import Model
from agent.housekeeping import Examiner
from agent.intake import FrameIntake
from agent.pictures.developing import Encoding
from agent.pictures.limits import PictureLimits
from agent.pictures.studio import PictureChild
from agent.plans import annotation_plan, camera_plan, select_plan
from agent.sources.adoption import Adopter
from agent.sources.camera import Camera
from agent.sources.directory import DirectoryWatch
from agent.sources.drafting import Drafter
from agent.sources.grammar import parse_source
from agent.sources.listing import Listing
from agent.sources.scout import Scout
from agent.workers import Bell

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from agent.clock import Clock
    from agent.config.environment import Environment
    from agent.config.settings import Settings
    from agent.config.sources import CameraSettings
    from agent.frame import Frame
    from agent.health import Pulse
    from agent.sources.drafting import WatchPlan
    from agent.sources.report import CameraState
    from agent.spool.spool import Spool
    from agent.workers import Stop


class IntakeParts:
    """Builds sources and what stands between them and the spool."""

    def __init__(
        self,
        settings: Settings,
        environment: Environment,
        *,
        clock: Clock,
        rng: random.Random,
        stop: Stop,
        pulse: Pulse,
        once: bool,
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._clock = clock
        self._rng = rng
        self._stop = stop
        self._pulse = pulse
        self._once = once
        self.annotators = AnnotatorParts(
            settings, environment.children, limits=self._limits(), clock=clock, rng=rng, stop=stop
        )
        self.choosers = ChooserParts(clock)

    def darkroom(self) -> PictureChild:
        """Make the parent's side of the picture child."""
        return PictureChild(environment=self._environment.children, limits=self._limits())

    def drafter(self, plan: WatchPlan, darkroom: PictureChild) -> Drafter:
        """Make what turns files into drafts."""
        encode = self._settings.encode
        return Drafter(
            plan,
            limits=self._limits(),
            encoding=Encoding(encode.quality, encode.max_side, encode.passthrough, encode.strip_gps),
            model=self._model(),
            darkroom=darkroom,
            clock=self._clock,
        )

    def watch(self, plan: WatchPlan, spool: Spool, darkroom: PictureChild) -> DirectoryWatch:
        """Make the watch over one directory."""
        bell, drafter = Bell(), self.drafter(plan, darkroom)
        annotations = None
        if plan.annotate and self.annotators.present:
            annotations = self.annotators.folder(plan, drafter, bell)
        return DirectoryWatch(
            plan,
            Listing(plan.root, plan.patterns, recursive=plan.recursive),
            Adopter(plan, drafter, spool, annotations, self.choosers.folder(plan, spool, darkroom), self._scout(plan)),
            spool,
            stop=self._stop,
            bell=bell,
            clock=self._clock,
            pulse=self._pulse,
            once=self._once,
        )

    def _scout(self, plan: WatchPlan) -> Scout | None:
        """Make what looks ahead where a backlog waits: with one core there is nothing to gain."""
        if len(os.sched_getaffinity(0)) == 1:
            return None
        return Scout(
            plan.root, self._limits(), environment=self._environment.children, clock=self._clock, stop=self._stop
        )

    def camera(
        self,
        camera: CameraSettings,
        spool: Spool,
        darkroom: PictureChild,
        observe: Callable[[CameraState], None],
    ) -> Camera:
        """Make the parent's side of one camera."""
        live = parse_source(camera.source).live
        plan = camera_plan(camera, self._settings.encode, select_plan(camera, self._settings.select))
        watches = self.annotators.watches(camera)
        chooser = self.choosers.camera(plan, spool, darkroom, sighted=watches)
        intake = FrameIntake(
            camera.name,
            spool.inbox,
            self._model(),
            live=live,
            when_full=camera.when_full,
            pulse=self._pulse,
            priority=camera.priority,
            chooser=chooser,
        )
        deliver: Callable[[Frame], None] = intake.put
        if watches:
            deliver = self.annotators.rule(camera.name, intake)
        elif camera.annotate and self.annotators.present:
            deliver = self.annotators.frames(camera.name, intake, live=live)
        return Camera(
            plan,
            deliver=deliver,
            stop=self._stop,
            clock=self._clock,
            rng=self._rng,
            darkroom=darkroom,
            resume=lambda path, fingerprint: spool.history.progress(camera.name, path, fingerprint),
            environment=self._environment.children,
            observe=observe,
            chooser=chooser,
            outpost=self.annotators.outpost(camera.name, intake) if watches else None,
        )

    def examiner(self) -> Examiner:
        """Make what builds items again from pictures whose rows were lost."""
        plans = {watch.name: annotation_plan(watch) for watch in self._settings.watch}
        return Examiner(self._limits(), self._model(), plans)

    def _limits(self) -> PictureLimits:
        return PictureLimits(max_bytes=self._settings.encode.max_bytes, max_pixels=self._settings.encode.max_pixels)

    def _model(self) -> Model:
        return Model(self._settings.model.id, self._settings.model.version)
