"""How the choice of pictures is put together, for each source that has anything to choose."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from agent.pictures.transform import Recipe
from agent.selection.books import Books
from agent.selection.choice import Choice, Past
from agent.selection.chooser import Chooser
from agent.selection.folder import FolderChooser
from agent.sources.grammar import parse_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.clock import Clock
    from agent.pictures.inspect import Picture
    from agent.pictures.studio import PictureChild
    from agent.selection.facts import Look
    from agent.selection.plan import SelectPlan
    from agent.sources.drafting import WatchPlan
    from agent.sources.plan import CameraPlan
    from agent.spool.spool import Spool


class ChooserParts:
    """Builds what chooses; `closings` enter what is left of their counts at the end of a run.

    Nothing is built where every picture is worth the link.
    """

    def __init__(self, clock: Clock) -> None:
        self.closings: list[Callable[[], None]] = []
        self._clock = clock

    def folder(self, watch: WatchPlan, spool: Spool, darkroom: PictureChild) -> FolderChooser | None:
        """Make what chooses among a directory's files."""
        plan = watch.select
        if plan is None:
            return None
        chooser = FolderChooser(_choice(plan, spool), spool.choices, watch_look(watch, plan, darkroom), self._clock)
        self.closings.append(chooser.close)
        return chooser

    def camera(self, camera: CameraPlan, spool: Spool, darkroom: PictureChild, *, sighted: bool) -> Chooser | None:
        """Make what chooses among a camera's frames; `sighted` where its child knows the boxes."""
        plan = camera.select
        if plan is None:
            return None
        choice = _choice(plan, spool)
        books = Books(plan.source, spool.choices, choice.past.text, self._clock)
        # A program's frames come without a child that could look at them.
        sieved = plan.decides_alone(sighted=sighted) and parse_source(camera.source).kind != "command"
        chooser = Chooser(choice, books, sieved=sieved, look_at=partial(darkroom.look, needs=plan.needs))
        self.closings.append(chooser.close)
        return chooser


def watch_look(watch: WatchPlan, plan: SelectPlan, darkroom: PictureChild) -> Callable[[int, Picture], Look]:
    """Make what looks at a directory's files: cropped and masked as they are sent, for the limits that ask for it.

    A change where nobody will see it is none.
    """
    return partial(darkroom.look, needs=plan.needs, recipe=Recipe(watch.crop, watch.masks))


def _choice(plan: SelectPlan, spool: Spool) -> Choice:
    return Choice(plan, Past.of_text(plan, spool.choices.past(plan.source)))
