"""Pictures looked at ahead: where a backlog waits, a child reads and hashes the next ones while these are taken in.

Reading and hashing a picture is a quarter of what it costs the daemon, whose interpreter does one thing at a time. What
the child reports counts only for a file that is the very same when its turn comes; the daemon looks at all others
itself. So nothing rests on the child: where it fails, is slow or is killed, taking in is slower, and that is all.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from agent.file_state import file_state
from agent.pictures.dialogue import Dialogue
from agent.pictures.inspect import Picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from agent.clock import Clock
    from agent.file_state import FileState
    from agent.pictures.limits import PictureLimits
    from agent.sources.settle import Sighting
    from agent.workers import Stop

log = structlog.get_logger(__name__)

CHILD = (sys.executable, "-P", "-m", "agent.sources.scout_child")
ENOUGH = 16  # files at once; a camera's folder in daily use never has so many, and pays for no child
MOST_BYTES = 32_000_000  # of one request: a second's work of a slow core and card
DEADLINE_S = 5.0
IDLE_S = 10.0
KEPT = 4096  # reports of files that still wait for a sidecar: as many as a watch tracks
REST_S = 300.0  # after a failure
_MOST_ANSWER_BYTES = 1_000_000


class Scout:
    """Has a folder's next pictures looked at by a child, which starts with the first backlog and ends when idle.

    All calls but the stop's are of one thread. None raises for the child's sake, or waits for it beyond `DEADLINE_S`.
    """

    def __init__(
        self,
        root: Path,
        limits: PictureLimits,
        *,
        environment: Mapping[str, str],
        clock: Clock,
        stop: Stop,
        idle_s: float = IDLE_S,
    ) -> None:
        self._root = root
        self._limits = limits._asdict()
        self._environment = environment
        self._clock = clock
        self._stop = stop
        self._command = (*CHILD, str(idle_s), str(os.getpid()))
        self._child: Dialogue | None = None
        self._asked = False
        self._rests_until = float("-inf")
        self._reports: dict[str, tuple[FileState, Picture]] = {}
        stop.subscribe(self._abandon)

    def report(self, name: str, status: os.stat_result) -> Picture | None:
        """Return what a file was found to be, where it is still the same; None where it has to be looked at."""
        seen, picture = self._reports.pop(name, (None, None))
        return picture if seen == file_state(status) else None

    def go_on(self, coming: Sequence[tuple[str, Sighting]]) -> None:
        """Hear of the files that were asked for last, and ask for those that come next, where they are many."""
        if self._asked:
            self._hear()
        elif self._child is not None and not self._child.alive():
            self.close()  # it was idle
        names, size = [], 0
        for name, seen in coming:
            size += seen.size
            if name not in self._reports and size <= MOST_BYTES:
                names.append(name)
        if len(names) >= ENOUGH and self._clock.boot() >= self._rests_until:
            self._ask(names)

    def close(self) -> None:
        """End the child, if there is one."""
        self._asked = False
        if self._child is not None:
            self._child.close()
            self._child = None

    def _ask(self, names: Sequence[str]) -> None:
        with self._forgiven():
            deadline = time.monotonic() + DEADLINE_S
            child = self._running(deadline)
            folder = os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                child.send({"names": names, "limits": self._limits}, folder, deadline)
            finally:
                os.close(folder)
            self._asked = True

    def _hear(self) -> None:
        self._asked = False
        with self._forgiven():
            deadline = time.monotonic() + DEADLINE_S
            _, body = self._running(deadline).receive(_MOST_ANSWER_BYTES, deadline)
            for name, seen, picture in json.loads(body):
                self._reports[name] = (tuple(seen), Picture(*picture))
        while len(self._reports) > KEPT:
            del self._reports[next(iter(self._reports))]

    def _running(self, deadline: float) -> Dialogue:
        if self._child is None:
            self._child = Dialogue(self._command, self._environment)
            # Asked only now: the stop either finds the child above, or is found out here.
            if self._stop.is_set():
                raise ConnectionError("the agent is stopping")
            self._child.receive(0, deadline)
            log.debug("scout_started", pid=self._child.pid, path=str(self._root))
        return self._child

    def _abandon(self) -> None:
        """Have nobody wait for the child any more; called by whoever asks for the end."""
        if (child := self._child) is not None:
            child.kill()

    @contextmanager
    def _forgiven(self) -> Iterator[None]:
        """Do without a child that fails, for a while."""
        try:
            yield
        except (OSError, ValueError, TypeError) as error:
            self.close()
            self._rests_until = self._clock.boot() + REST_S
            log.debug("scout_failed", path=str(self._root), reason=str(error))
