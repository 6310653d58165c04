"""Which model is used: the one that the platform deployed, where it may and has, else the configuration's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.config.conflicts import DEPLOYABLE
from agent.models.shelf import ModelShelf

if TYPE_CHECKING:
    from pathlib import Path

    from agent.config.settings import Settings


def models_dir(settings: Settings, spool_dir: Path) -> Path:
    """Return where models are kept."""
    return settings.models.dir or spool_dir / "models"


def deployed(settings: Settings, spool_dir: Path) -> Settings:
    """Return the settings with the model in force in place of the configuration's own."""
    if not settings.models.accept or settings.annotator.kind not in DEPLOYABLE:
        return settings
    shelf = ModelShelf(models_dir(settings, spool_dir))
    model = shelf.current()
    if model is None:
        return settings
    used = with_model(settings, shelf.path(model), model.classes)
    known = {"model_id": model.model_id, "model_version": model.version}
    return used.model_copy(
        update={
            "annotator": used.annotator.model_copy(update=known),
            "model": used.model.model_copy(update={"id": model.model_id, "version": model.version}),
        }
    )


def with_model(settings: Settings, path: Path, classes: tuple[str, ...]) -> Settings:
    """Return the settings with another model's file; without names of its own it has the configuration's."""
    update = {"model_file": path, "classes": classes or settings.annotator.classes}
    return settings.model_copy(update={"annotator": settings.annotator.model_copy(update=update)})
