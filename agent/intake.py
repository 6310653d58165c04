"""From a camera's frame to an item in the spool."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from agent.annotations.metadata import metadata_json
from agent.errors import SpoolDamaged, Wait
from agent.spool.records import Draft

if TYPE_CHECKING:
    from agent.frame import Frame, Model
    from agent.health import Pulse
    from agent.spool.inbox import Inbox

log = structlog.get_logger(__name__)

NO_ROOM = "no room in the spool"


class FrameIntake:
    """Puts one camera's frames into the spool.

    A file can wait: it gets `Wait` where there is no room, and offers the same frame again. A live camera cannot:
    its frame is dropped, and the ledger says so as soon as it can be written.
    """

    def __init__(self, name: str, inbox: Inbox, model: Model, *, live: bool, pulse: Pulse) -> None:
        self._name = name
        self._inbox = inbox
        self._model = model
        self._live = live
        self._pulse = pulse
        self._uncounted: list[int] = []
        self._paused = ""

    def put(self, frame: Frame) -> None:
        """Return when the frame is durable, or dropped and counted; raises `Wait` for a file's frame alone."""
        self._pulse.beat(self._name)
        try:
            self._put(frame)
            self._paused = ""
            self._count_dropped()
        except SpoolDamaged:
            raise
        except Wait as error:
            self._say_paused(error)
            if not self._live:
                raise
            self._uncounted.append(len(frame.picture))
            self._count_dropped()
        finally:
            self._pulse.rest(self._name)

    def _put(self, frame: Frame) -> None:
        draft = Draft.of_bytes(
            frame.picture,
            source=frame.source,
            captured_at=frame.captured_at,
            media_type=frame.media_type,
            metadata=metadata_json(source=frame.source, captured_at=frame.captured_at, model=self._model, labels=None),
            position=frame.position,
            stamp=frame.stamp,
        )
        staged = self._inbox.stage(draft)
        self._inbox.commit([staged])
        log.info(
            "item_spooled",
            item=staged.id,
            filename=staged.filename,
            source=frame.source,
            bytes=draft.size,
        )

    def _count_dropped(self) -> None:
        """Enter the frames that found no room; what cannot be entered now is entered with the next one."""
        if not self._uncounted:
            return
        try:
            self._inbox.count_dropped(self._name, self._uncounted, NO_ROOM)
            self._uncounted = []
        except SpoolDamaged:
            raise
        except Wait:
            return

    def _say_paused(self, error: Wait) -> None:
        if self._paused != type(error).__name__:
            self._paused = type(error).__name__
            log.warning("intake_paused", source=self._name, reason=str(error))
