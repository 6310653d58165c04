from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.inputs import Input, inputs
from agent.outline import Outline
from agent.spool.ledger import Account

OUTLINE = Outline(
    spool_dir=Path("/spool"),
    state_file=Path("/run/state.json"),
    max_bytes=1,
    max_items=1,
    min_free_bytes=0,
    cameras={"gate": 0.5, "belt": None},
    folders={"captures": "/srv/captures"},
)
STATE: dict[str, Any] = {
    "cameras": {
        "gate": {
            "source": "0",
            "opened": True,
            "restarts": 2,
            "seen": 90,
            "bad": {"black": 3, "torn": 1},
            "got": "1x1",
        },
        "belt": {"source": "a.avi", "problem": "no such file"},
    },
    "intake_paused": {"captures": "the spool is full"},
    "pictures": {"gate": {"last_boot_s": 990.0, "per_s": 0.48}, "captures": {"last_boot_s": 1000.0, "per_s": None}},
}


def found(state: dict[str, Any] | None, accounts: dict[str, Account] | None = None) -> dict[str, Input]:
    """Return the sources by name."""
    return {one.name: one for one in inputs(OUTLINE, state, accounts or {}, {"gate": "2026-03-14T08:15:02.417Z"})}


def test_every_source_is_told_with_what_is_asked_of_it() -> None:
    """Cameras have a pace that they should keep, folders have none, and a frame-by-frame file neither."""
    seen = found(STATE)
    assert list(seen) == ["gate", "belt", "captures"]
    assert (seen["gate"].asked_fps, seen["belt"].asked_fps, seen["captures"].asked_fps) == (0.5, None, None)
    assert (seen["gate"].restarts, seen["gate"].bad, seen["gate"].format) == (2, 4, "1x1")
    assert (seen["gate"].open, seen["belt"].open, seen["belt"].problem) == (True, False, "no such file")
    assert seen["captures"].problem == "the spool is full"
    assert seen["gate"].last_at == "2026-03-14T08:15:02.417Z"


def test_a_silent_source_slows_down() -> None:
    """The tempo of a while ago is not what it gives now: ten seconds of silence are at most 0.1 a second."""
    gate = found(STATE)["gate"]
    assert (gate.age_s(991.0), gate.fps_at(991.0)) == (1.0, 0.48)
    assert gate.fps_at(1000.0) == 0.1
    assert gate.as_json(1000.0)["got_fps"] == 0.1
    assert gate.as_json(1000.0)["age_s"] == 10.0
    assert found(STATE)["captures"].fps_at(1000.0) is None


def test_a_daemon_that_is_down_leaves_what_is_configured() -> None:
    """Without a state, and with one of another release, the sources are named all the same."""
    states: tuple[dict[str, Any] | None, ...] = (None, {"cameras": [], "pictures": {"gate": 7}, "intake_paused": None})
    for state in states:
        seen = found(state)
        assert list(seen) == ["gate", "belt", "captures"]
        assert seen["gate"].age_s(5.0) is None


def test_what_only_the_ledger_knows_is_told_too() -> None:
    """A source that `upload --source` made up, or that was taken out of the configuration."""
    seen = found(STATE, {"gate": Account(1), "by-hand": Account(2)})
    assert seen["by-hand"].kind == "by hand"
    assert list(seen)[-1] == "by-hand"
