"""How the choice of pictures is put together, for each source that has anything to choose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.selection.books import Books
from agent.selection.choice import Choice, Past
from agent.selection.chooser import Chooser
from agent.selection.folder import FolderChooser
from agent.sources.grammar import parse_source

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.clock import Clock
    from agent.pictures.studio import PictureChild
    from agent.selection.plan import SelectPlan
    from agent.sources.plan import CameraPlan
    from agent.spool.spool import Spool


class ChooserParts:
    """Builds what chooses; `closings` enter what is left of their counts at the end of a run.

    Nothing is built where every picture is worth the link.
    """

    def __init__(self, clock: Clock) -> None:
        self.closings: list[Callable[[], None]] = []
        self._clock = clock

    def folder(self, plan: SelectPlan | None, spool: Spool, darkroom: PictureChild) -> FolderChooser | None:
        """Make what chooses among a directory's files."""
        if plan is None:
            return None
        chooser = FolderChooser(_choice(plan, spool), spool.choices, darkroom.look, self._clock)
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
        chooser = Chooser(choice, books, sieved=sieved, look_at=darkroom.look)
        self.closings.append(chooser.close)
        return chooser


def _choice(plan: SelectPlan, spool: Spool) -> Choice:
    return Choice(plan, Past.of_text(plan, spool.choices.past(plan.source)))
