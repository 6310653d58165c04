"""A source on trial: opened for a few seconds as the daemon would, in a child, and told how it did."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agent.errors import BadPicture, Reject, Reopen, Wait
from agent.pictures.inspect import PictureLimits, inspect
from agent.pictures.studio import PictureChild
from agent.sources.clips import Clip, files
from agent.sources.feeds import Opened, Pulse, Shot
from agent.sources.grammar import parse_source
from agent.sources.opener import Opener
from agent.wakeup import Wakeup
from agent.workers import Stop

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from agent.clock import Clock
    from agent.sources.feeds import Event
    from agent.sources.grammar import Source
    from agent.sources.plan import CameraPlan

EVERY_S = 0.5
"""A picture so often is enough to judge by; each costs the child a decode."""

SHORTEST_S = 0.2
"""A rate over less than this says nothing."""

LIMITS = PictureLimits(max_bytes=60_000_000, max_pixels=10**9)

REMEDIES = {
    "black": "Take the cap off the lens, or give it light; a camera that wakes slowly may need a longer look.",
    "frozen": "Plug the camera out and in; of a still scene over a clean digital link this is no fault.",
    "torn": "Try another cable or port, a smaller size, or fewer cameras on one USB hub.",
    "empty": "Ask for another format or size: width, height and fourcc of the camera.",
}


@dataclass(frozen=True, slots=True)
class Trial:
    """How a source did; `problem` is empty where it gives usable pictures.

    `frames` were seen in `seconds`; `fps` is measured, and says how fast a file can be read. `age_s` is the time from
    the grab of the last picture until it was here, None for a file. `bad` counts refused frames by kind. `black` is
    None where nobody looked, as with a program's pictures.
    """

    source: str
    kind: str
    opened: bool = False
    opened_after_s: float | None = None
    asked: str = ""
    got: str = ""
    frames: int = 0
    seconds: float = 0.0
    fps: float | None = None
    age_s: float | None = None
    bad: Mapping[str, int] = field(default_factory=dict)
    black: bool | None = None
    width: int = 0
    height: int = 0
    picture: bytes = field(default=b"", repr=False)
    problem: str = ""
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return everything but the picture itself as plain values."""
        picture = {"bytes": len(self.picture), "width": self.width, "height": self.height} if self.picture else None
        return {
            "source": self.source,
            "kind": self.kind,
            "opened": self.opened,
            "opened_after_s": _rounded(self.opened_after_s),
            "asked": self.asked,
            "got": self.got,
            "frames": self.frames,
            "seconds": _rounded(self.seconds),
            "measured_fps": _rounded(self.fps),
            "frame_age_s": _rounded(self.age_s),
            "black": self.black,
            "bad": dict(self.bad),
            "picture": picture,
            "problem": self.problem,
            "remedy": self.remedy,
        }


class Examiner:
    """Notes what a source gives, and judges it; `began` and all that is noted are boot times."""

    def __init__(self, trial: Trial, began: float) -> None:
        self._trial = trial
        self._began = began
        self._opened_at: float | None = None
        self._shots: list[tuple[int, float]] = []
        self._pulses: list[tuple[int, float]] = []

    def note(self, event: Event, now: float) -> None:
        """Take one event into account."""
        if self._opened_at is None:
            self._opened_at = now
            self._trial = replace(self._trial, opened=True, opened_after_s=now - self._began)
        if isinstance(event, Opened):
            self._trial = replace(self._trial, asked=event.asked, got=event.got)
        if isinstance(event, Pulse):
            self._pulses.append((event.seen, now))
            self._trial = replace(self._trial, frames=max(self._trial.frames, event.seen), bad=dict(event.bad))
        if isinstance(event, Shot):
            trial_of_file = self._trial.kind == "file"
            if event.next_frame:
                self._shots.append((event.next_frame, event.boot))
            self._trial = replace(
                self._trial,
                picture=event.picture,
                age_s=None if trial_of_file else now - event.boot,
                frames=max(self._trial.frames, event.next_frame),
            )

    def done(self, now: float, seconds: float) -> bool:
        """Tell whether the source was watched for long enough since it opened."""
        return self._opened_at is not None and now - self._opened_at >= seconds

    def verdict(self, now: float, problem: str = "", remedy: str = "") -> Trial:
        """Return the trial with its figures; `problem` is what ended it, where something did."""
        trial = self._trial
        if not problem and not trial.picture:
            problem, remedy = _without_picture(trial.bad)
        width, height, fault = _measured(trial.picture)
        judged = trial.kind != "command" and trial.opened
        return replace(
            trial,
            seconds=0.0 if self._opened_at is None else now - self._opened_at,
            fps=_rate(self._shots) or _rate(self._pulses),
            black=(not trial.picture and bool(trial.bad.get("black"))) if judged else None,
            width=width,
            height=height,
            problem=problem or fault,
            remedy=remedy,
        )


def try_source(plan: CameraPlan, *, seconds: float, environment: Mapping[str, str], clock: Clock) -> Trial:
    """Open the plan's source and watch it for some seconds; waiting for it to open is bounded by its time-outs.

    A file is read as fast as it goes, and its frames are judged like a camera's. Raises `ValueError` for no source.
    """
    source = parse_source(plan.source)
    examiner, problem, remedy = Examiner(Trial(source.shown, source.kind), clock.boot()), "", ""
    stop = Stop()
    darkroom = PictureChild(environment=environment, limits=LIMITS)
    opener = Opener(
        replace(plan, interval_s=EVERY_S), source, darkroom=darkroom, environment=environment, stop=stop, clock=clock
    )
    try:
        with closing(darkroom), closing(Wakeup(stop)) as wakeup, closing(_feed(opener, source, wakeup)) as feed:
            for event in feed:
                examiner.note(event, clock.boot())
                if examiner.done(clock.boot(), seconds):
                    break
    except (Reopen, Reject) as error:
        problem, remedy = error.what, error.remedy
    return examiner.verdict(clock.boot(), problem, remedy)


def _feed(opener: Opener, source: Source, wakeup: Wakeup) -> Generator[Event]:
    if source.live:
        return opener.live(wakeup)
    path = files(source.target)[0]
    clip = Clip.of(path, lambda *_: None)
    if clip is None:
        raise Reject(f"{path} was read to its end")
    return opener.file(wakeup, clip, judge=True)


def _without_picture(bad: Mapping[str, int]) -> tuple[str, str]:
    if not bad:
        return "no frame came", "Look at the camera and its cable, and try again."
    worst = max(bad, key=lambda kind: bad[kind])
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(bad.items()))
    return f"no usable picture came, only {kinds}", REMEDIES.get(worst, "")


def _measured(picture: bytes) -> tuple[int, int, str]:
    """Return a picture's size in pixels, and what is wrong with it."""
    if not picture:
        return 0, 0, ""
    descriptor = os.memfd_create("picture", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "r+b", closefd=False) as file:
            file.write(picture)
        found = inspect(descriptor, LIMITS)
    except (BadPicture, Wait) as error:
        return 0, 0, f"the source gives pictures that cannot be sent: {error.what}"
    finally:
        os.close(descriptor)
    return found.width, found.height, ""


def _rate(marks: list[tuple[int, float]]) -> float | None:
    if not marks or (span := marks[-1][1] - marks[0][1]) < SHORTEST_S:
        return None
    return (marks[-1][0] - marks[0][0]) / span


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
