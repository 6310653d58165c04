"""What the annotator tests share: programs that look at pictures, well or badly, and what they see."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

STREAM = """
import json, os, struct, sys, time
number = 0
def pictures():
    while head := sys.stdin.buffer.read(4):
        yield sys.stdin.buffer.read(struct.unpack(">I", head)[0])
def answer(said):
    print(said if isinstance(said, str) else json.dumps(said), flush=True)
def box(name="dent", width=0.2):
    return {"annotations": [{"class_value": name, "geometry": [0.5, 0.5, width, 0.1], "confidence": 0.9}]}
"""
ONCE = """
import json, os, sys, time
picture = sys.stdin.buffer.read()
def answer(said):
    print(said if isinstance(said, str) else json.dumps(said), flush=True)
def box(name="dent", width=0.2):
    return {"annotations": [{"class_value": name, "geometry": [0.5, 0.5, width, 0.1], "confidence": 0.9}]}
"""
SAW_A_DENT = {"class_value": "dent", "type": "bbox", "geometry": [0.5, 0.5, 0.2, 0.1]}


def program(folder: Path, body: str, *, head: str = STREAM) -> list[str]:
    """Write a program behind one of the heads; return how it is started."""
    script = folder / f"annotator{len(list(folder.glob('annotator*.py')))}.py"
    script.write_text(head + body, encoding="utf-8")
    return [sys.executable, "-S", str(script)]


def command(folder: Path, body: str, *, head: str = STREAM) -> str:
    """Return the same as `[annotator] command` has it."""
    return shlex.join(program(folder, body, head=head))
