from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agent.chronicle import HEADER, RECORD, SLOTS, Chronicle, Sample, Trouble, chronicle_path, read_chronicle

if TYPE_CHECKING:
    from pathlib import Path

    from wire_rig import MovedClock


def sample(boot_s: float, waiting: int = 0) -> Sample:
    """Return a sample with some figures."""
    return Sample(boot_s, waiting, 10 * waiting, 5, 50, 3, 30, 7)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the chronicle of a state file lies."""
    return chronicle_path(tmp_path / "run/state.json")


def test_what_was_written_is_read_in_order(path: Path, clock: MovedClock) -> None:
    """Samples come back as they were, oldest first."""
    chronicle = Chronicle(path, clock=clock)
    samples = [sample(1000.0 + 60 * number, number) for number in range(5)]
    for one in samples:
        chronicle.write(one)
    assert path.name == "state.chronicle"
    assert read_chronicle(path, 2000.0) == samples


def test_it_is_due_once_a_minute(path: Path, clock: MovedClock) -> None:
    """At once after a start, then every minute, whatever the beat of those who ask."""
    chronicle, written = Chronicle(path, clock=clock), []
    for second in range(181):
        if chronicle.due:
            chronicle.write(sample(clock.boot()))
            written.append(second)
        clock.advance(1)
    assert written == [0, 60, 120, 180]


def test_a_short_trouble_is_in_its_minute(path: Path, clock: MovedClock) -> None:
    """What was seen between two samples is in the second one, and only there."""
    chronicle = Chronicle(path, clock=clock)
    chronicle.write(sample(1000.0))
    chronicle.note(Trouble.LINK_PAUSED)
    chronicle.note(Trouble.RESTING)
    chronicle.write(sample(1060.0))
    chronicle.write(sample(1120.0))
    seen = [one.trouble for one in read_chronicle(path, 1120.0)]
    assert seen == [Trouble(0), Trouble.LINK_PAUSED | Trouble.RESTING, Trouble(0)]


def test_it_holds_six_hours_in_a_file_of_fixed_size(path: Path, clock: MovedClock) -> None:
    """A week of samples takes no more room than six hours of them, and what is older is gone."""
    chronicle = Chronicle(path, clock=clock)
    for minute in range(1, 7 * 24 * 60):
        if minute > 7 * 24 * 60 - 1000:  # the ring is the same however it was filled
            chronicle.write(sample(60.0 * minute, minute))
    now = 60.0 * (7 * 24 * 60 - 1)
    found = read_chronicle(path, now)
    assert len(found) == SLOTS
    assert (found[0].boot_s, found[-1].boot_s) == (now - 60 * (SLOTS - 1), now)
    assert path.stat().st_size == HEADER.size + SLOTS * RECORD.size < 30_000


def test_another_boot_begins_anew(path: Path, clock: MovedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moments of an earlier boot mean nothing on this boot's clock."""
    Chronicle(path, clock=clock).write(sample(1000.0))
    monkeypatch.setattr("agent.chronicle.boot_id", lambda: "another")
    assert read_chronicle(path, 2000.0) == []
    Chronicle(path, clock=clock).write(sample(30.0))
    assert read_chronicle(path, 60.0) == [sample(30.0)]


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 5000, b"\0" * 30_000])
def test_what_is_no_chronicle_is_an_empty_one(path: Path, clock: MovedClock, content: bytes) -> None:
    """Whatever lies there, it reads as nothing and is written over."""
    path.parent.mkdir()
    path.write_bytes(content)
    assert read_chronicle(path, 2000.0) == []
    Chronicle(path, clock=clock).write(sample(1000.0))
    assert read_chronicle(path, 2000.0) == [sample(1000.0)]


def test_a_folder_that_refuses_stops_nothing(tmp_path: Path, clock: MovedClock) -> None:
    """Without a place for it there is no chronicle, and that is all."""
    (tmp_path / "run").write_text("a file")
    chronicle = Chronicle(tmp_path / "run/state.chronicle", clock=clock)
    chronicle.write(sample(1000.0))
    assert not chronicle.due
    assert read_chronicle(tmp_path / "run/state.chronicle", 2000.0) == []
