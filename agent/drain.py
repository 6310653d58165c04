"""The drain: uploaders that carry items from the spool to the platform, one item in hand each (I8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from agent.concurrency import takes_fresh
from agent.errors import LinkFault, Reject, SpoolDamaged, Wait
from agent.frame import Receipt
from agent.hush import Hush
from agent.platform.answers import Meaning, Verdict
from agent.platform.body import PictureChanged, PictureMissing
from agent.retry import ITEM, Absolve, Defer, Deliver, Quarantine, Release, Shrink, decide

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from agent.clock import Clock
    from agent.frame import Item
    from agent.health import Pulse
    from agent.link import Link
    from agent.platform.client import Client
    from agent.receipts import ReceiptClerk
    from agent.retry import Decision, LinkState
    from agent.spool.outbox import Outbox
    from agent.workers import Bell, Stop

log = structlog.get_logger(__name__)

LONGEST_REST_S = 300.0
DISK_RETRY_S = 5.0


class Uploader:
    """One thread's work: wait for the link, claim an item, send it, settle it."""

    def __init__(
        self,
        name: str,
        outbox: Outbox,
        link: Link,
        client: Client,
        clerk: ReceiptClerk,
        *,
        stop: Stop,
        bell: Bell,
        pulse: Pulse,
        clock: Clock,
        rng: random.Random,
        shrink: Callable[[Item], bytes] | None,
        refresh_key: Callable[[], object],
        fresh_share: float = 0.0,
        record: Callable[[Meaning, str, float], None] = lambda *_: None,
    ) -> None:
        self._name = name
        self._outbox = outbox
        self._link = link
        self._client = client
        self._clerk = clerk
        self._stop = stop
        self._bell = bell
        self._pulse = pulse
        self._clock = clock
        self._rng = rng
        self._shrink = shrink
        self._refresh_key = refresh_key
        self._hush = Hush()
        self._fresh_share = fresh_share
        self._record = record
        self._turn = 0

    def run(self) -> None:
        """Carry items until the stop is set."""
        with self._client, self._clerk.at_work():
            while not self._stop.is_set():
                heard = self._bell.rings()
                try:
                    rest = self._step()
                except SpoolDamaged:
                    raise
                except Wait as error:
                    if self._hush.lets(str(error), self._clock.boot()):
                        log.warning("spool_unavailable", reason=str(error))
                    self._stop.wait(DISK_RETRY_S)
                    continue
                if rest is not None and not self._stop.is_set():
                    self._pulse.rest(self._name)
                    self._bell.wait(heard, min(rest, LONGEST_REST_S))

    def _step(self) -> float | None:
        """Do one thing; return how long there is nothing to do, or None to go on at once."""
        rest = self._link.enter()
        if rest is not None:
            return rest
        self._pulse.beat(self._name)
        reported = False
        try:
            if self._link.state.cause is Meaning.DENIED and not self._allowed():
                reported = True
                return 0.0
            item = self._claim()
            if item is None:
                return self._until_due()
            reported = True
            self._send(item)
        finally:
            if not reported:
                self._link.leave()
        return None

    def _claim(self) -> Item | None:
        """Take the next item in the queue's order, or one from its other end.

        While it is open who is to blame, the next witness comes from there: bad items come in clusters, and one must
        not hold up the rest. Behind a backlog fresh pictures wait there, which get their share of the turns.
        """
        fresh = takes_fresh(self._turn, self._fresh_share) and self._outbox.has_backlog()
        item = self._outbox.claim(other_end=fresh or self._link.state.doubtful)
        self._turn += item is not None
        return item

    def _until_due(self) -> float:
        due = self._outbox.next_due()
        return LONGEST_REST_S if due is None else max(0.0, due - self._clock.boot())

    def _allowed(self) -> bool:
        """Ask whether the key is good again, without spending a picture's bytes on the question.

        The key file is read again first: a key that was put right is noticed without a restart.
        """
        self._refresh_key()
        try:
            verdict = self._client.probe()
        except LinkFault as fault:
            verdict = Verdict(Meaning.OFFLINE, str(fault))
        if verdict.meaning in {Meaning.DELIVERED, Meaning.DENIED}:
            self._link.approve(verdict.approval or "")
        # A server without that route cannot tell; then the next picture asks.
        if verdict.meaning in {Meaning.DELIVERED, Meaning.WRONG_URL}:
            return True
        self._link.report(Meaning.DENIED, verdict.reason, retry_after_s=verdict.retry_after_s)
        return False

    def _send(self, item: Item) -> None:
        unknown, began = False, self._clock.boot()
        try:
            verdict = self._client.upload(item)
        except LinkFault as fault:
            verdict, unknown = Verdict(Meaning.OFFLINE, str(fault)), fault.sent
        except (PictureChanged, PictureMissing) as error:
            self._link.leave()
            reason = error.what
            self._until_done(item, lambda: self._outbox.drop(item, reason))
            return
        except Wait as error:
            self._link.leave()
            why = error
            self._until_done(item, lambda: self._put_off(item, why))
            return
        self._record(verdict.meaning, verdict.reason, self._clock.boot() - began)
        state = self._link.report(
            verdict.meaning, verdict.reason, item_id=item.id, retry_after_s=verdict.retry_after_s, sent=unknown
        )
        self._settle(item, verdict, state, unknown=unknown)

    def _settle(self, item: Item, verdict: Verdict, state: LinkState, *, unknown: bool) -> None:
        decision = decide(
            verdict.meaning,
            verdict.reason,
            state,
            attempts=item.attempts,
            may_shrink=self._shrink is not None and not item.reencoded,
            rng=self._rng,
        )
        self._until_done(item, lambda: self._carry_out(item, verdict, decision, unknown=unknown))

    def _carry_out(self, item: Item, verdict: Verdict, decision: Decision, *, unknown: bool) -> None:
        match decision:
            case Deliver():
                self._pulse.rest(self._name)  # what holds the receipt up is the clerk's to answer for
                self._clerk.submit(item, _receipt(item, verdict))
            case Release():
                self._outbox.release(item, outcome_unknown=unknown)
            case Defer(delay_s, spend):
                self._outbox.defer(item, self._clock.boot() + delay_s, spend=spend)
                log.warning("item_deferred", item=item.id, reason=verdict.reason, retry_in_s=round(delay_s, 1))
            case Quarantine(reason):
                self._outbox.quarantine(item, reason)
            case Absolve(items, delay_s):
                self._outbox.requeue(items)
                self._outbox.defer(item, self._clock.boot() + delay_s, spend=False)
            case Shrink():
                self._make_smaller(item, verdict.reason)

    def _make_smaller(self, item: Item, reason: str) -> None:
        assert self._shrink is not None  # noqa: S101 (decide() offers it only where there is one)
        try:
            smaller = self._shrink(item)
            self._outbox.replace(item, smaller)
        except Reject as error:
            self._outbox.quarantine(item, f"{reason}; {error}")
        except SpoolDamaged:
            raise
        except Wait as error:
            self._put_off(item, error)
        else:
            log.info("item_shrunk", item=item.id, filename=item.filename, bytes=len(smaller))

    def _put_off(self, item: Item, error: Wait) -> None:
        """Let others go first: what the disk or the picture child refuses now must not hold up the queue."""
        delay_s = ITEM.delay(1, self._rng)
        self._outbox.defer(item, self._clock.boot() + delay_s, spend=False)
        log.warning("item_deferred", item=item.id, reason=str(error), retry_in_s=round(delay_s, 1))

    def _until_done(self, item: Item, settle: Callable[[], None]) -> None:
        """Settle an item; while the disk refuses, try again: an answer that came must not be forgotten."""
        is_said = False
        while True:
            try:
                settle()
            except SpoolDamaged:
                raise
            except Wait as error:
                if not is_said:
                    is_said = True
                    log.warning("settling_delayed", item=item.id, reason=str(error))
                self._pulse.rest(self._name)
                if self._stop.wait(DISK_RETRY_S):
                    return
            else:
                return


def _receipt(item: Item, verdict: Verdict) -> Receipt:
    return Receipt(item.id, verdict.meaning.value, verdict.image_id, verdict.batch_id, verdict.storage_key)
