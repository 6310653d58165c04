from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path

import agent
from agent.annotations.read import Subject
from agent.annotators.answers import read_answer
from agent.annotators.command import StreamProgram
from agent.annotators.plan import AnnotatorPlan
from agent.clock import SystemClock
from agent.config.settings import Settings
from agent.workers import Stop

DOCUMENT = (Path(agent.__file__).parents[1] / "docs/annotators.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the document's examples in one language."""
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


def test_the_program_in_the_document_works(tmp_path: Path) -> None:
    """Whoever copies it has an annotator: it answers picture after picture."""
    (text,) = [block for block in blocks("python") if "struct" in block]
    assert len(text.splitlines()) <= 20
    script = tmp_path / "detect.py"
    script.write_text(text, encoding="utf-8")
    plan = AnnotatorPlan("command")
    engine = StreamProgram([sys.executable, "-S", str(script)], plan, environment={}, stop=Stop(), clock=SystemClock())
    try:
        for picture in (b"one", bytes(300_000)):
            labels = read_answer(engine.look(picture), plan, Subject("", 64, 48))
            assert (labels.model.id, labels.annotations[0].class_value) == ("mdl_77", "part")
    finally:
        engine.close()


def test_the_settings_in_the_document_are_valid() -> None:
    """Each example of a configuration is one."""
    for block in blocks("toml"):
        if not block.startswith("[project"):
            Settings.model_validate(tomllib.loads(block))


def test_the_answers_in_the_document_are_read() -> None:
    """Each example of an answer is one."""
    for block in blocks("json"):
        labels = read_answer(json.dumps(json.loads(block)).encode(), AnnotatorPlan("command"), Subject("", 64, 48))
        assert labels.annotations
