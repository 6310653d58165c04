"""From the settings of a source to its plan: what the sources' rooms know of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.annotations.plan import AnnotationPlan
from agent.config.annotations import AUTO
from agent.config.class_names import read_classes
from agent.sources.drafting import WatchPlan
from agent.sources.plan import CameraPlan
from agent.spool.budget import Limits, Policy

if TYPE_CHECKING:
    from agent.config.selection import SelectSettings
    from agent.config.settings import EncodeSettings, Settings, SpoolSettings
    from agent.config.sources import CameraSettings, WatchSettings
    from agent.selection.plan import SelectPlan


def watch_plan(watch: WatchSettings, select: SelectPlan | None = None) -> WatchPlan:
    """Return how a directory is watched."""
    return WatchPlan(
        name=watch.name,
        root=watch.path,
        patterns=watch.patterns,
        recursive=watch.recursive,
        annotations=annotation_plan(watch),
        crop=watch.crop,
        masks=watch.mask,
        settle_s=watch.settle_s,
        sidecar_wait_s=watch.sidecar_wait_s,
        rescan_s=watch.rescan_s,
        decode=watch.verify == "decode",
        after=watch.after_delivery,
        move_to=watch.move_to,
        when_full=watch.when_full,
        priority=watch.priority,
        select=select,
        annotate=watch.annotate,
    )


def annotation_plan(watch: WatchSettings) -> AnnotationPlan:
    """Return how the sidecars of a directory are read; raises `ConfigError` where its file of classes is gone."""
    formats = () if watch.annotations == (AUTO,) else watch.annotations
    return AnnotationPlan(
        formats=formats,
        classes=watch.classes if isinstance(watch.classes, tuple) else read_classes(watch.classes),
        box_space=watch.box_space,
        box_size=watch.box_size,
        min_confidence=watch.min_confidence,
        shapes=watch.shapes,
        on_bad=watch.on_bad_sidecar,
        shared=watch.shared_sidecars,
    )


def select_plan(source: WatchSettings | CameraSettings, select: SelectSettings) -> SelectPlan | None:
    """Return how a source's pictures are chosen; None where all of them are worth the link."""
    plan = select.plan(source.name, source.priority, source.select)
    return plan if plan.chooses else None


def camera_plan(camera: CameraSettings, encode: EncodeSettings, select: SelectPlan | None = None) -> CameraPlan:
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
        crop=camera.crop,
        masks=camera.mask,
        strip_gps=encode.strip_gps,
        open_timeout_s=camera.open_timeout_s,
        stall_timeout_s=camera.stall_timeout_s,
        select=select,
    )


def spool_limits(settings: SpoolSettings) -> Limits:
    """Return what the spool may use."""
    return Limits(
        max_bytes=settings.max_bytes,
        max_items=settings.max_items,
        min_free_bytes=settings.min_free_bytes,
        min_free_inodes=settings.min_free_inodes,
        quarantine_max_items=settings.quarantine_max_items,
    )


def spool_policies(settings: Settings) -> dict[str, Policy]:
    """Return what gives way for each source when the spool is full; a watched file stays in its folder."""
    policies = {
        watch.name: Policy(watch.when_full, frees_disk=False, priority=watch.priority) for watch in settings.watch
    }
    return policies | {camera.name: Policy(camera.when_full, priority=camera.priority) for camera in settings.camera}
