"""How annotators are put together: one desk for all sources, and what stands between it and each of them."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from agent.annotators.command import OnceProgram, StreamProgram
from agent.annotators.desk import Desk
from agent.annotators.folder import FolderAnnotations
from agent.annotators.frames import FileFrames, FrameRule, LiveFrames
from agent.annotators.outpost import Outpost
from agent.app.annotator_plans import annotator_plan, detection_plan, request_plan
from agent.config.derived import arguments_of
from agent.platform.client import tls_context
from agent.sources.grammar import parse_source

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from agent.annotators.desk import AnnotatorState, Engine
    from agent.clock import Clock
    from agent.config.settings import Settings
    from agent.config.sources import CameraSettings
    from agent.frame import Frame
    from agent.intake import FrameIntake
    from agent.pictures.limits import PictureLimits
    from agent.sources.drafting import Drafter, WatchPlan
    from agent.workers import Bell, Stop

_CHILD = (sys.executable, "-P", "-m")
"""`-P` keeps the present directory off the search path: it may be full of other people's files."""


class AnnotatorParts:
    """Builds the annotator of a run; `threads` are the bodies of the threads that it needs, by their names.

    The desk is made when the first source asks for it: without one no thread of it runs.
    """

    def __init__(
        self,
        settings: Settings,
        children: Mapping[str, str],
        *,
        limits: PictureLimits,
        clock: Clock,
        rng: random.Random,
        stop: Stop,
    ) -> None:
        self.threads: dict[str, Callable[[], None]] = {}
        self.states: dict[str, AnnotatorState] = {}
        self._settings = settings.annotator
        self._plan = annotator_plan(settings.annotator)
        self._children = children
        self._limits = limits
        self._clock = clock
        self._rng = rng
        self._stop = stop
        self._made: Desk | None = None

    @property
    def present(self) -> bool:
        """Tell whether there is an annotator."""
        return self._settings.kind is not None

    def folder(self, plan: WatchPlan, drafter: Drafter, bell: Bell) -> FolderAnnotations:
        """Make what has one directory's pictures looked at."""
        folder = FolderAnnotations(plan.root, self._desk(), drafter.shown, stop=self._stop, notify=bell.ring)
        self.threads[f"annotate-{plan.name}"] = folder.run
        return folder

    def watches(self, camera: CameraSettings) -> bool:
        """Tell whether a camera's own child has a detector: it has the pixels before there is a JPEG."""
        return camera.annotate and self._settings.kind == "cv2dnn" and parse_source(camera.source).kind != "command"

    def outpost(self, name: str, intake: FrameIntake) -> Outpost:
        """Make the parent's side of a detector in a camera's child."""
        return Outpost(
            name,
            self._plan,
            detection_plan(self._settings),
            pass_over=lambda reason, items: intake.pass_over(reason, items=items, size=0),
            clock=self._clock,
            rng=self._rng,
            observe=self._observe,
        )

    def rule(self, name: str, intake: FrameIntake) -> Callable[[Frame], None]:
        """Return what takes a camera's frames that have been looked at, or could not be."""
        return FrameRule(name, self._plan.on_failure, intake, self._clock).put

    def frames(self, name: str, intake: FrameIntake, *, live: bool) -> Callable[[Frame], None]:
        """Make what has one camera's frames looked at; returns what takes them."""
        rule = FrameRule(name, self._plan.on_failure, intake, self._clock)
        if not live:
            return FileFrames(self._desk(), rule, self._limits, self._stop).put
        frames = LiveFrames(self._desk(), rule, intake, self._limits, self._stop)
        self.threads[f"annotate-{name}"] = frames.run
        return frames.put

    def _desk(self) -> Desk:
        if self._made is None:
            self._made = Desk(
                self._engine(), self._plan, stop=self._stop, clock=self._clock, rng=self._rng, observe=self._observe
            )
            self.threads["annotator"] = self._made.run
        return self._made

    def _observe(self, state: AnnotatorState) -> None:
        self.states[state.name] = state

    def _engine(self) -> Engine:
        settings = self._settings
        if settings.kind == "http":
            # Loaded here: who has no server for it does not pay for the client.
            from agent.annotators.http import Server  # noqa: PLC0415

            request = request_plan(settings)
            context = tls_context(request.url, None)
            return Server(request, self._plan, context=context, stop=self._stop, clock=self._clock)
        parent = str(os.getpid())
        if settings.kind == "python":
            memory = str(settings.memory_bytes)
            return self._stream([*_CHILD, "agent.annotators.plugin", settings.entry_point or "", parent, memory])
        if settings.kind == "cv2dnn":
            order = json.dumps(detection_plan(settings)).encode() + b"\n"
            return self._stream([*_CHILD, "agent.annotators.detector", parent], order)
        if settings.mode == "once":
            return OnceProgram(
                arguments_of(settings), self._plan, environment=self._children, stop=self._stop, clock=self._clock
            )
        return self._stream(arguments_of(settings))

    def _stream(self, arguments: list[str], order: bytes = b"") -> StreamProgram:
        return StreamProgram(
            arguments,
            self._plan,
            environment=self._children,
            stop=self._stop,
            clock=self._clock,
            order=order,
        )
