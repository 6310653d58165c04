"""What the camera tests share: pictures that name themselves, videos made of them, and a camera that is running."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from agent.clock import SystemClock
from agent.errors import Wait
from agent.pictures.studio import PictureChild
from agent.sources.camera import Camera, CameraPlan, CameraState
from agent.workers import Nursery, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from agent.annotators.outpost import Outpost
    from agent.frame import Frame, Position
    from agent.selection.chooser import Chooser

ENVIRONMENT = {"PATH": os.environ["PATH"]}
STEP = 5


def shade(index: int) -> np.ndarray:
    """Return a grey picture whose brightness says which one it is (0 to 44)."""
    return np.full((48, 64, 3), 20 + STEP * index, np.uint8)


def jpeg(index: int) -> bytes:
    """Return that picture as a JPEG."""
    return cv2.imencode(".jpg", shade(index))[1].tobytes()


def index_of(picture: bytes) -> int:
    """Return which picture a JPEG shows."""
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None, "no JPEG"
    return round((float(pixels.mean()) - 20) / STEP)


def video(path: Path, frames: int, *, heavy: bool = False) -> Path:
    """Write an MJPG AVI of numbered frames, ten a second; heavy ones make JPEGs of some 150 KB."""
    size = (640, 480) if heavy else (64, 48)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, size)
    assert writer.isOpened()
    noise = np.random.default_rng(1).integers(-18, 19, (480, 640, 3)) if heavy else 0
    for index in range(frames):
        writer.write((cv2.resize(shade(index), size) + noise).astype(np.uint8))
    writer.release()
    return path


def program(folder: Path, body: str) -> str:
    """Return a `cmd:` source that runs these lines of Python, with `show(index)` to write a picture at hand."""
    pictures = folder / "pictures"
    if not pictures.exists():
        pictures.mkdir()
        for index in range(45):
            (pictures / f"{index}.jpg").write_bytes(jpeg(index))
    script = folder / f"program{len(list(folder.glob('program*')))}.py"
    script.write_text(
        "import os, pathlib, signal, subprocess, sys, time\n"
        "def show(index):\n"
        f"    data = pathlib.Path({str(pictures)!r}, f'{{index % 45}}.jpg').read_bytes()\n"
        "    sys.stdout.buffer.write(data); sys.stdout.flush()\n" + body
    )
    return f"cmd:{sys.executable} -S {script}"


def dice(seed: int) -> random.Random:
    """Return a random source that gives the same values in every run."""
    return random.Random(seed)


class HandClock(Protocol):
    """The clock fixture: it moves when it is told to."""

    def wall(self) -> datetime:
        """Return the hand-set wall time."""
        ...

    def boot(self) -> float:
        """Return the hand-set uptime."""
        ...

    def trusted(self) -> bool:
        """Tell whether the wall time is right."""
        ...

    def advance(self, seconds: float) -> None:
        """Move both on."""
        ...


class Running:
    """A camera in its thread, and what it delivered."""

    def __init__(
        self,
        plan: CameraPlan,
        environment: dict[str, str],
        chooser: Chooser | None = None,
        outpost: Outpost | None = None,
    ) -> None:
        self.frames: list[Frame] = []
        self.states: list[CameraState] = []
        self.positions: dict[tuple[str, str], Position] = {}
        self.full = False
        self.stop = Stop()
        self.on_frame: Callable[[Frame], None] = lambda _: None
        self.darkroom = PictureChild(environment=environment)
        self._changed = threading.Condition()
        self._nursery = Nursery(self.stop)
        self._camera = Camera(
            plan,
            deliver=self._deliver,
            stop=self.stop,
            clock=SystemClock(),
            rng=dice(1),
            darkroom=self.darkroom,
            resume=lambda path, fingerprint: self.positions.get((path, fingerprint)),
            environment=environment,
            observe=self._observe,
            chooser=chooser,
            outpost=outpost,
        )

    @property
    def state(self) -> CameraState:
        """Return the state that was observed last."""
        return self.states[-1]

    def indexes(self) -> list[int]:
        """Return which pictures arrived, in order."""
        return [index_of(frame.picture) for frame in self.frames]

    def start(self) -> None:
        """Start the camera's thread."""
        self._nursery.start("camera", self._camera.run)

    def until(self, claim: Callable[[], object], seconds: float = 10.0) -> None:
        """Wait until the claim holds; fail when it does not in time."""
        with self._changed:
            deadline = time.monotonic() + seconds
            while not claim():
                assert time.monotonic() < deadline, f"never came true; {self.state}, {len(self.frames)} frames"
                self._changed.wait(0.05)

    def ended(self) -> bool:
        """Tell whether the thread has ended."""
        return not self._nursery.running()

    def halt(self) -> float:
        """Stop the camera; return how many seconds its thread took to end."""
        began = time.monotonic()
        self.stop.set()
        self.darkroom.close()
        assert not self._nursery.join(5.0), "the camera did not stop"
        assert self._nursery.failure is None
        return time.monotonic() - began

    def _deliver(self, frame: Frame) -> None:
        if self.full:
            raise Wait("no room")
        self.on_frame(frame)
        with self._changed:
            self.frames.append(frame)
            if frame.position:
                self.positions[frame.position.path, frame.position.fingerprint] = frame.position
            self._changed.notify_all()

    def _observe(self, state: CameraState) -> None:
        with self._changed:
            self.states.append(state)
            self._changed.notify_all()


@contextlib.contextmanager
def running(
    plan: CameraPlan,
    positions: dict[tuple[str, str], Position] | None = None,
    *,
    chooser: Chooser | None = None,
    outpost: Outpost | None = None,
    **environment: str,
) -> Iterator[Running]:
    """Run a camera for the length of a block; `positions` are what an earlier run stored."""
    camera = Running(plan, {**ENVIRONMENT, **environment}, chooser, outpost)
    camera.positions.update(positions or {})
    camera.start()
    try:
        yield camera
    finally:
        camera.halt()


def children() -> dict[int, str]:
    """Return the command lines of this process's living children, by their process id.

    What starts programs warm for other tests of this worker is none of a camera's.
    """
    found = {}
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            with contextlib.suppress(OSError):
                found[int(pid)] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return {pid: line for pid, line in found.items() if "warm_rig.py" not in line}


def grabber() -> int:
    """Return the process id of the one grabber that is running, 0 where there is none."""
    return next((pid for pid, line in children().items() if "agent.sources.grabber" in line), 0)


def alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
