"""From a camera's frame to an item in the spool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from agent.annotations.metadata import metadata_json
from agent.errors import SpoolDamaged, SpoolFull, Wait
from agent.frame import PRIORITY
from agent.spool.allowance import NoRoom
from agent.spool.records import Draft
from agent.spool.room import REASONS

if TYPE_CHECKING:
    from agent.frame import Frame, Model
    from agent.health import Pulse
    from agent.selection.chooser import Chooser
    from agent.spool.inbox import Inbox

log = structlog.get_logger(__name__)

NO_ROOM = "no room in the spool"
UNAVAILABLE = "spool unavailable"


class FrameIntake:
    """Puts one camera's frames into the spool, those that its `chooser` finds worth it where there is one.

    A file can wait: it gets `Wait` where there is no room, and offers the same frame again. A live camera cannot:
    what the spool has no room for, or makes none for, is dropped, and the ledger says so as soon as it can be written.
    """

    def __init__(
        self,
        name: str,
        inbox: Inbox,
        model: Model,
        *,
        live: bool,
        when_full: str,
        pulse: Pulse,
        priority: int = PRIORITY,
        chooser: Chooser | None = None,
    ) -> None:
        self._name = name
        self._inbox = inbox
        self._model = model
        self._live = live
        self._when_full = when_full
        self._priority = priority
        self._chooser = chooser
        self._pulse = pulse
        self._uncounted: dict[str, tuple[int, int]] = {}

    def put(self, frame: Frame) -> None:
        """Return when the frame is durable, or dropped and counted; raises `Wait` for a file's frame alone."""
        self._pulse.beat(self._name)
        try:
            if self._chooser is None:
                self._put(frame)
            else:
                self._chooser.put(frame, self._put)
            self._pulse.resume(self._name)
            self._count_dropped()
        except SpoolDamaged:
            raise
        except Wait as error:
            self._say_paused(error)
            if not self._live:
                raise
            self._drop(self._reason(error), len(frame.picture))
            self._count_dropped()
        finally:
            self._pulse.rest(self._name)

    def forgo(self, frame: Frame, reason: str) -> None:
        """Enter a frame as captured and dropped; raises `Wait` for a file's frame alone."""
        if self._live:
            self.pass_over(reason, items=1, size=len(frame.picture))
        else:
            self._inbox.pass_over(self._draft(frame), reason)

    def pass_over(self, reason: str, *, items: int, size: int) -> None:
        """Enter frames of a live camera as captured and dropped, now or with the next one."""
        self._drop(reason, size, items)
        self._count_dropped()

    def _draft(self, frame: Frame) -> Draft:
        return Draft.of_bytes(
            frame.picture,
            source=frame.source,
            captured_at=frame.captured_at,
            media_type=frame.media_type,
            metadata=metadata_json(
                source=frame.source, captured_at=frame.captured_at, model=self._model, labels=frame.labels
            ),
            position=frame.position,
            stamp=frame.stamp,
            priority=self._priority if frame.priority is None else frame.priority,
        )

    def _put(self, frame: Frame) -> None:
        draft = self._draft(frame)
        staged = self._inbox.stage(draft)
        self._inbox.commit([staged])
        log.info(
            "item_spooled",
            item=staged.id,
            filename=staged.filename,
            source=frame.source,
            bytes=draft.size,
        )

    def _reason(self, error: Wait) -> str:
        if isinstance(error, NoRoom) and self._when_full == "newest":
            return REASONS["newest"]
        return NO_ROOM if isinstance(error, SpoolFull) else UNAVAILABLE

    def _drop(self, reason: str, size: int, more: int = 1) -> None:
        items, total = self._uncounted.get(reason, (0, 0))
        self._uncounted[reason] = (items + more, total + size)

    def _count_dropped(self) -> None:
        """Enter the frames that found no room; what cannot be entered now is entered with the next one."""
        try:
            for reason, (items, size) in list(self._uncounted.items()):
                self._inbox.count_dropped(self._name, reason, items=items, size=size)
                del self._uncounted[reason]
        except SpoolDamaged:
            raise
        except Wait:
            return

    def _say_paused(self, error: Wait) -> None:
        if self._pulse.pause(self._name, str(error)):
            log.warning("intake_paused", source=self._name, reason=str(error))
