"""What a camera is to do, as the configuration says it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """What a camera is to do.

    `interval_s` 0 takes every frame. `width`, `height` and `fourcc` are asked of USB cameras (`fourcc` None: MJPG).
    `quality`, `max_side` (pixels, 0: as they come) and `passthrough` do not reach the pictures of a `cmd:` program.
    """

    name: str
    source: str
    interval_s: float = 1.0
    width: int | None = None
    height: int | None = None
    fourcc: str | None = None
    quality: int = 90
    max_side: int = 0
    passthrough: bool = True
    open_timeout_s: float = 10.0
    stall_timeout_s: float = 10.0
