"""What a camera is to do, as the configuration says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.pictures.developing import Encoding
from agent.pictures.transform import Recipe

if TYPE_CHECKING:
    from agent.pictures.masks import Corners
    from agent.pictures.transform import Rectangle
    from agent.selection.plan import SelectPlan


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """What a camera is to do.

    `interval_s` 0 takes every frame. `width`, `height` and `fourcc` are asked of USB cameras (`fourcc` None: MJPG).
    `crop` and `masks` are in fractions, `max_side` in pixels (0: as they come). `select` is None where
    every frame is wanted.
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
    crop: Rectangle | None = None
    masks: tuple[Corners, ...] = ()
    strip_gps: bool = False
    open_timeout_s: float = 10.0
    stall_timeout_s: float = 10.0
    select: SelectPlan | None = None

    @property
    def develops(self) -> bool:
        """Tell whether any frame may be another one than the source gives."""
        return not self.passthrough or self.strip_gps or self.recipe != Recipe()

    @property
    def encoding(self) -> Encoding:
        """How frames are encoded."""
        return Encoding(self.quality, self.max_side, self.passthrough, self.strip_gps)

    @property
    def recipe(self) -> Recipe:
        """What is wanted of every frame."""
        return Recipe(self.crop, self.masks, self.max_side)
