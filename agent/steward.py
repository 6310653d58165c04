"""The steward: takes the platform's actions, each once, and remembers what became of it.

Only a model is ever done anything with, and only where `models.accept` allows it. Everything else is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from agent.platform.actions import newest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.clock import Clock
    from agent.platform.actions import Action
    from agent.spool.errands import Errand, Errands

log = structlog.get_logger(__name__)

SHOWN = "shown"
IGNORED = "ignored"
SUPERSEDED = "superseded"
DEPLOYED = "deployed"
FAILED = "failed"
NOT_ACCEPTED = "models.accept is false: set it, and the model is fetched"


def decide(action: Action, *, latest: Action | None, accepts: bool) -> tuple[str, str] | None:
    """Say what becomes of an action at once, and why; None for the one that is to be deployed."""
    if action.compose:
        return SHOWN, "a compose file is never run by this agent"
    if not action.deploys_model:
        return SHOWN, "this agent knows no such action"
    if latest is not None and action.id != latest.id:
        return SUPERSEDED, f"{latest} is later"
    return None if accepts else (IGNORED, NOT_ACCEPTED)


def open_ones(actions: Sequence[Action], known: Mapping[str, Errand], *, accepts: bool) -> list[Action]:
    """Return the actions that were not taken up yet; an ignored one is taken up once models are accepted."""
    return [
        action
        for action in actions
        if action.id not in known or (accepts and known[action.id].outcome == IGNORED and action.deploys_model)
    ]


class Settlements:
    """What became of actions: remembered, and said."""

    def __init__(self, errands: Errands, *, clock: Clock) -> None:
        self._errands = errands
        self._clock = clock

    def all(self) -> Mapping[str, Errand]:
        """Return what is remembered, by the actions' ids."""
        return self._errands.all()

    def settle(self, action: Action, outcome: str, reason: str) -> None:
        """Remember what became of an action, and say it; raises `Wait` where it cannot be remembered."""
        self._errands.settle(action.id, str(action), outcome, reason, self._clock.wall())
        say = log.warning if outcome == FAILED else log.info
        say("action_settled", action=str(action), outcome=outcome, reason=reason)


class Steward:
    """Settles actions in the thread of the check-in; `deploy` takes a model over, None where none is accepted."""

    def __init__(self, settlements: Settlements, *, deploy: Callable[[Action], None] | None) -> None:
        self._settlements = settlements
        self._deploy = deploy

    def obey(self, actions: tuple[Action, ...]) -> None:
        """Take up what is new among the actions; raises `Wait` where it cannot be remembered, and then does nothing."""
        if not actions:
            return
        accepts = self._deploy is not None
        latest = newest(actions)
        for action in open_ones(actions, self._settlements.all(), accepts=accepts):
            settled = decide(action, latest=latest, accepts=accepts)
            if settled is not None:
                self._settlements.settle(action, *settled)
            elif self._deploy is not None:
                self._deploy(action)
