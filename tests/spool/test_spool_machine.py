from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from spool_rig import StillClock, adopted, check, draft, examine, kill, own, rows, sha

from agent.errors import SpoolFull
from agent.frame import Receipt
from agent.spool.budget import Limits, Policy
from agent.workers import Stop

if TYPE_CHECKING:
    from agent.frame import Item
    from agent.spool.records import Draft, Staged
    from agent.spool.spool import Spool

CAP = 2_000
SIZES = st.integers(min_value=1, max_value=900)


@dataclass
class Expected:
    """What the model knows of one picture."""

    data: bytes
    filename: str
    state: str = "waiting"
    due: float = 0.0
    attempts: int = 0
    unknown: bool = False
    original: Path | None = None


class SpoolMachine(RuleBasedStateMachine):
    """A spool beside a model of it: whatever is done in whatever order, and killed at whatever moment, both agree."""

    claimed = Bundle("claimed")

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.directory = self.root / "spool"
        self.clock = StillClock()
        self.model: dict[int, Expected] = {}
        self.in_hand: set[int] = set()
        self.pictures = 0

    @initialize(order=st.sampled_from(["oldest", "newest"]))
    def open(self, order: str) -> None:
        """Start a daemon."""
        self.order = order
        self.spool = self._own()

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.spool.close()
        shutil.rmtree(self.root)

    # What a daemon does

    @rule(size=SIZES, count=st.integers(min_value=1, max_value=3))
    def put_frames(self, size: int, count: int) -> None:
        """Put pictures of a camera, as one batch."""
        self._put([draft(self._picture(size)) for _ in range(count)])

    @rule(size=SIZES, after=st.sampled_from(["keep", "delete"]), copy=st.booleans(), with_sidecar=st.booleans())
    def put_file(self, size: int, after: str, *, copy: bool, with_sidecar: bool) -> None:
        """Adopt a watched file."""
        path = self.root / f"{self.pictures}.jpg"
        path.write_bytes(self._picture(size))
        with adopted(path, after=after, copy=copy) as one:
            if not with_sidecar:
                self._put([one], original=path)
                return
        path.with_suffix(".txt").write_text("0 .5 .5 1 1")
        with adopted(path, after=after, copy=copy, sidecar=path.with_suffix(".txt")) as one:
            self._put([one], original=path)

    @rule(target=claimed)
    def claim(self) -> object:
        """Take the next item: it is one that the model has due, in the right order."""
        item = self.spool.outbox.claim()
        due = [
            number
            for number, one in self.model.items()
            if one.state == "waiting" and number not in self.in_hand and one.due <= self.clock.uptime
        ]
        assert (item is None) == (due == [])
        if item is None:
            assert self.spool.outbox.next_due() == min(self._waits(), default=None)
            return multiple()
        expected = self.model[item.id]
        assert item.id in due
        assert item.path.read_bytes() == expected.data
        assert (item.filename, item.attempts, item.outcome_unknown) == (
            expected.filename,
            expected.attempts,
            expected.unknown,
        )
        self.in_hand.add(item.id)
        return item

    @rule(item=consumes(claimed), result=st.sampled_from(["delivered", "duplicate"]))
    def deliver(self, item: Item, result: str) -> None:
        """Have it arrive."""
        if self._settle(item, "delivered"):
            self.spool.outbox.deliver(item, Receipt(item.id, result))
            assert not item.path.exists()

    @rule(item=consumes(claimed), seconds=st.integers(min_value=1, max_value=100))
    def defer(self, item: Item, seconds: int) -> None:
        """Put it off."""
        if self._settle(item, "waiting"):
            self.spool.outbox.defer(item, self.clock.uptime + seconds)
            self.model[item.id].due = self.clock.uptime + seconds
            self.model[item.id].attempts += 1

    @rule(item=consumes(claimed), unknown=st.booleans())
    def release(self, item: Item, *, unknown: bool) -> None:
        """Give it back."""
        if self._settle(item, "waiting"):
            self.spool.outbox.release(item, outcome_unknown=unknown)
            self.model[item.id].unknown |= unknown

    @rule(item=consumes(claimed))
    def quarantine(self, item: Item) -> None:
        """Set it aside."""
        if self._settle(item, "quarantined"):
            self.spool.outbox.quarantine(item, "refused")
            self.model[item.id].attempts += 1

    @rule(item=consumes(claimed))
    def drop(self, item: Item) -> None:
        """Give it up."""
        if self._settle(item, "dropped"):
            self.spool.outbox.drop(item, "changed")

    @rule()
    def requeue(self) -> None:
        """Let all that is quarantined wait again."""
        quarantined = [number for number, one in self.model.items() if one.state == "quarantined"]
        self.spool.outbox.requeue(quarantined)
        for number in quarantined:
            self.model[number].state, self.model[number].due = "waiting", 0.0

    @rule(seconds=st.integers(min_value=1, max_value=200))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.clock.uptime += seconds

    @rule()
    def sweep(self) -> None:
        """Remove what is still to be removed."""
        self.spool.outbox.sweep()

    # What happens to a daemon

    @rule(size=SIZES, linked=st.booleans())
    def killed_in_a_put(self, size: int, *, linked: bool) -> None:
        """Kill it between stage and commit: a camera's picture is adopted, a link removed, its original untouched."""
        data = self._picture(size)
        path = self.root / f"{self.pictures}.jpg"
        path.write_bytes(data)
        try:
            with adopted(path) as one:
                staged = self.spool.inbox.stage(one if linked else draft(data))
        except SpoolFull:
            return
        self.killed()
        adopted_now = self.spool.reconciler(examine).run(self.directory / "items", Stop())
        assert adopted_now == (0 if linked else 1)
        if not linked:
            self._enter(staged)
        assert path.read_bytes() == data

    @rule(item=consumes(claimed))
    def killed_in_a_delivery(self, item: Item) -> None:
        """Kill it between the receipt and the removal: the next start removes, and delivers nothing twice."""
        if self._settle(item, "delivered"):
            self.spool.outbox._sweep = lambda *_: None  # type: ignore[method-assign]
            self.spool.outbox.deliver(item, Receipt(item.id, "delivered"))
            self.killed()
            assert self.spool.outbox.sweep() >= 1
            assert not item.path.exists()

    @rule()
    def killed(self) -> None:
        """Kill it and start another."""
        self.spool = kill(self.spool, self._own)
        self.in_hand.clear()

    @rule()
    def restarted(self) -> None:
        """End it in order and start another."""
        self.spool.close()
        self.spool = self._own()
        self.in_hand.clear()

    # What always holds

    @invariant()
    def the_spool_agrees_with_the_model(self) -> None:
        """I1, I2, I3, I5: every picture is where the model has it, whole, counted, and under the cap."""
        if not hasattr(self, "spool"):
            return
        self._learn()
        check(self.directory)
        states = dict(rows(self.directory, "SELECT id, state FROM item"))
        states |= {number: "delivered" for (number,) in rows(self.directory, "SELECT item_id FROM receipt")}
        assert states == {number: one.state for number, one in self.model.items() if one.state != "dropped"}
        dropped = sum(sum(account.dropped.values()) for account in self.spool.accounts().values())
        assert dropped == sum(one.state == "dropped" for one in self.model.values())
        assert self.spool.usage().spool_bytes == self._held() <= CAP
        assert self.spool.outbox.empty() == (not any(one.state == "waiting" for one in self.model.values()))
        receipts = {digest for (digest,) in rows(self.directory, "SELECT sha256 FROM receipt")}
        for one in self.model.values():
            assert one.original is None or one.original.exists() or sha(one.data) in receipts

    def _learn(self) -> None:
        """See what the spool did by itself: nothing, without a policy that says so."""

    def _own(self) -> Spool:
        return own(self.directory, clock=self.clock, limits=Limits(CAP, 0), order=self.order)

    def _picture(self, size: int) -> bytes:
        self.pictures += 1
        return f"{self.pictures:>8}".encode() + b"x" * size

    def _put(self, drafts: list[Draft], original: Path | None = None) -> None:
        fits = self._held() + sum(one.size for one in drafts) <= CAP
        staged: list[Staged] = []
        try:
            staged.extend(self.spool.inbox.stage(one) for one in drafts)
        except SpoolFull:
            assert not fits
            for one in staged:
                self.spool.inbox.abandon(one)
        else:
            assert fits
            self.spool.inbox.commit(staged)
            for one in staged:
                self._enter(one, original)

    def _enter(self, staged: Staged, original: Path | None = None) -> None:
        data = staged.path.read_bytes()
        assert sha(data) == staged.draft.sha256
        self.model[staged.id] = Expected(data, staged.filename, original=original)

    def _settle(self, item: Item, state: str) -> bool:
        """Enter a verdict; false for a claim from before a kill, which died with its process."""
        if item.id not in self.in_hand:
            return False
        self.in_hand.discard(item.id)
        self.model[item.id].state = state
        return True

    def _held(self) -> int:
        return sum(len(one.data) for one in self.model.values() if one.state in {"waiting", "quarantined"})

    def _waits(self) -> list[float]:
        return [
            one.due
            for number, one in self.model.items()
            if one.state == "waiting" and one.due > 0 and number not in self.in_hand
        ]


QUICK = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestSpool = SpoolMachine.TestCase
TestSpool.settings = QUICK


class FullMachine(SpoolMachine):
    """The same machine over a spool that makes room for what comes: by thinning the camera, by the folder's oldest."""

    @rule(count=st.integers(min_value=5, max_value=15))
    def put_a_burst(self, count: int) -> None:
        """Put small pictures, one by one, more than there is room for."""
        for _ in range(count):
            self._put([draft(self._picture(100))])
            self._learn()

    def _own(self) -> Spool:
        policies = {"cam-1": Policy("thin"), "door": Policy("oldest", frees_disk=False)}
        return own(self.directory, clock=self.clock, limits=Limits(CAP, 0), order=self.order, policies=policies)

    def _put(self, drafts: list[Draft], original: Path | None = None) -> None:
        staged: list[Staged] = []
        try:
            staged.extend(self.spool.inbox.stage(one) for one in drafts)
        except SpoolFull:
            for one in staged:
                self.spool.inbox.abandon(one)
            return
        self.spool.inbox.commit(staged)
        for one in staged:
            self._enter(one, original)

    def _learn(self) -> None:
        """See which items gave way: none that is in a hand, or that is not waiting."""
        here = {number for (number,) in rows(self.directory, "SELECT id FROM item")}
        for number, one in self.model.items():
            if one.state == "waiting" and number not in here and number not in self.in_hand:
                one.state = "dropped"
                self.gave_way(number)

    def gave_way(self, number: int) -> None:
        """Hear of one that did."""


def test_i2_i5_a_spool_that_makes_room_agrees_with_its_model() -> None:
    """Whatever is put, claimed, settled and killed: under the cap, each drop on record, and none from a hand."""
    gone: list[int] = []

    class Machine(FullMachine):
        def gave_way(self, number: int) -> None:
            gone.append(number)

    run_state_machine_as_test(Machine, settings=settings(QUICK, max_examples=15))
    assert len(gone) > 100


class MiscountingMachine(SpoolMachine):
    """The same machine over a spool that forgets to count what it drops."""

    @rule(item=consumes(SpoolMachine.claimed))
    def drop(self, item: Item) -> None:
        """Give an item up and say nothing."""
        if self._settle(item, "dropped"):
            rows(self.directory, "DELETE FROM item WHERE id = ?", item.id)


def test_the_machine_sees_a_spool_that_miscounts() -> None:
    """The oracle is not blind: a drop that the ledger does not know fails it."""
    with pytest.raises(AssertionError, match="miscounts what waits"):
        run_state_machine_as_test(
            MiscountingMachine, settings=settings(QUICK, phases=[Phase.generate], report_multiple_bugs=False)
        )
