"""From the settings of a source to its plan: what the sources' rooms know of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.sources.drafting import WatchPlan
from agent.sources.plan import CameraPlan

if TYPE_CHECKING:
    from agent.config.settings import CameraSettings, EncodeSettings, WatchSettings


def watch_plan(watch: WatchSettings) -> WatchPlan:
    """Return how a directory is watched."""
    return WatchPlan(
        name=watch.name,
        root=watch.path,
        patterns=watch.patterns,
        recursive=watch.recursive,
        classes=watch.classes,
        settle_s=watch.settle_s,
        sidecar_wait_s=watch.sidecar_wait_s,
        rescan_s=watch.rescan_s,
        decode=watch.verify == "decode",
        after=watch.after_delivery,
        move_to=watch.move_to,
    )


def camera_plan(camera: CameraSettings, encode: EncodeSettings) -> CameraPlan:
    """Return how a camera is opened, and what becomes of its frames."""
    return CameraPlan(
        name=camera.name,
        source=camera.source,
        interval_s=camera.period_s,
        width=camera.width,
        height=camera.height,
        fourcc=camera.fourcc,
        quality=encode.quality,
        max_side=encode.max_side,
        passthrough=encode.passthrough,
        open_timeout_s=camera.open_timeout_s,
        stall_timeout_s=camera.stall_timeout_s,
    )
