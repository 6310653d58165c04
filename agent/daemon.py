"""The process: signals, the service manager, the state file, and when to end, around one pipeline after another."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import structlog

from agent import __version__
from agent.bulletin import Bulletin
from agent.ending import Remaining, is_over
from agent.errors import AgentError, ConfigError, Interrupted, SpoolDamaged, Wait
from agent.hush import Hush
from agent.service import watchdog_interval_s
from agent.spool.place import SpoolFailing, SpoolReplaced
from agent.state_file import StateFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.clock import Clock
    from agent.config.configuration import Configuration
    from agent.config.environment import Environment
    from agent.pipeline import Pipeline
    from agent.service import Notifier, Signals

log = structlog.get_logger(__name__)

TICK_S = 1.0
ONCE_TICK_S = 0.05
QUIET_TICK_S = 2.5  # a box that sees nothing for hours is left asleep; what another process puts in waits so long
QUIET_S = 10.0
ON_DISK_EVERY_S = 30.0
REOPEN_EVERY_S = 5.0
STALL_S = 30.0  # on top of the longest deadline of a single step


class Daemon:
    """Runs the agent until it is told to stop; a reload is validated whole before anything changes."""

    def __init__(
        self,
        configuration: Configuration,
        environment: Environment,
        *,
        build: Callable[[Configuration], Pipeline],
        reload: Callable[[], Configuration],
        signals: Signals,
        notifier: Notifier,
        clock: Clock,
        once: bool = False,
        watch: Callable[[Pipeline], None] = lambda _: None,
    ) -> None:
        self._configuration = configuration
        self._former: Configuration | None = None
        self._build = build
        self._reload = reload
        self._signals = signals
        self._notifier = notifier
        self._clock = clock
        self._once = once
        self._watch = watch
        self._ping_s = watchdog_interval_s(environment)
        self._pinged_at = clock.boot()
        self._started_at = clock.wall()
        self._interrupted = False
        self._look_at = 0.0
        self._moved_at = clock.boot()
        self._hush = Hush()

    def run(self) -> int:
        """Return how many pictures a `--once` run set aside; raises `AgentError` where it cannot start or go on."""
        pipeline: Pipeline | None = self._built()
        while pipeline is not None:
            settings = self._configuration.settings
            state, bulletin = self._state_file(), Bulletin(pipeline, self._configuration, clock=self._clock)
            quarantined = _quarantined(pipeline)
            pipeline.start()
            log.info("started", version=__version__, pid=os.getpid(), spool=str(pipeline.spool.directory))
            self._notifier.ready()
            again = False
            try:
                again = self._watch_over(pipeline, state, bulletin)
                new = max(0, _quarantined(pipeline) - quarantined) if self._once else 0
            finally:
                if not again:
                    self._notifier.stopping()
                    state.remove()
                stragglers = pipeline.stop(settings.upload.grace_s)
            # A straggler still holds the old spool, so the service manager has to start a new process.
            if not again or stragglers:
                log.info("stopped")
                return new
            pipeline = self._rebuilt()
        self._notifier.stopping()
        return 0

    def _built(self) -> Pipeline:
        """Build the pipeline; where a new configuration turns out not to work, as with a spool in use, the old one."""
        former, self._former = self._former, None
        try:
            return self._build(self._configuration)
        except AgentError as error:
            if former is None:
                raise
            log.error("configuration_refused", reason=str(error), consequence="the old one goes on")
            self._configuration = former
            return self._build(former)

    def _rebuilt(self) -> Pipeline | None:
        """Build again in a running agent: a disk that refuses now is waited for; None where the stop comes first."""
        while True:
            try:
                return self._built()
            except Wait as error:
                self._say_unavailable(error)
            self._notifier.watchdog()
            asked = self._signals.wait(feeding_s(REOPEN_EVERY_S, self._ping_s))
            if "stop" in asked:
                self._interrupted = True
                return None
            if "reload" in asked:
                self._take_new_configuration()

    def _say_unavailable(self, error: Wait) -> None:
        if self._hush.lets(str(error), self._clock.boot()):
            log.warning("spool_unavailable", reason=str(error))

    def _state_file(self) -> StateFile:
        path, spool = self._configuration.state_file, self._configuration.spool_dir
        on_disk = path.is_relative_to(spool)
        return StateFile(path, clock=self._clock, every_s=ON_DISK_EVERY_S if on_disk else 0.0)

    @property
    def interrupted(self) -> bool:
        """Tell whether a signal ended the run before it was done."""
        return self._interrupted

    def _watch_over(self, pipeline: Pipeline, state: StateFile, bulletin: Bulletin) -> bool:
        """Watch a running pipeline; return true when it is to be built anew, false when the agent ends."""
        rest_s = 0.0  # the first look is at once: `status` must not find a daemon that says nothing of itself
        while True:
            asked = self._signals.wait(rest_s)
            rest_s = ONCE_TICK_S if self._once else tick_s(self._clock.boot() - self._moved_at, self._ping_s)
            if "stop" in asked:
                self._interrupted = True
                return False
            failure = pipeline.nursery.failure
            if failure is not None:
                return self._is_mended_by_reopening(failure)
            renewed = pipeline.is_renewed()  # there is a new model, which does not depend on what the file says now
            if ("reload" in asked or renewed) and (self._take_new_configuration() or renewed):
                return True
            self._ping(pipeline)
            try:
                if self._look_after(pipeline, state, bulletin):
                    return False
            except (SpoolDamaged, SpoolReplaced, SpoolFailing) as error:
                return self._is_mended_by_reopening(error)
            except Wait as error:
                self._say_unavailable(error)

    def _look_after(self, pipeline: Pipeline, state: StateFile, bulletin: Bulletin) -> bool:
        """Do what is due at each tick; tell whether a `--once` run is complete, for which this looks more often."""
        now = self._clock.boot()
        if now >= self._look_at:
            self._look_at = now + (TICK_S if self._once else 0.0)
            self._look(pipeline, state, bulletin)
        self._watch(pipeline)
        return self._once and is_over(_remaining(pipeline, self._clock), pipeline.link.state)

    def _look(self, pipeline: Pipeline, state: StateFile, bulletin: Bulletin) -> None:
        facts = self._facts(pipeline)
        pipeline.timekeeping.hear(trusted=facts["clock_synchronised"])
        state.write(facts, pipeline.news())  # first: it says why the rest may be impossible
        pipeline.spool.check_place()
        if pipeline.notice_other_processes():
            self._moved_at = self._clock.boot()
        self._notifier.status(bulletin.line(facts))
        pipeline.spool.traffic.save()

    def _is_mended_by_reopening(self, failure: BaseException) -> bool:
        if isinstance(failure, SpoolDamaged):
            log.error("spool_damaged", reason=str(failure))
            return True
        if isinstance(failure, SpoolReplaced | SpoolFailing):
            event = "spool_replaced" if isinstance(failure, SpoolReplaced) else "spool_let_go"
            log.warning(event, reason=str(failure))
            return True
        raise AgentError(
            f"a part of the agent failed unexpectedly ({type(failure).__name__})",
            remedy="The log has its traceback; what was captured is kept.",
        ) from failure

    def _take_new_configuration(self) -> bool:
        try:
            configuration = self._reload()
        except Interrupted:
            return False  # by a stop, which the next look finds
        except (ConfigError, Wait) as error:
            log.error("configuration_refused", reason=str(error), consequence="the old one goes on")
            self._notifier.ready()
            return False
        self._former, self._configuration = self._configuration, configuration
        self._notifier.reloading()
        log.info("configuration_reloaded")
        return True

    def _ping(self, pipeline: Pipeline) -> None:
        """Feed the service watchdog, unless a stage has stalled; rightly waiting is no stall."""
        if self._ping_s is None or self._clock.boot() - self._pinged_at < self._ping_s / 2:
            return
        upload, server = self._configuration.settings.upload, self._configuration.settings.server
        stalled = pipeline.pulse.stalled(upload.timeout_s + server.connect_timeout_s + STALL_S)
        if stalled:
            log.error("stages_stalled", stages=stalled)
            return
        self._pinged_at = self._clock.boot()
        self._notifier.watchdog()

    def _facts(self, pipeline: Pipeline) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "started_at": self._started_at.isoformat(timespec="seconds"),
            "config": str(self._configuration.path) if self._configuration.path else None,
            "server": self._configuration.settings.server.url,
            "clock_synchronised": self._clock.trusted(),
            **pipeline.facts(),
        }


def tick_s(quiet_s: float, ping_s: float | None) -> float:
    """Return how long the main thread rests, quiet for `quiet_s`; `ping_s` is the watchdog's wish, where it has one."""
    return feeding_s(TICK_S if quiet_s < QUIET_S else QUIET_TICK_S, ping_s)


def feeding_s(rest_s: float, ping_s: float | None) -> float:
    """Return how long to rest so that the service watchdog is fed in time."""
    return rest_s if ping_s is None else min(rest_s, ping_s / 2)


def _quarantined(pipeline: Pipeline) -> int:
    return sum(account.quarantined for account in pipeline.spool.accounts().values())


def _remaining(pipeline: Pipeline, clock: Clock) -> Remaining:
    taking = pipeline.taking()  # asked first: what is taken in after the count would be missed
    waiting = sum(account.waiting for account in pipeline.spool.accounts().values())
    due = pipeline.spool.outbox.next_due() if waiting and not pipeline.spool.outbox.has_ready() else None
    due_s = None if due is None else due - clock.boot()
    closed = pipeline.link.closed
    return Remaining(
        taking, waiting, due_s, pipeline.link.paused_since, closed.reason if closed else None, stuck=pipeline.stuck()
    )
