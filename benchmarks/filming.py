"""A camera's path: what it costs over a bare loop, and how old a picture is when it is sent."""

from __future__ import annotations

import statistics
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from agents import Agent
from contest import Work, percentile
from usage import Contestant, Failed, Usage

from agent.sandbox.scene import draw

if TYPE_CHECKING:
    from contest import Arena
    from peer import Job

FPS = 10
SCENE_S = 6.0
LOOP = """
import sys, cv2
video = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG)
while True:
    read, pixels = video.read()
    if not read:
        break
    cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
"""


def video(path: Path, frames: int) -> Path:
    """Write an MJPG AVI of a moving scene at 1080p, with a sensor's noise."""
    noise = np.random.default_rng(1).integers(0, 16, (1080, 1920, 3), dtype=np.uint8)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), float(FPS), (1920, 1080))
    assert writer.isOpened()
    for index in range(frames):
        writer.write(cv2.add(draw(index, 1920, 1080)[0], np.roll(noise, 16 * index, axis=1)))
    writer.release()
    return path


class Filming(Agent):
    """The agent with a camera in place of a folder."""

    name = "the agent with a camera"

    def __init__(self, source: str, *, live: bool) -> None:
        self._source, self._live = source, live
        self.watches = live
        self.ready = '"started"'

    def command(self, job: Job) -> list[str]:
        """Put the camera where the folder stands in the configuration."""
        command = self.configured(job, settle_s=0.0, level="info")
        config = job.work / "config.toml"
        before, _, after = config.read_text(encoding="utf-8").partition("[[watch]]")
        rest = after[after.index("[spool]") :]
        camera = f'[[camera]]\nname = "bench"\nsource = "{self._source}"\ninterval_s = 0\n'
        config.write_text(f"{before}{camera}{rest}", encoding="utf-8")
        return command if self._live else [*command, "--once"]


def cost(arena: Arena, place: Path, frames: int, rounds: int) -> dict[str, float]:
    """Return the CPU of a video's way to the server over that of a bare loop, and the bytes written for it."""
    long, short = video(place / "long.avi", frames + 1), video(place / "short.avi", 1)
    agents, loops, shares, sent = [], [], [], 0
    for _ in range(rounds):
        (many, sent), (one, _) = (_filmed(arena, path) for path in (long, short))
        agents.append((many.cpu_s - one.cpu_s) / frames * 1e3)
        shares.append((many.written - one.written) / sent)
        loops.append((_looped(arena, long) - _looped(arena, short)) / frames * 1e3)
    pairs = [mine / bare for mine, bare in zip(agents, loops, strict=True)]
    return {
        "camera at 1080p, KB a picture": sent / (frames + 1) / 1e3,
        "camera at 1080p, CPU ms a picture": statistics.median(agents),
        "camera at 1080p, CPU over VideoCapture + imencode": statistics.median(pairs),
        "camera, device bytes a byte": statistics.median(shares),
    }


def _filmed(arena: Arena, path: Path) -> tuple[Usage, int]:
    peer = Filming(str(path), live=False)
    with arena.job(Work(Path(), {}, 0, workers=2), watched=True) as job:
        usage = Contestant(peer.command(job), job.work / "log", peer.environment()).result()
        came = arena.sink.figures()
    if not came["count"]:
        raise Failed("no picture of the video came")
    return usage, came["bytes"]


def _looped(arena: Arena, path: Path) -> float:
    with arena.job(Work(Path(), {}, 0, workers=2), watched=True) as job:
        command = [sys.executable, "-c", LOOP, str(path)]
        environment = {**Agent().environment(), "OPENBLAS_NUM_THREADS": "1"}
        return Contestant(command, job.work / "log", environment).result().cpu_s


def latency(arena: Arena) -> dict[str, float]:
    """Return how long after its capture the first byte of a live camera's picture came."""
    scene = f"{sys.executable} -m agent.sandbox.scene --fps {FPS} --width 1280 --height 720"
    peer = Filming(f"cmd:{scene}", live=True)
    with arena.job(Work(Path(), {}, 0, workers=2), watched=True) as job:
        contestant = Contestant(peer.command(job), job.work / "log", peer.environment())
        contestant.await_said(peer.ready)
        came = arena.sink.await_count(int(FPS * SCENE_S), 4 * SCENE_S, contestant.alive)
        contestant.end()
        contestant.result()
        seen = arena.sink.figures()["seen"]
    if not came:
        raise Failed("no picture of the scene came")
    ages = sorted((walled - datetime.fromisoformat(taken).timestamp()) * 1e3 for _, _, walled, taken in seen.values())
    return {
        f"camera: captured to first byte, ms, {name}": percentile(ages, at) for name, at in (("p50", 50), ("p99", 99))
    }
