"""What is wrong between settings that are each right alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from agent.config.class_names import read_classes
from agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.config.lines import KeyPath
    from agent.config.settings import Settings
    from agent.config.sources import WatchSettings

DEPLOYABLE: frozenset[str] = frozenset({"cv2dnn"})


def conflicts(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    """Yield the key path and the sentence of each contradiction."""
    yield from _shared_names(settings)
    yield from _unused_models(settings)
    for index, watch in enumerate(settings.watch):
        if isinstance(watch.classes, Path):
            yield from _unreadable_classes(("watch", index, "classes"), watch.classes)
        if watch.after_delivery == "move" and watch.move_to is not None:
            yield from _watched_target(("watch", index, "move_to"), watch.move_to, settings.watch)


def _unreadable_classes(path: KeyPath, file: Path) -> Iterator[tuple[KeyPath, str]]:
    try:
        read_classes(file)
    except ConfigError as error:
        yield path, str(error)


def _unused_models(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    if settings.models.accept and settings.annotator.kind not in DEPLOYABLE:
        yield ("models", "accept"), 'needs annotator.kind = "cv2dnn"; nothing else can use a model'
    if settings.models.accept and not settings.checkin.enabled:
        yield ("models", "accept"), "needs checkin.enabled = true; models are asked for in the answer to a check-in"


def _shared_names(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    seen: set[str] = set()
    names = [(("watch", index, "name"), source.name) for index, source in enumerate(settings.watch)]
    names += [(("camera", index, "name"), source.name) for index, source in enumerate(settings.camera)]
    for path, name in names:
        if name in seen:
            yield path, f"two sources are named {name!r}; give each its own name"
        seen.add(name)


def _watched_target(path: KeyPath, target: Path, watches: tuple[WatchSettings, ...]) -> Iterator[tuple[KeyPath, str]]:
    for watch in watches:
        if _within(target, watch):
            yield path, f"is watched by {watch.name!r}, which would upload the moved files again; choose another folder"
            return


def _within(target: Path, watch: WatchSettings) -> bool:
    folder, target = Path(os.path.normpath(watch.path)), Path(os.path.normpath(target))
    return target == folder or (watch.recursive and target.is_relative_to(folder))
