"""A deployment: one model at a time is fetched, tried in a process of its own, and put in force; or it is left.

A model in force is never touched by one that does not work: what is fetched lies apart until it has looked at a
picture, and the one before stays on the disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from agent.errors import LinkFault, Reject, SpoolDamaged, Wait
from agent.hush import Hush
from agent.models.labels import class_names
from agent.models.shelf import Model, file_name, folder_name
from agent.platform.answers import Meaning
from agent.retry import LINK
from agent.steward import DEPLOYED, FAILED
from agent.workers import Bell

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from pathlib import Path

    from agent.clock import Clock
    from agent.models.shelf import ModelShelf
    from agent.platform.actions import Action
    from agent.platform.download import Downloader
    from agent.workers import Stop

log = structlog.get_logger(__name__)

NEXT_S = 3600.0


class Deployer:
    """One thread: `take` gives it a model, `tried` looks at a picture with one, `switch` has the next run use it.

    `tried` raises `Reject` where the model does not work, `Wait` where that cannot be told now. `settle` remembers
    what became of an action.
    """

    def __init__(
        self,
        shelf: ModelShelf,
        downloader: Downloader,
        *,
        tried: Callable[[Path, tuple[str, ...]], None],
        settle: Callable[[Action, str, str], None],
        switch: Callable[[], None],
        stop: Stop,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._shelf = shelf
        self._downloader = downloader
        self._tried = tried
        self._settle = settle
        self._switch = switch
        self._stop = stop
        self._clock = clock
        self._rng = rng
        self._bell = Bell()
        self._hush = Hush()
        self._wanted: Action | None = None
        self._stage = ""
        self._current = shelf.current()

    def take(self, action: Action) -> None:
        """Have a model deployed; it takes the place of one that waits."""
        if self._wanted is None or self._wanted.id != action.id:
            self._wanted = action
            self._bell.ring()

    def abort(self) -> None:
        """Break off a download, from any thread."""
        self._downloader.abort()

    def facts(self) -> dict[str, Any]:
        """Return what is known, as plain values for the state file."""
        return {
            "model": f"{self._current.model_id} {self._current.version}" if self._current else None,
            "action": str(self._wanted) if self._wanted else None,
            "stage": self._stage or None,
        }

    def run(self) -> None:
        """Work until the stop is set."""
        self._stop.subscribe(self._bell.ring)
        failures = 0
        while not self._stop.is_set():
            heard = self._bell.rings()
            wait_s = NEXT_S
            if (action := self._wanted) is not None:
                failures = failures + 1 if not self._done(action) else 0
                wait_s = LINK[Meaning.OFFLINE].delay(failures, self._rng) if failures else NEXT_S
            if self._wanted is None or failures:
                self._bell.wait(heard, wait_s)

    def _done(self, action: Action) -> bool:
        """Deploy a model; false where it has to be tried again."""
        try:
            model = self._deploy(action)
            self._settle(action, DEPLOYED, f"{model.size} bytes, sha256 {model.sha256}")
        except SpoolDamaged:
            raise
        except Reject as error:
            return self._left(action, str(error))
        except (LinkFault, Wait) as error:
            if self._hush.lets(str(error), self._clock.boot()):
                log.warning("deployment_delayed", action=str(action), stage=self._stage, reason=str(error))
            return False
        self._forget(action)
        self._switch()
        return True

    def _left(self, action: Action, reason: str) -> bool:
        try:
            self._settle(action, FAILED, reason)
        except SpoolDamaged:
            raise
        except Wait:
            return False
        self._forget(action)
        return True

    def _forget(self, action: Action) -> None:
        self._stage = ""
        if self._wanted is action:
            self._wanted = None

    def _deploy(self, action: Action) -> Model:
        part = self._shelf.begin(folder_name(action.id)) / "part"
        self._stage = "fetching"
        fetched = self._downloader.fetch(action.download_url, part)
        model = Model(
            action.model_id,
            action.version,
            f"{folder_name(action.model_id)}/{folder_name(action.version)}",
            file_name(action.file_ext),
            fetched.size,
            fetched.sha256,
            class_names(action.label_map),
        )
        log.info("model_fetched", action=str(action), bytes=model.size, sha256=model.sha256)
        self._stage = "trying"
        try:
            self._tried(part, model.classes)
        except Reject:
            part.unlink(missing_ok=True)
            raise
        self._shelf.put(part, model)
        self._shelf.prune()
        self._current = model
        return model
