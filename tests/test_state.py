from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from agent.state import SCHEMA, read_state
from agent.state_file import StateFile

if TYPE_CHECKING:
    from pathlib import Path

    from wire_rig import MovedClock


@pytest.fixture
def state(tmp_path: Path, clock: MovedClock) -> StateFile:
    """Return a state file on a memory file system: no wait between two writes."""
    return StateFile(tmp_path / "run/state.json", clock=clock, every_s=0.0)


def test_what_was_written_is_read(state: StateFile) -> None:
    """The facts come back with the number of their format; the folder is made where there is none."""
    assert state.write({"pid": 7, "link": {"state": "open"}})
    assert read_state(state.path) == {"schema": SCHEMA, "pid": 7, "link": {"state": "open"}}


def test_the_same_facts_are_not_written_again(state: StateFile) -> None:
    """Nothing changed, nothing written: the order of the keys is no change."""
    assert state.write({"a": 1, "b": 2})
    before = state.path.stat().st_ino
    assert not state.write({"b": 2, "a": 1})
    assert state.path.stat().st_ino == before
    assert state.write({"a": 1, "b": 3})
    assert state.path.stat().st_ino != before


def test_flash_is_written_now_and_then(tmp_path: Path, clock: MovedClock) -> None:
    """With an interval, changes within it wait; the next write has the newest."""
    state = StateFile(tmp_path / "state.json", clock=clock, every_s=30.0)
    written = []
    for second in range(91):
        written += [second] * state.write({"second": second})
        clock.advance(1)
    assert written == [0, 30, 60, 90]
    assert read_state(state.path) == {"schema": SCHEMA, "second": 90}


def test_a_reader_never_sees_half_a_file(state: StateFile) -> None:
    """The file is replaced as a whole, and leaves nothing beside it."""
    state.write({"text": ""})
    done, seen = threading.Event(), set[int]()

    def read() -> None:
        while not done.is_set():
            facts = read_state(state.path)
            assert facts is not None
            seen.add(len(facts["text"]))

    reader = threading.Thread(target=read)
    reader.start()
    for size in range(0, 200_000, 2_000):
        state.write({"text": "x" * size})
    done.set()
    reader.join()
    assert seen <= set(range(0, 200_000, 2_000))
    assert list(state.path.parent.iterdir()) == [state.path]


def test_a_disk_that_refuses_is_said_once(tmp_path: Path, clock: MovedClock) -> None:
    """The daemon goes on without its state file, tries again each time, and does not fill the journal."""
    (tmp_path / "run").write_text("a file where the folder should be")
    state = StateFile(tmp_path / "run/state.json", clock=clock, every_s=0.0)
    with capture_logs() as logs:
        for second in range(100):
            assert not state.write({"second": second})
    assert [entry["event"] for entry in logs] == ["state_not_written"]
    (tmp_path / "run").unlink()
    assert state.write({"second": 100})
    (tmp_path / "run/state.json").unlink()
    (tmp_path / "run").rmdir()
    (tmp_path / "run").write_text("again")
    with capture_logs() as logs:
        state.write({"second": 101})
    assert len(logs) == 1


def test_the_end_of_a_run_takes_it_away(state: StateFile) -> None:
    """A stopped daemon leaves no state behind; taking it away twice is fine."""
    state.write({"pid": 7})
    state.remove()
    state.remove()
    assert read_state(state.path) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"state"'])
def test_what_is_no_state_reads_as_none(tmp_path: Path, content: bytes) -> None:
    """Whoever asks while nothing sensible is there learns that nothing is known."""
    path = tmp_path / "state.json"
    path.write_bytes(content)
    assert read_state(path) is None
    assert read_state(tmp_path) is None
    assert read_state(tmp_path / "missing") is None


@pytest.mark.parametrize("facts", [{"name": "\udcff\n\x1b[31m"}, {"deep": [[[]]]}, {"none": None, "wait": 1.5}])
def test_any_text_survives(state: StateFile, facts: dict[str, Any]) -> None:
    """Names that are no UTF-8 and control characters are written as plain ASCII."""
    assert state.write(facts)
    assert state.path.read_bytes().isascii()
    assert json.loads(state.path.read_bytes()) == {"schema": SCHEMA, **facts}
