"""What an opened source gives, as a stream of events: from a grabber, or from any program that writes JPEGs.

A feed ends when the stop is set or a file has ended, and raises `Reopen` when the source is lost. Silence is judged
by the frames that the device gives, not by those that are wanted: at one picture an hour a dead camera is still
noticed at once. Only time spent listening counts as silence; a parent that waits for its disk hears nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from agent.annotations.record import read_record
from agent.annotators.outpost import Glimpse
from agent.errors import BadPicture, Reject, Reopen
from agent.selection.facts import Look, Verdict
from agent.sources.mjpeg import Splitter
from agent.sources.pacing import live_pace
from agent.sources.wire import Records

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from agent.clock import Clock
    from agent.frame import Labels
    from agent.sources.children import Child
    from agent.sources.wire import Record
    from agent.workers import Stop

LOAD_S = 30.0
"""How long a grabber may take to load OpenCV: 0.4 s measured, much more on a busy device with an SD card."""

LATE_S = 1.0
"""After so long a wait for the disk, what waits in a program's pipe is too old to be stamped with the present."""

STALE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Opened:
    """The source gives pictures: what was asked of it and what it says it does."""

    asked: str = ""
    got: str = ""


@dataclass(frozen=True, slots=True)
class Pulse:
    """The source is alive: frames seen since it was opened, bad ones by kind, and skipped ones by limit.

    `passed` are those for which the detector had no time, by reason.
    """

    seen: int
    bad: Mapping[str, int]
    skipped: Mapping[str, int] = field(default_factory=dict)
    passed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shot:
    """A wanted picture; `boot` is its boot time. `next_frame` and `ended` concern files.

    The rest is as a `Frame` has it.
    """

    picture: bytes
    captured_at: datetime
    boot: float
    next_frame: int = 0
    ended: bool = False
    labels: Labels | None = None
    look: Look | None = None
    unannotated: str = ""
    verdict: Verdict | None = None


Event = Opened | Pulse | Shot | Glimpse


class Died(Reopen):
    """The child ended without a word."""


class Listener:
    """Hears a child until the stop is set; raises `Reopen` when it is silent for `limit_s`, or has gone."""

    def __init__(self, child: Child, stop: Stop, clock: Clock, limit_s: float) -> None:
        self.limit_s = limit_s
        self._child = child
        self._stop = stop
        self._clock = clock
        self._heard = clock.boot()

    def heard(self) -> None:
        """Start the silence again: the source gave a sign of life."""
        self._heard = self._clock.boot()

    def chunks(self) -> Generator[bytes]:
        """Yield the child's output as it comes."""
        while not self._stop.is_set():
            data = self._child.read(self._heard + self.limit_s - self._clock.boot())
            now = self._clock.boot()
            if data:
                yield data
                self._heard += self._clock.boot() - now
            elif data is not None:
                raise Died(f"the program {self._child.obituary()}")
            elif now - self._heard >= self.limit_s and not self._stop.is_set():
                raise Reopen(f"no frame for {self.limit_s:g} s", remedy=self._child.last_words())

    def skip_backlog(self, splitter: Splitter) -> int:
        """Read past what waits in the pipe, and the picture that has begun; return the number of pictures."""
        read, pictures = 0, 0
        while read < STALE_BYTES and (data := self._child.read(0)):
            read += len(data)
            pictures += len(splitter.feed(data))
        splitter.abandon()
        return pictures


def grabber_feed(
    child: Child, stop: Stop, clock: Clock, *, open_timeout_s: float, stall_timeout_s: float
) -> Generator[Event]:
    """Yield what a grabber sends."""
    listener, records = Listener(child, stop, clock, LOAD_S), Records()
    for data in listener.chunks():
        for record in records.feed(data):
            if record.event == "ended":
                yield Pulse(**record.facts)
                return
            # The grabber's own timeout, where it works, says more than a kill: it may come first.
            listener.limit_s = open_timeout_s + 1.0 if record.event == "starting" else stall_timeout_s
            listener.heard()
            yield from _events(record)


def _events(record: Record) -> Generator[Event]:
    facts = record.facts
    if record.event == "error":
        kind = Reject if facts["final"] else Reopen
        raise kind(facts["what"], remedy=facts["remedy"])
    if record.event == "opened":
        yield Opened(**facts)
    if record.event == "alive":
        yield Pulse(**facts)
    if record.event == "lookout":
        yield Glimpse(**facts)
    if record.event == "frame":
        yield Shot(
            record.body,
            datetime.fromtimestamp(facts["wall"], UTC),
            facts["boot"],
            facts["next_frame"],
            facts["ended"],
            _labels(facts.get("labels")),
            _look(facts.get("look")),
            facts.get("unannotated", ""),
            _verdict(facts.get("verdict")),
        )


def _labels(record: object) -> Labels | None:
    try:
        return None if record is None else read_record(record)
    except ValueError:
        raise Reopen("the grabber does not speak in records") from None


def _look(values: Any) -> Look | None:  # noqa: ANN401 (whatever came over the pipe)
    try:
        return None if values is None else Look.of_json(values)
    except ValueError:
        raise Reopen("the grabber does not speak in records") from None


def _verdict(values: Any) -> Verdict | None:  # noqa: ANN401 (whatever came over the pipe)
    return None if values is None else Verdict(keep=True, rule=values[0], priority=values[1])


def program_feed(
    child: Child,
    stop: Stop,
    clock: Clock,
    *,
    interval_s: float,
    stall_timeout_s: float,
    develop: Callable[[bytes], bytes] | None = None,
) -> Generator[Event]:
    """Yield what a program writes, developed where that is wanted; each picture is stamped when it is read."""
    listener = Listener(child, stop, clock, stall_timeout_s)
    splitter, pace, seen, undecodable = Splitter(), live_pace(interval_s), 0, 0
    for data in listener.chunks():
        pictures = splitter.feed(data)
        if not pictures:
            continue
        listener.heard()
        if not seen:
            yield Opened()
        seen += len(pictures)
        bad = {"torn": splitter.torn, "undecodable": undecodable}
        yield Pulse(seen, {kind: count for kind, count in bad.items() if count})
        boot, wall = clock.boot(), clock.wall()
        if pace.due(boot):
            pace.take(boot)
            for picture in pictures if interval_s <= 0 else pictures[-1:]:
                try:
                    developed = develop(picture) if develop else picture
                except BadPicture:
                    undecodable += 1
                else:
                    yield Shot(developed, wall, boot)
        if clock.boot() - boot > LATE_S:
            seen += listener.skip_backlog(splitter)
