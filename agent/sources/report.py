"""What is known and told of a camera: its state for the status, and its few log lines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from agent.hush import Hush

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.clock import Clock
    from agent.errors import AgentError
    from agent.sources.feeds import Opened, Pulse, Shot

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CameraState:
    """A camera as the status shows it.

    `seen` counts the frames that the device gave, `taken` those handed on, `bad` the empty, black, frozen and torn
    ones by kind, all since the agent started. `last_frame_at` is a boot time in seconds. `problem` says why it is not
    open, `ended` is true when a file source has nothing more to give.
    """

    name: str
    source: str
    opened: bool = False
    ended: bool = False
    seen: int = 0
    taken: int = 0
    bad: Mapping[str, int] = field(default_factory=dict)
    restarts: int = 0
    last_frame_at: float | None = None
    asked: str = ""
    got: str = ""
    problem: str = ""


class Report:
    """Keeps a camera's state, hands it to `observe` whenever it changes, and logs.

    Counters too: held back until the next event, the last ones before a long interval would stay untold.
    """

    def __init__(self, state: CameraState, observe: Callable[[CameraState], None], clock: Clock) -> None:
        self.state = state
        self._observe = observe
        self._clock = clock
        self._losses = Hush()
        self._rejections = Hush()
        self._untold = True
        self._before = (state.seen, dict(state.bad))
        observe(state)

    def opened(self, event: Opened) -> None:
        """Note that the source gives pictures; said once, and after every loss that was said."""
        self._before = (self.state.seen, dict(self.state.bad))
        self._change(opened=True, asked=event.asked, got=event.got, problem="")
        if self._untold:
            self._untold = False
            log.info("source_opened", source=self.state.name, asked=event.asked, got=event.got)

    def pulse(self, event: Pulse) -> None:
        """Count what the source gave since it was opened."""
        seen, bad = self._before
        total = {kind: bad.get(kind, 0) + event.bad.get(kind, 0) for kind in bad.keys() | event.bad.keys()}
        rejected = total != self.state.bad
        self._change(seen=seen + event.seen, bad=total)
        if rejected and self._rejections.lets(" ".join(sorted(total)), self._clock.boot()):
            log.warning("frames_rejected", source=self.state.name, **dict(sorted(total.items())))

    def taken(self, shot: Shot) -> None:
        """Count a picture that was handed on."""
        self._change(taken=self.state.taken + 1, last_frame_at=shot.boot)

    def recovered(self) -> None:
        """Note that the source has been well for a while: its next loss is news."""
        self._losses.forget()

    def lost(self, error: AgentError, retry_in_s: float | None) -> None:
        """Note why the source is not open; `retry_in_s` is None where it is not tried again."""
        reason = str(error)
        restarts = self.state.restarts + (retry_in_s is not None)
        self._change(opened=False, restarts=restarts, problem=reason)
        if retry_in_s is None or self._losses.lets(reason, self._clock.boot()):
            self._untold = True
            again = {} if retry_in_s is None else {"retry_in_s": round(retry_in_s, 1)}
            log.warning("source_lost", source=self.state.name, reason=reason, **again)

    def ended(self, path: str) -> None:
        """Note that a file was read to its end."""
        self._untold = True
        self._losses.forget()
        self._change(opened=False)
        log.info("source_ended", source=self.state.name, path=path, taken=self.state.taken)

    def finished(self) -> None:
        """Note that a file source has nothing more to give."""
        self._change(opened=False, ended=True)

    def _change(self, **facts: object) -> None:
        self.state = replace(self.state, **facts)  # type: ignore[arg-type]
        self._observe(self.state)
