"""The guide holds what the doctor points to, and quotes what the agent really says."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import get_args

import agent
from agent.doctor.finding import GUIDE
from agent.doctor.guide import Section

ROOT = Path(agent.__file__).parent
TEXT = (ROOT.parent / GUIDE).read_text(encoding="utf-8")
SHORTEST = 4  # what is left between two gaps may be a comma, which proves nothing


@cache
def spoken() -> str:
    """Return every text that stands in the code, one a line, with a mark in place of what is filled in."""
    texts = []
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def quotes() -> list[str]:
    """Return what the headings quote."""
    headings = re.findall(r"^### (.*)$", TEXT, re.MULTILINE)
    return [quote for heading in headings for quote in re.findall(r"`([^`]+)`", heading)]


def unspoken(quote: str) -> list[str]:
    """Return the pieces of a quote that no text of the code has."""
    pieces = [piece.strip() for piece in quote.split("…")]
    return [piece for piece in pieces if len(piece) >= SHORTEST and piece not in spoken()]


def anchors() -> list[str]:
    """Return the guide's anchors."""
    return re.findall(r'<a id="([^"]+)"></a>', TEXT)


def test_every_link_of_the_doctor_leads_somewhere() -> None:
    """Each section that a finding may name is in the guide once, and the guide has none that nothing leads to."""
    assert sorted(anchors()) == sorted(get_args(Section))


def test_every_quoted_message_is_one_of_the_agents() -> None:
    """What a heading quotes stands in the code, so that people find their message by its words."""
    wrong = {quote: missing for quote in quotes() if (missing := unspoken(quote))}
    assert not wrong
    assert len(quotes()) > 50


def test_a_message_that_was_reworded_would_be_noticed() -> None:
    """The control: a text that no code has is found to be missing."""
    assert unspoken("the frobnicator is not synchronised: …") == ["the frobnicator is not synchronised:"]


def test_every_section_has_a_text_beneath_it() -> None:
    """No heading stands alone."""
    for body in re.split(r"^### .*$", TEXT, flags=re.MULTILINE)[1:]:
        assert len(body.split("<a id=")[0].split("\n## ")[0].split()) >= 8, body[:200]


def test_links_within_the_guide_lead_somewhere() -> None:
    """References to other sections and files exist."""
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        path, _, anchor = target.partition("#")
        assert not path or (ROOT.parent / "docs" / path).exists(), target
        assert not anchor or anchor in anchors(), target
