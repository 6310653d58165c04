from __future__ import annotations

import re
from typing import TYPE_CHECKING

from click.testing import CliRunner
from demo_rig import GONE_S, Demo, until

from agent.commands.demo import command
from agent.demo.comparison import LOST, Fault
from agent.demo.tour import Outcome
from agent.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TOUR_S = 45.0


def test_the_tour_passes(tmp_path: Path) -> None:
    """Twenty pictures and a camera's frames arrive byte for byte across an outage: status 0, a table, a verdict."""
    with Demo(tmp_path, "--once") as demo:
        assert demo.wait(TOUR_S) == 0, demo.said()
        said = demo.said()
        figures = re.search(r"pictures +20 .* and (\d+) camera frames\n +arrived +(\d+) +of (\d+)\n", said)
        assert figures, said
        frames, arrived, sent = map(int, figures.groups())
        assert arrived == sent == 20 + frames
        assert frames >= 4
        outage = re.search(r"outage +([\d.]+) s, (\d+) waited on disk\n", said)
        assert outage, said
        assert float(outage[1]) >= 2
        assert int(outage[2]) >= 5
        assert re.search(r"lost +0\nPassed: every picture arrived", said), said
        assert not demo.living()
        assert list((tmp_path / ".demo").iterdir()) == []


def test_a_tampered_picture_fails_the_tour(tmp_path: Path) -> None:
    """A single byte changed where the platform keeps a picture is found: status 1, the picture named, all kept."""
    with Demo(tmp_path, "--once") as demo:
        until(lambda: list(tmp_path.glob(".demo/*/platform/images/*.jpg")), said=demo.said)
        (victim, *_) = tmp_path.glob(".demo/*/platform/images/*.jpg")
        content = bytearray(victim.read_bytes())
        content[-100] ^= 1
        victim.write_bytes(content)
        assert demo.wait(TOUR_S) == 1, demo.said()
        assert re.search(r"lost +1\n", demo.said()), demo.said()
        assert re.search(r"  (belt-\d\d\.jpg|scene-\S+) did not arrive\n", demo.said()), demo.said()
        assert demo.said().splitlines()[-1].startswith("acusight-agent: the tour failed")
        assert victim.exists()
        assert not demo.living()


def test_a_tour_can_be_broken_off(tmp_path: Path) -> None:
    """SIGTERM ends a tour within 5 s with 130, in the middle of the outage too, and leaves no child."""
    with Demo(tmp_path, "--once") as demo:
        demo.until("Killing the sandbox")
        demo.process.terminate()
        assert demo.wait(GONE_S) == 130
        assert demo.said().splitlines()[-1] == "acusight-agent: the tour was interrupted"
        assert not demo.living()


def test_the_table_counts_what_was_lost() -> None:
    """Only what did not arrive counts as lost; the other faults are named beside the table."""
    faults = [Fault("a.jpg", LOST), Fault("b.jpg", "arrived more than once"), Fault("c.jpg", LOST)]
    outcome = Outcome(20, 5, 23, 2.54, 9, 1, faults, 8.0)
    lines = [" ".join(line.split()) for line in outcome.table().splitlines()]
    assert lines == [
        "pictures 20 with boxes, and 5 camera frames",
        "arrived 23 of 25",
        "outage 2.5 s, 9 waited on disk",
        "duplicates refused 1",
        "lost 2",
    ]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without one of the extras' packages the demo says what to install, and touches nothing."""
    monkeypatch.setattr("agent.commands.demo.NEEDED", ("cv2", "no_such_package"))
    result = CliRunner().invoke(command, ["--dir", str(tmp_path)])
    assert isinstance(result.exception, UsageError)
    assert str(result.exception) == (
        "the demo needs no_such_package. Run: pip install 'acusight-agent[camera,sandbox]'"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_help_has_examples() -> None:
    """`--help` shows the options and how to call it."""
    text = CliRunner().invoke(command, ["--help"]).output
    for words in ("--once", "--port", "8600", "Examples:", "acusight-agent demo --once"):
        assert words in text
