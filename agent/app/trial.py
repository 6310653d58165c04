"""The trial of a deployed model: it looks at a picture, in a detector child of its own, before it is put in force."""

from __future__ import annotations

import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from agent.annotators.command import StreamProgram
from agent.app.annotator_plans import annotator_plan, detection_plan
from agent.app.deployed import with_model
from agent.errors import Reject, Unanswered
from agent.platform.answers import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.clock import Clock
    from agent.config.settings import Settings
    from agent.workers import Stop

PICTURE = Path(__file__).with_name("trial.jpg")  # 64 x 64, grey: what is seen on it does not matter


def trial(
    settings: Settings, children: Mapping[str, str], *, clock: Clock, stop: Stop
) -> Callable[[Path, tuple[str, ...]], None]:
    """Make what tries a model with these class names; it raises `Reject` where the model does not work."""

    def tried(path: Path, classes: tuple[str, ...]) -> None:
        annotator = with_model(settings, path, classes).annotator
        program = StreamProgram(
            [sys.executable, "-P", "-m", "agent.annotators.detector", str(os.getpid())],
            annotator_plan(annotator),
            environment=children,
            stop=stop,
            clock=clock,
            order=json.dumps(detection_plan(annotator)).encode() + b"\n",
        )
        with closing(program):
            try:
                answer = program.look(PICTURE.read_bytes())
            except Unanswered as error:
                if stop.is_set():
                    raise
                raise Reject(f"it does not work: {shown(str(error))}") from error
        if b'"error"' in answer:
            raise Reject(f"it does not work: {shown(answer.decode('utf-8', 'replace'))}")

    return tried
