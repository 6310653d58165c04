from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from agent.commands import main

PEOPLE = '[[select.rule]]\nname = "people"\nclasses = ["person"]\nkeep = "always"\nbefore_s = 10\n'
STEP_S = 60


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of five pictures: a scene three times, another one, and one with a name that is HTML."""
    for variable in [name for name in os.environ if name.startswith("ACUSIGHT_AGENT_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pics").mkdir()
    for number, (name, seed) in enumerate([("a", 1), ("b", 1), ("c", 1), ("d", 2), ("<b>e", 3)]):
        path = tmp_path / "pics" / f"{name}.jpg"
        pixels = np.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=np.uint8)
        assert cv2.imwrite(str(path), cv2.resize(pixels, (640, 480), interpolation=cv2.INTER_NEAREST))
        os.utime(path, (1_700_000_000 + STEP_S * number,) * 2)
    configure("[select]\nchange = 0.02\n")
    return tmp_path


def configure(more: str) -> None:
    """Write a configuration."""
    Path("config.toml").write_text(f'[spool]\ndir = "spool"\n[[watch]]\npath = "pics"\n{more}', encoding="utf-8")


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run `select report` on the folder, and return what it printed."""
    with pytest.raises(SystemExit) as ended:
        main(["select", "report", "pics", *arguments])
    said = capsys.readouterr()
    assert (ended.value.code or 0, said.err) == (0, "")
    return said.out


def kept(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Return the pictures that would be sent, with what keeps them."""
    files = json.loads(report(capsys, "--json"))["files"]
    return {one["name"]: one["by"] for one in files if one["kept"]}


@pytest.mark.usefixtures("site")
def test_the_report_counts_what_would_be_sent(capsys: pytest.CaptureFixture[str]) -> None:
    """By rule and limit, and the same again at the next call: nothing is remembered."""
    expected = "3 of 5 pictures would be sent\n  kept          3  nothing against it\n  skipped       2  change\n"
    assert report(capsys) == expected
    assert report(capsys) == expected
    assert list(kept(capsys)) == ["a.jpg", "d.jpg", "<b>e.jpg"]
    assert not Path("spool").exists()


@pytest.mark.usefixtures("site")
def test_a_rule_keeps_what_came_shortly_before_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    """Skipped frames within the rule's reach are taken back, older ones are not."""
    configure("[select]\nchange = 0.02\n" + PEOPLE.replace("10", str(STEP_S)))
    box = {"class_value": "person", "type": "bbox", "geometry": [0.5, 0.5, 0.2, 0.2]}
    Path("pics/c.json").write_text(json.dumps({"schema": 1, "annotations": [box]}))
    assert kept(capsys) == {"a.jpg": "", "b.jpg": "people", "c.jpg": "people", "d.jpg": "", "<b>e.jpg": ""}


@pytest.mark.usefixtures("site")
def test_the_contact_sheet_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Every picture is in it, small, under what became of it; it asks no other host, and a name is no markup."""
    assert "The contact sheet is sheet.html" in report(capsys, "--out", "sheet.html")
    page = Path("sheet.html").read_text(encoding="utf-8")
    left, _, right = page.partition('class="skipped"')
    assert left.count("data:image/jpeg;base64,") == 3
    assert right.count("data:image/jpeg;base64,") == 2
    assert "http" not in page
    assert "&lt;b&gt;e.jpg" in page


@pytest.mark.usefixtures("site")
def test_what_is_no_picture_is_told_and_nothing_stops(capsys: pytest.CaptureFixture[str]) -> None:
    """Half a file among them has its own line of the counts."""
    Path("pics/f.jpg").write_bytes(Path("pics/a.jpg").read_bytes()[:500])
    assert "not a picture to send" in report(capsys)


@pytest.mark.usefixtures("site")
def test_a_sheet_shows_no_more_than_would_be_sent(capsys: pytest.CaptureFixture[str]) -> None:
    """A privacy mask holds on it, too."""
    configure("mask = [[0, 0, 1, 1]]\n")
    report(capsys, "--out", "sheet.html")
    first = Path("sheet.html").read_text(encoding="utf-8").partition("base64,")[2].partition('"')[0]
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(first), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None
    assert pixels.max() < 8
