from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from annotator_rig import ONCE, program
from structlog.testing import capture_logs

from agent.annotators.answers import MAX_ANSWER_BYTES
from agent.annotators.command import OnceProgram, StreamProgram
from agent.annotators.plan import AnnotatorPlan
from agent.clock import SystemClock
from agent.errors import Unanswered
from agent.workers import Stop

if TYPE_CHECKING:
    from collections.abc import Iterator

ENVIRONMENT = {"PATH": os.environ["PATH"]}
JPEG = b"\xff\xd8 a picture \xff\xd9"
LARGE = b"\xff\xd8" + bytes(3_000_000)


@contextmanager
def asking(arguments: list[str], *, once: bool = False, timeout_s: float = 10.0) -> Iterator[StreamProgram]:
    """Run a program as an annotator for the length of a block."""
    stop = Stop()
    kind = OnceProgram if once else StreamProgram
    plan = AnnotatorPlan("command", timeout_s=timeout_s, start_timeout_s=0.0)
    engine = kind(arguments, plan, environment=ENVIRONMENT, stop=stop, clock=SystemClock())
    engine.stop = stop  # type: ignore[union-attr]  # for the test that stops in the middle
    try:
        yield engine  # type: ignore[misc]  # both look and close
    finally:
        engine.close()


def alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_program_is_kept_running(tmp_path: Path) -> None:
    """One process answers picture after picture, large ones whole; at the end it is gone."""
    body = "for picture in pictures(): answer([os.getpid(), len(picture)])"
    with asking(program(tmp_path, body)) as engine:
        answers = [json.loads(engine.look(picture)) for picture in (JPEG, LARGE, JPEG)]
        assert [size for _, size in answers] == [len(JPEG), len(LARGE), len(JPEG)]
        assert len({pid for pid, _ in answers}) == 1
    assert not alive(answers[0][0])


def test_once_is_a_process_a_picture(tmp_path: Path) -> None:
    """Each picture has its own, which may answer over many lines."""
    with asking(
        program(tmp_path, "print('['); print(os.getpid(), ',', len(picture), ']')", head=ONCE), once=True
    ) as engine:
        first, second = (json.loads(engine.look(picture)) for picture in (JPEG, LARGE))
    assert (first[1], second[1]) == (len(JPEG), len(LARGE))
    assert first[0] != second[0]


def test_once_need_not_read_the_picture() -> None:
    """A program that does not look answers all the same."""
    arguments = [sys.executable, "-S", "-c", "print('{}')"]
    with asking(arguments, once=True) as engine:
        assert json.loads(engine.look(LARGE)) == {}


SILENT = """
import subprocess
child = subprocess.Popen(["sleep", "60"])
for picture in pictures():
    print(child.pid, "sleeps", file=sys.stderr, flush=True)
    time.sleep(60)
"""


def test_a_silent_program_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """Past the deadline it and its children are killed; its last words are told."""
    with asking(program(tmp_path, SILENT), timeout_s=0.5) as engine:
        with pytest.raises(Unanswered, match=r"did not answer in time. (\d+) sleeps") as caught:
            engine.look(JPEG)
        assert caught.value.away
        child = int(str(caught.value).split()[-2])
        deadline = time.monotonic() + 2.0
        while alive(child):  # a killed process takes a moment to go
            assert time.monotonic() < deadline


def test_a_program_that_reads_nothing_is_not_waited_for() -> None:
    """Also the writing has the deadline: three megabytes fit into no pipe."""
    with asking([sys.executable, "-S", "-c", "import time; time.sleep(60)"], timeout_s=0.3) as engine:
        began = time.monotonic()
        with pytest.raises(Unanswered, match="in time"):
            engine.look(LARGE)
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("sys.exit('no model at /opt/model')", "it ended with status 1: no model at /opt/model"),
        ("next(pictures()); os.kill(os.getpid(), 11)", "it was ended by signal 11"),
        ("for picture in pictures(): print('hello'); answer({})", "more than one line.*standard error"),
        ("print('loading', flush=True); time.sleep(9)", "not asked for.*standard error|did not answer"),
        ("for picture in pictures(): print('x' * 100_000_000, flush=True)", f"larger than {MAX_ANSWER_BYTES}"),
        ("next(pictures()); os.close(1); time.sleep(9)", "it closed its output"),
    ],
)
def test_what_goes_wrong_is_told_and_ends_it(tmp_path: Path, body: str, reason: str) -> None:
    """Crash, rubbish and floods are one error each; the next picture meets a new process."""
    with asking(program(tmp_path, body)) as engine:
        for _ in range(2):
            with pytest.raises(Unanswered, match=reason) as caught:
                engine.look(LARGE)
            assert caught.value.away


def test_a_late_line_is_not_taken_for_the_next_answer(tmp_path: Path) -> None:
    """A line behind the answer would be taken for what is said of the next picture: its program is ended."""
    body = "for picture in pictures():\n    answer({})\n    time.sleep(0.05)\n    print('done', flush=True)\n"
    with asking(program(tmp_path, body)) as engine:
        assert engine.look(JPEG) == b"{}"
        time.sleep(0.3)
        with pytest.raises(Unanswered, match="not asked for"):
            engine.look(JPEG)
        assert engine.look(JPEG) == b"{}"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("sys.exit('out of memory')", "it ended with status 1: out of memory"),
        ("answer({}); sys.exit(3)", "it ended with status 3"),
        ("os.kill(os.getpid(), 9)", "it was ended by signal 9"),
        ("print('x' * 100_000_000)", "larger than"),
    ],
)
def test_once_has_to_end_well(tmp_path: Path, body: str, reason: str) -> None:
    """An answer counts only where the exit status is 0."""
    with asking(program(tmp_path, body, head=ONCE), once=True) as engine, pytest.raises(Unanswered, match=reason):
        engine.look(JPEG)


def test_a_program_that_is_not_there_is_told() -> None:
    """Its name and the system's reason."""
    with (
        asking(["/nowhere/detector"]) as engine,
        pytest.raises(Unanswered, match="/nowhere/detector cannot be started: No"),
    ):
        engine.look(JPEG)


def test_standard_error_is_drained_and_logged_in_measure(tmp_path: Path) -> None:
    """A chatty program is not stopped by a full pipe, and its lines come at most every ten seconds."""
    body = """
for picture in pictures():
    for n in range(5000): print("step", n, chr(27) + "[31m" + "x" * 40, file=sys.stderr)
    answer({})
"""
    with asking(program(tmp_path, body)) as engine, capture_logs() as logs:
        assert [engine.look(JPEG) for _ in range(3)] == [b"{}"] * 3
    said = [entry for entry in logs if entry["event"] == "annotator_said"]
    assert len(said) == 1
    assert len(said[0]["line"]) <= 300
    assert "\x1b" not in said[0]["line"]


def test_the_stop_ends_a_wait_for_an_answer(tmp_path: Path) -> None:
    """A program that is thinking does not hold the stop."""
    with asking(program(tmp_path, "time.sleep(60)"), timeout_s=60) as engine:
        timer = threading.Timer(0.2, engine.stop.set)  # type: ignore[attr-defined]
        timer.start()
        began = time.monotonic()
        with pytest.raises(Unanswered, match="stopping"):
            engine.look(JPEG)
        timer.join()
    assert time.monotonic() - began < 2.0


def test_the_program_sees_no_more_of_the_environment_than_it_is_given(tmp_path: Path) -> None:
    """What is handed in is all that it gets (I7: the key is not in there)."""
    with asking(program(tmp_path, "for picture in pictures(): answer(sorted(os.environ))")) as engine:
        assert set(json.loads(engine.look(JPEG))) - {"LC_CTYPE"} == set(ENVIRONMENT)
