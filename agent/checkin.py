"""The check-in: how this device is, told to the platform now and then, and what the platform asks in return.

A thread of its own with a connection of its own: an outage of the uploads is told while it lasts, and a platform that
has no check-in takes nothing from the uploads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from agent.clock import utc_text
from agent.errors import LinkFault, SpoolDamaged, Wait
from agent.platform.actions import read_actions
from agent.platform.answers import Meaning, Verdict, read_answer
from agent.platform.identity import Identity, read_identity
from agent.retry import LINK

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from agent.clock import Clock
    from agent.platform.actions import Action
    from agent.platform.client import Client
    from agent.platform.key import KeyHolder
    from agent.workers import Stop

log = structlog.get_logger(__name__)

PATH = "/device/checkin"
HEARTBEAT = "/core/agent/checkin"
SPARED = 0.2  # of the interval, at random: always earlier, so that a connection is still alive
KNOWN_FOR_S = 3600.0  # then it is asked again whether the device is approved


@dataclass(frozen=True, slots=True)
class Report:
    """What is told: the verdict's word, and figures by name."""

    status: str
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class CheckinState:
    """What is known of the check-in; `cause` is a `Meaning`'s value while it fails."""

    last_at: str = ""
    status: str = ""
    cause: str = ""
    reason: str = ""
    failures: int = 0
    device_id: str = ""


def pause(meaning: Meaning, failures: int, *, every_s: float, retry_after_s: float | None, rng: random.Random) -> float:
    """Return the seconds until the next check-in; after a failure never sooner than without, and ever later."""
    if meaning is Meaning.DELIVERED:
        return every_s * (1.0 - rng.uniform(0.0, SPARED))
    wait_s = LINK.get(meaning, LINK[Meaning.UNPROVEN]).delay(failures, rng)
    if retry_after_s is not None:
        wait_s = retry_after_s + rng.uniform(0.0, every_s)
    return max(wait_s, every_s * (1.0 - rng.uniform(0.0, SPARED)))


class CheckIn:
    """One thread: reports, and hands on what the platform asks for.

    `report` makes the report, `obey` takes the actions, `approve` is told whether the device is approved.
    """

    def __init__(
        self,
        client: Client,
        *,
        report: Callable[[], Report],
        obey: Callable[[tuple[Action, ...]], None],
        approve: Callable[[str], None],
        key: KeyHolder,
        every_s: float,
        first_s: float,
        heartbeat: Callable[[], str] | None,
        stop: Stop,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._client = client
        self._report = report
        self._obey = obey
        self._approve = approve
        self._key = key
        self._every_s = every_s
        self._first_s = first_s
        self._heartbeat = heartbeat
        self._stop = stop
        self._clock = clock
        self._rng = rng
        self._identity = Identity()
        self._identified_at = float("-inf")
        self.state = CheckinState()

    def run(self) -> None:
        """Work until the stop is set."""
        with self._client:
            wait_s = self._rng.uniform(0.0, self._first_s)
            while not self._stop.wait(wait_s):
                wait_s = self.once()

    def once(self) -> float:
        """Check in; return the seconds until the next time."""
        verdict = self._tell()
        before = self.state
        failed = verdict.meaning is not Meaning.DELIVERED
        failures = before.failures + 1 if before.cause == verdict.meaning.value else int(failed)
        self.state = CheckinState(
            last_at=before.last_at if failed else utc_text(self._clock.wall()),
            status=before.status if failed else verdict.reason,
            cause=verdict.meaning.value if failed else "",
            reason=verdict.reason if failed else "",
            failures=failures,
            device_id=self._identity.device_id,
        )
        self._say(before)
        if verdict.meaning is Meaning.DENIED:
            self._key.refresh()
        return pause(
            verdict.meaning, failures, every_s=self._every_s, retry_after_s=verdict.retry_after_s, rng=self._rng
        )

    def facts(self) -> dict[str, Any]:
        """Return what is known, as plain values for the state file."""
        state = self.state
        return {
            "last_at": state.last_at or None,
            "status": state.status or None,
            "cause": state.cause or None,
            "reason": state.reason or None,
            "failures": state.failures,
            "device_id": state.device_id or None,
        }

    def _tell(self) -> Verdict:
        """Send the report; where it was taken, the reason is the word that was sent."""
        try:
            self._identify()
            report = self._report()
            answer = self._client.tell(PATH, {"status": report.status, "metrics": dict(report.metrics)})
            verdict = read_answer(answer, self._clock.wall())
            if verdict.meaning is not Meaning.DELIVERED:
                return verdict
            actions = read_actions(answer.body) + self._beat(report)
        except LinkFault as fault:
            return Verdict(Meaning.OFFLINE, str(fault))
        except SpoolDamaged:
            raise
        except Wait as error:
            return Verdict(Meaning.OFFLINE, f"the queue cannot be read: {error}")
        self._hand_on(actions)
        return Verdict(Meaning.DELIVERED, report.status)

    def _hand_on(self, actions: tuple[Action, ...]) -> None:
        try:
            self._obey(actions)
        except SpoolDamaged:
            raise
        except Wait as error:
            log.warning("actions_delayed", reason=str(error))

    def _beat(self, report: Report) -> tuple[Action, ...]:
        """Send the heartbeat too, where it is wanted; what it meets says nothing of the check-in."""
        if self._heartbeat is None or not self._identity.device_id:
            return ()
        body = {"device_id": self._identity.device_id, "status": report.status, "current_model_id": self._heartbeat()}
        answer = self._client.tell(HEARTBEAT, {key: value for key, value in body.items() if value})
        if read_answer(answer, self._clock.wall()).meaning is not Meaning.DELIVERED:
            return ()
        return read_actions(answer.body)

    def _identify(self) -> None:
        """Ask now and then who the device is: whether it is approved, and its id."""
        now = self._clock.boot()
        if now - self._identified_at < KNOWN_FOR_S and self.state.cause != Meaning.DENIED.value:
            return
        answer = self._client.identify()
        identity = read_identity(answer.body)
        if read_answer(answer, self._clock.wall()).meaning is Meaning.DELIVERED and identity is not None:
            self._identity, self._identified_at = identity, now
            self._approve(identity.status)

    def _say(self, before: CheckinState) -> None:
        """Log when it begins to fail, at every doubling, and when it works again; once where there is no check-in."""
        state = self.state
        doubled = state.failures.bit_count() == 1 and state.cause != Meaning.WRONG_URL.value
        if state.cause and (state.cause != before.cause or doubled):
            log.warning("checkin_failed", cause=state.cause, reason=state.reason, failures=state.failures)
        elif before.cause and not state.cause:
            log.info("checkin_restored", cause=before.cause, failures=before.failures)
