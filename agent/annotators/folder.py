"""A watched directory's pictures that wait for the annotator: names alone, within bounds; the files stay in place.

The directory's thread asks and goes on at once; a thread of its own reads one file after the other and has it looked
at. What was said of a file is kept, for the file as it was then, until the directory forgets it.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.annotations.read import Subject
from agent.errors import Reject, Unanswered, Wait
from agent.sources.listing import sighting
from agent.sources.opening import open_below

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from agent.annotators.desk import Desk
    from agent.annotators.plan import Rule
    from agent.frame import Labels
    from agent.pictures.inspect import Picture
    from agent.sources.settle import Sighting
    from agent.workers import Stop

    Show = Callable[[int, Picture], tuple[bytes, Picture]]

HELD = 1024


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file that was seen, and found to be a whole picture."""

    seen: Sighting
    picture: Picture


class FolderAnnotations:
    """What the annotator says of one directory's files; `run` is the body of its thread.

    `show` makes of an open file the JPEG that is looked at, as it is then. `notify` is called when something was said.
    At most 1,024 files are held; for more there is no room.
    """

    def __init__(self, root: Path, desk: Desk, show: Show, *, stop: Stop, notify: Callable[[], None]) -> None:
        self._root = root
        self._desk = desk
        self._show = show
        self._stop = stop
        self._notify = notify
        self._condition = threading.Condition()
        self._line: deque[str] = deque()
        self._entries: dict[str, _Entry] = {}
        self._said: dict[str, Labels | Unanswered] = {}
        self._news: list[str] = []
        self._turned_away = False

    @property
    def rule(self) -> Rule:
        """What becomes of pictures of which nothing is said."""
        return self._desk.plan.on_failure

    def has_room(self, name: str) -> bool:
        """Tell whether a file can be held; one that cannot has to be brought again, see `wants_more`."""
        with self._condition:
            fits = name in self._entries or len(self._entries) < HELD
            self._turned_away |= not fits
            return fits

    def ask(self, name: str, seen: Sighting, picture: Picture) -> Labels | Unanswered | None:
        """Return what was said of a file as it is now; None where that is yet to come.

        A failure is told once: whoever asks again has the annotator look again.
        """
        with self._condition:
            entry = self._entries.get(name)
            if entry is not None and entry.seen == seen and name not in self._said:
                return None
            said = self._said.get(name) if entry is not None and entry.seen == seen else None
            if said is None or isinstance(said, Unanswered):
                self._drop(name)
            if said is None:
                self._entries[name] = _Entry(seen, picture)
                self._line.append(name)
                self._condition.notify_all()
            return said

    def take_news(self) -> list[str]:
        """Return the files of which something was said since this was asked last."""
        with self._condition:
            news, self._news = self._news, []
            return news

    def wants_more(self) -> bool:
        """Tell, once, that there is room again after files were turned away."""
        with self._condition:
            wants = self._turned_away and len(self._entries) <= HELD // 2
            self._turned_away &= not wants
            return wants

    def forget(self, name: str) -> None:
        """Let go of a file: it is taken, gone, or another one."""
        with self._condition:
            self._drop(name)

    def _drop(self, name: str) -> None:
        self._said.pop(name, None)
        if self._entries.pop(name, None) is not None and name in self._line:
            self._line.remove(name)

    def run(self) -> None:
        """Have one file after the other looked at, until the stop is set."""
        self._stop.subscribe(self._wake)
        while (found := self._next()) is not None:
            name, entry = found
            said = self._look(name, entry)
            if self._stop.is_set():
                return
            with self._condition:
                if self._entries.get(name) is entry:
                    if said is None:
                        self._drop(name)
                    else:
                        self._said[name] = said
                self._news.append(name)
            self._notify()

    def _wake(self) -> None:
        with self._condition:
            self._condition.notify_all()

    def _next(self) -> tuple[str, _Entry] | None:
        while not self._stop.is_set():
            # The files can wait, so none is spent on an annotator that is known to be away.
            rest = self._desk.rest_s() if self.rule == "wait" else 0.0
            if rest and self._stop.wait(rest):
                break
            with self._condition:
                if self._line:
                    name = self._line.popleft()
                    return name, self._entries[name]
                self._condition.wait_for(lambda: self._line or self._stop.is_set())
        return None

    def _look(self, name: str, entry: _Entry) -> Labels | Unanswered | None:
        """Return what is said of a file; None where it is not the one any more that was seen."""
        try:
            with open_below(self._root, name) as (descriptor, status):
                if sighting(status) != entry.seen:
                    return None
                jpeg, picture = self._show(descriptor, entry.picture)
            subject = Subject(name.rpartition("/")[2], picture.width, picture.height, picture.orientation)
            return self._desk.annotate(jpeg, subject)
        except Unanswered as fault:
            return fault
        except (Wait, Reject) as error:
            return Unanswered(str(error))
