"""From the settings of a source to its plan: what the sources' rooms know of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.annotations.plan import AUTO, AnnotationPlan
from agent.config.class_names import read_classes
from agent.config.derived import period_of, rule_name, weekly_hours
from agent.selection.plan import ALWAYS, HIGHEST, NOVEL, Rule, SelectPlan
from agent.sources.drafting import WatchPlan
from agent.sources.plan import CameraPlan
from agent.spool.budget import Limits, Policy

if TYPE_CHECKING:
    from agent.config.selection import RuleSettings, SelectSettings
    from agent.config.settings import EncodeSettings, Settings, SpoolSettings
    from agent.config.sources import CameraSettings, WatchSettings


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
    own = source.select
    used = select.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})
    first = (Rule(NOVEL, ALWAYS, novel=True, priority=HIGHEST),) if used.novel_class_first else ()
    plan = SelectPlan(
        source=source.name,
        priority=source.priority,
        min_interval_s=used.min_interval_s,
        max_per_minute=used.max_per_minute,
        max_per_hour=used.max_per_hour,
        max_per_day=used.max_per_day,
        sample=used.sample,
        schedule=tuple(map(weekly_hours, used.schedule)),
        change=used.change,
        bank=used.bank,
        blur=used.blur,
        dark=used.dark,
        novel_after_s=used.novel_after_s,
        ring_bytes=used.ring_bytes,
        rules=(*first, *(_rule(rule, number) for number, rule in enumerate(used.rule, 1))),
    )
    return plan if plan.chooses else None


def _rule(rule: RuleSettings, number: int) -> Rule:
    return Rule(
        rule_name(rule, number),
        rule.keep,
        rule.classes,
        rule.confidence_between,
        rule.min_boxes,
        rule.max_boxes,
        rule.novel_class,
        rule.priority,
        rule.before_s,
        rule.after_s,
    )


def camera_plan(camera: CameraSettings, encode: EncodeSettings, select: SelectPlan | None = None) -> CameraPlan:
    """Return how a camera is opened, and what becomes of its frames."""
    return CameraPlan(
        name=camera.name,
        source=camera.source,
        interval_s=period_of(camera),
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
