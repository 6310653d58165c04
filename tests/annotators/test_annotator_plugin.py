from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from agent.annotators.command import StreamProgram
from agent.annotators.plan import AnnotatorPlan
from agent.clock import SystemClock
from agent.errors import Unanswered
from agent.workers import Stop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JPEG = b"\xff\xd8 a picture \xff\xd9"
PLUGIN = """
import os, sys
print("a library that greets on standard output")
def sees(jpeg):
    return {"annotations": [], "pid": os.getpid(), "size": len(jpeg)}
def raises(jpeg):
    raise RuntimeError(f"cannot read {len(jpeg)} bytes")
def crashes(jpeg):
    os.abort()
def odd(jpeg):
    return {"annotations": {1, 2}}
kept = []
def leaks(jpeg):
    if len(jpeg) > 100:
        kept.append(bytearray(50_000_000))
    return {"annotations": [], "kept": len(kept)}
number = 7
"""


def package(folder: Path) -> dict[str, str]:
    """Install a distribution with entry points; return the environment in which it is found."""
    points = "\n".join(f"{name} = seer:{name}" for name in ("sees", "raises", "crashes", "odd", "leaks", "number"))
    info = folder / "seer-1.0.dist-info"
    info.mkdir()
    (folder / "seer.py").write_text(PLUGIN, encoding="utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: seer\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[acusight_agent.annotators]\n{points}\n", encoding="utf-8")
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)}


@contextmanager
def asking(folder: Path, name: str, memory: int = 0) -> Iterator[StreamProgram]:
    """Run a plug-in for the length of a block."""
    arguments = [sys.executable, "-P", "-m", "agent.annotators.plugin", name, str(os.getpid()), str(memory)]
    plan = AnnotatorPlan("python")
    engine = StreamProgram(arguments, plan, environment=package(folder), stop=Stop(), clock=SystemClock())
    try:
        yield engine
    finally:
        engine.close()


def test_a_plug_in_is_asked_in_a_process_of_its_own(tmp_path: Path) -> None:
    """What it returns is the answer, what it prints is none, and it stays loaded."""
    with asking(tmp_path, "sees") as engine:
        first, second = (json.loads(engine.look(picture)) for picture in (JPEG, JPEG * 9))
    assert (first["size"], second["size"]) == (len(JPEG), 9 * len(JPEG))
    assert first["pid"] == second["pid"] != os.getpid()


def test_what_a_plug_in_raises_is_about_one_picture(tmp_path: Path) -> None:
    """It is told by its kind and its words, and the next picture is asked about all the same."""
    with asking(tmp_path, "raises") as engine:
        for _ in range(2):
            said = json.loads(engine.look(JPEG))
            assert said == {"error": f"raises raised RuntimeError: cannot read {len(JPEG)} bytes"}


def test_what_is_no_json_is_told(tmp_path: Path) -> None:
    """A set cannot be sent on."""
    with asking(tmp_path, "odd") as engine:
        assert "is no JSON" in json.loads(engine.look(JPEG))["error"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("crashes", "ended by signal 6"),
        ("number", "no callable"),
        ("missing", "no entry point 'missing' in the group acusight_agent.annotators: there are crashes, leaks"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_told(tmp_path: Path, name: str, reason: str) -> None:
    """A crash takes down its own process alone; a wrong name is told with the right ones."""
    with asking(tmp_path, name) as engine, pytest.raises(Unanswered, match=reason):
        engine.look(JPEG)


def test_a_plug_in_that_leaks_does_not_take_the_machine(tmp_path: Path) -> None:
    """At its limit it is refused more memory, which is told; what needs less is answered all the same."""
    with asking(tmp_path, "leaks", 400_000_000) as engine:
        said = [json.loads(engine.look(bytes(200))) for _ in range(12)]
        assert said[-1] == {"error": "leaks raised MemoryError: "}
        assert 3 <= sum("kept" in one for one in said) <= 8
        assert json.loads(engine.look(JPEG))["annotations"] == []


def test_without_a_limit_nothing_is_refused(tmp_path: Path) -> None:
    """0 leaves it to the machine."""
    with asking(tmp_path, "leaks") as engine:
        assert [json.loads(engine.look(bytes(200)))["kept"] for _ in range(12)] == list(range(1, 13))


def test_a_lower_limit_of_the_machine_stays() -> None:
    """To raise it is refused, and the plug-in must not be refused its start for memory that it would not get anyway."""
    limit = "resource.getrlimit(resource.RLIMIT_DATA)"
    lines = (
        "import resource",
        "from agent.annotators.plugin import confine",
        "resource.setrlimit(resource.RLIMIT_DATA, (10**9, 10**9))",
        f"confine(4 * 10**9); print({limit})",
        f"confine(5 * 10**8); print({limit})",
    )
    ended = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert ended.stdout.splitlines() == ["(1000000000, 1000000000)", "(500000000, 500000000)"], ended.stderr
