from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from agent.clock import SystemClock
from agent.commands import main
from agent.fate import digest_of
from agent.frame import Receipt
from agent.selection.bank import Bank
from agent.selection.choice import Past
from agent.selection.looks import look_at
from agent.selection.plan import SelectPlan
from agent.spool.budget import Limits
from agent.spool.choices import Entry
from agent.spool.records import Mark
from agent.spool.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path

    from agent.clock import Clock

BOXES = "0 0.2 0.3 0.2 0.4 0.9\n1 0.75 0.75 0.5 0.5 0.8\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a configuration, and a watched folder with one picture of two rectangles."""
    for variable in [name for name in os.environ if name.startswith("ACUSIGHT_AGENT_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    configure(tmp_path)
    (tmp_path / "pics").mkdir()
    image = np.full((480, 640, 3), 200, np.uint8)
    image[48:240, 64:192] = 0
    assert cv2.imwrite(str(tmp_path / "pics" / "belt.jpg"), image)
    os.utime(tmp_path / "pics" / "belt.jpg", (1_700_000_000, 1_700_000_000))
    return tmp_path


def configure(folder: Path, more: str = "") -> None:
    """Write the configuration, with more lines for the watched folder."""
    (folder / "config.toml").write_text(
        f'[spool]\ndir = "spool"\n[model]\nid = "m"\n[[watch]]\npath = "pics"\nclasses = ["dent", "scratch"]\n{more}'
    )


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run a command; return its exit code and what it printed."""
    with capture_logs(), pytest.raises(SystemExit) as ended:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def explained(capsys: pytest.CaptureFixture[str], path: str) -> dict[str, Any]:
    """Return what `explain --json` says, with the steps by topic."""
    code, out, _ = run(capsys, "explain", "--json", path)
    assert code == 0
    document: dict[str, Any] = json.loads(out)
    document["by"] = {step["topic"]: step["answer"] for step in document["steps"]}
    return document


def test_check_prints_the_metadata_that_would_be_sent(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The settings of the watched folder that has the picture hold; the format and the reason are told beside."""
    (site / "pics" / "belt.txt").write_text(BOXES)
    code, out, err = run(capsys, "annotations", "check", "pics/belt.txt")
    assert code == 0
    assert json.loads(out) == {
        "source": "pics",
        "timestamp": "2023-11-14T22:13:20.000Z",
        "model_id": "m",
        "annotations": [
            {"class_value": "dent", "type": "bbox", "geometry": [0.2, 0.3, 0.2, 0.4]},
            {"class_value": "scratch", "type": "bbox", "geometry": [0.75, 0.75, 0.5, 0.5]},
        ],
    }
    assert "read as yolo (lines that begin with a class index)" in err


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("0 0.2 0.3 0.2 0.4\n0 0.5\n", (), "belt.txt, line 2: 1 value behind the class, a box has 4"),
        (
            '{"annotations": [\n{"class_value": "a", "geometry": [0, 0, true, 1]}]}',
            (),
            "line 2, annotations[0].geometry[2]",
        ),
        (BOXES, ("--format", "coco"), "belt.txt: of none of the formats that are asked for. Expected coco."),
        (BOXES, ("--format", "yol"), "'yol' is no format. Known are coco, "),
        (BOXES, ("--classes", "one"), "line 2, class: index 1 has no name"),
        (BOXES, ("--box-size", "big"), "'big' is no size. Write it as 1920x1080."),
    ],
)
def test_check_says_what_is_wrong_and_where(
    site: Path, capsys: pytest.CaptureFixture[str], content: str, arguments: tuple[str, ...], message: str
) -> None:
    """One sentence on standard error, nothing on standard output, and an exit code."""
    (site / "pics" / "belt.txt").write_text(content)
    configure(site, 'on_bad_sidecar = "quarantine"\n')
    code, out, err = run(capsys, "annotations", "check", "pics/belt.txt", *arguments)
    assert code in (1, 2)
    assert out == ""
    assert message in err


def test_check_takes_the_picture_and_the_names_that_it_is_given(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file for many pictures is asked for the one that is named; counts are part of the JSON."""
    coco = {
        "images": [{"id": 1, "file_name": "belt.jpg"}, {"id": 2, "file_name": "other.jpg"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [64, 48, 128, 192]},
                        {"image_id": 1, "category_id": 1, "bbox": [700, 48, 128, 192]}],
        "categories": [{"id": 1, "name": "dent"}],
    }  # fmt: skip
    (site / "all.json").write_text(json.dumps(coco))
    code, _, err = run(capsys, "annotations", "check", "all.json")
    assert (code, "no picture lies beside all.json. Name it: --image PICTURE" in err) == (2, True)
    code, out, _ = run(capsys, "annotations", "check", "all.json", "--image", "pics/belt.jpg", "--json")
    said = json.loads(out)
    assert (code, said["format"], said["counts"]["dropped"]) == (0, "coco", 1)
    assert said["metadata"]["annotations"][0]["geometry"] == [0.2, 0.3, 0.2, 0.4]


def test_check_draws_the_boxes_where_they_are(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The drawing is the picture with a coloured frame around each object."""
    (site / "pics" / "belt.txt").write_text("0 0.2 0.3 0.2 0.4\n")
    code, _, err = run(capsys, "annotations", "check", "pics/belt.txt", "--draw", "out.png")
    assert (code, "drawn: out.png" in err) == (0, True)
    drawn = cv2.imread(str(site / "out.png"))
    assert drawn is not None
    assert drawn.shape == (480, 640, 3)
    coloured = np.argwhere(np.ptp(drawn.astype(int), axis=2) > 100)
    for x, y in ((64, 144), (191, 144), (128, 48), (128, 239)):
        assert np.abs(coloured - (y, x)).sum(axis=1).min() <= 2
    assert np.ptp(drawn[300:, 300:].astype(int), axis=2).max() < 30


def test_explain_goes_through_every_step(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Source, traces, state, sidecar, form and metadata, and the verdict at the end."""
    (site / "pics" / "labels").mkdir()
    (site / "pics" / "labels" / "belt.txt").write_text(BOXES)
    code, out, err = run(capsys, "explain", "pics/belt.jpg")
    assert (code, err) == (0, "")
    lines = {line[:12].strip(): line[13:] for line in out.splitlines()}
    assert list(lines) == [
        "source", "known", "settled", "picture", "annotations", "selection", "sent as", "metadata", "verdict",
    ]  # fmt: skip
    assert lines["source"].startswith(f"pics, which watches {site}/pics for *.jpg")
    assert lines["annotations"] == "labels/belt.txt, read as yolo (lines that begin with a class index): 2 boxes"
    assert lines["picture"].startswith("a whole image/jpeg of 640 x 480")
    assert lines["sent as"] == "it is, byte for byte"
    assert json.loads(lines["metadata"])["source"] == "pics"
    assert lines["verdict"] == "would be sent"


def test_explain_tells_what_keeps_a_picture(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names that do not fit, broken pictures and bad sidecars are each told with their reason."""
    (site / "pics" / "below").mkdir()
    for name, content, reason in (
        ("belt.part", b"x", "pics passes it over: its ending says that it is not finished"),
        ("belt.gif", b"x", "pics passes it over: its name fits none of *.jpg"),
        ("below/a.jpg", b"x", "pics passes it over: it lies in a folder below, and recursive is false"),
        ("../a.jpg", b"x", "no [[watch]] has it in its folder"),
    ):
        (site / "pics" / name).write_bytes(content)
        told = explained(capsys, f"pics/{name}")
        assert not told["would_be_sent"]
        assert told["by"]["source"].startswith(reason)
    (site / "pics" / "half.jpg").write_bytes((site / "pics" / "belt.jpg").read_bytes()[:-200])
    assert "not now: the file ends in the middle" in explained(capsys, "pics/half.jpg")["by"]["taken"]
    (site / "pics" / "belt.txt").write_text("9 0.5 0.5 0.1 0.1")
    told = explained(capsys, "pics/belt.jpg")
    assert told["would_be_sent"]
    assert (
        "sent without annotations, since its sidecar cannot be read: belt.txt, line 1, class"
        in told["by"]["annotations"]
    )
    for rule, topic in (("quarantine", "quarantine"), ("wait", "taken")):
        configure(site, f'on_bad_sidecar = "{rule}"\n')
        told = explained(capsys, "pics/belt.jpg")
        assert not told["would_be_sent"]
        assert "index 9 has no name" in told["by"][topic]


def test_explain_tells_what_became_of_a_picture(site: Path, capsys: pytest.CaptureFixture[str], clock: Clock) -> None:
    """One that waits is told with its item, one that was sent with its receipt; neither would be sent again."""
    run(capsys, "upload", "pics/belt.jpg")
    told = explained(capsys, "pics/belt.jpg")
    assert told["by"]["known"] == "captured already: waiting as item 1"
    assert not told["would_be_sent"]
    spool = Spool(site / "spool", Limits(max_bytes=10**9, min_free_bytes=0), clock=clock, owner=True)
    try:
        item = spool.outbox.claim()
        assert item is not None
        spool.outbox.deliver(item, Receipt(item.id, "delivered", "img_7"))
    finally:
        spool.close()
    assert explained(capsys, "pics/belt.jpg")["by"]["known"].startswith("sent already: delivered at 2026-")


@pytest.mark.parametrize("line", ["crop = [0.0, 0.0, 0.5, 0.5]", "mask = [[0.0, 0.0, 0.1, 0.1]]"])
def test_explain_tells_of_a_new_encoding(site: Path, capsys: pytest.CaptureFixture[str], line: str) -> None:
    """A crop or a mask makes a JPEG of its own, and the boxes that are told are those of it."""
    configure(site, f"{line}\n")
    (site / "pics" / "belt.txt").write_text("0 0.2 0.3 0.2 0.4\n")
    told = explained(capsys, "pics/belt.jpg")
    size = "320 x 240" if "crop" in line else "640 x 480"
    assert told["by"]["sent as"].startswith(f"a new JPEG of {size}, upright")
    x = told["metadata"]["annotations"][0]["geometry"][0]
    assert x == (0.4 if "crop" in line else 0.2)


UNSURE = '[[select.rule]]\nname = "unsure"\nconfidence_between = [0.3, 0.6]\npriority = 7\nafter_s = 5\n'


@pytest.mark.parametrize(
    ("select", "answer", "sent"),
    [
        ("", "none: every picture of this folder is worth the link", True),
        ("[select]\ndark = 10\n", "kept: no rule is about it and no limit is against it; priority 5", True),
        ("[select]\ndark = 250\n", "skipped by dark: its mean brightness is 184, and 250 is the least", False),
        ("[select]\nblur = 99.0\n", "skipped by blur: its sharpness is", False),
        ("[select]\nsample = 0.0001\n", "skipped by sample: it is not among the 0% of the pictures", False),
        ("[select]\ndark = 250\n" + UNSURE, "kept by the rule 'unsure', priority 7, with what came 5 s after", True),
        ('[[select.rule]]\nname = "rest"\nkeep = "no"\n', "skipped by the rule 'rest', which says no", False),
    ],
)
def test_explain_tells_of_the_choice(
    site: Path, capsys: pytest.CaptureFixture[str], select: str, answer: str, *, sent: bool
) -> None:
    """Which rule keeps a picture, or which limit skips it, and by how much."""
    if UNSURE in select:
        select = select.replace('name = "unsure"', 'name = "unsure"\nkeep = "always"')
        (site / "pics" / "belt.txt").write_text("0 0.2 0.3 0.2 0.4 0.5\n")
    configure(site, select)
    told = explained(capsys, "pics/belt.jpg")
    assert told["by"]["selection"].startswith(answer)
    assert told["would_be_sent"] == sent


def test_explain_compares_with_what_was_kept(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What looks like a picture that the agent kept is told with the share that differs; a skipped one as that."""
    (site / "pics" / "twin.jpg").write_bytes((site / "pics" / "belt.jpg").read_bytes() + b"the same")
    (site / "pics" / "later.jpg").write_bytes((site / "pics" / "belt.jpg").read_bytes() + b"and again")
    os.utime(site / "pics" / "twin.jpg", (1_700_000_100, 1_700_000_100))
    configure(site, "select = {change = 0.05, min_interval_s = 10}\nsettle_s = 0\nsidecar_wait_s = 0\n")
    spool = Spool(site / "spool", Limits(max_bytes=10**9, min_free_bytes=0), clock=SystemClock(), owner=True)
    plan = SelectPlan("pics", change=0.05, min_interval_s=10)
    past = Past(Bank(plan.bank))
    grey = cv2.imread(str(site / "pics" / "belt.jpg"), cv2.IMREAD_GRAYSCALE)
    assert grey is not None
    past.bank.keep(look_at(grey).print, 0.05)
    past.caps.last = 1_700_000_000.0
    twin = (site / "pics" / "twin.jpg").stat()
    digest = digest_of(site / "pics" / "twin.jpg")
    mark = Mark("twin.jpg", twin.st_ino, twin.st_size, twin.st_mtime_ns, digest, skipped="change")
    spool.choices.enter("pics", Entry(past=past.text(), marks=(mark,)))
    spool.close()
    told = explained(capsys, "pics/belt.jpg")["by"]["selection"]
    assert told == "skipped by min_interval_s: another one was kept within 10 s of its time"
    told = explained(capsys, "pics/later.jpg")["by"]["selection"]
    assert told == "skipped by change: it differs from one that was kept in 0.0% of its area, and 5.0% is the least"
    told = explained(capsys, "pics/twin.jpg")["by"]
    assert told["known"] == "skipped already, by change; it is not looked at again until its bytes change"
    assert "selection" not in told
    code, out, err = run(capsys, "receipt", "--json", "pics/twin.jpg")
    assert (code, json.loads(out)["fate"], json.loads(out)["skipped_by"]) == (1, "skipped", "change")
    assert "not worth the link, by [select]; it was never captured (by change)" in err
    code, out, _ = run(capsys, "receipt", "--json", digest)
    assert json.loads(out)["fate"] == "skipped"


def test_explain_does_not_skip_what_an_annotator_may_want(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where rules ask for boxes that nobody knows yet, a limit's answer is not the last word."""
    rule = '[[select.rule]]\nname = "dents"\nclasses = ["dent"]\nkeep = "always"\n'
    configure(site, f'[select]\ndark = 250\n{rule}[annotator]\nkind = "command"\ncommand = "true"\n')
    told = explained(capsys, "pics/belt.jpg")
    assert told["by"]["selection"].endswith("is the least; what the annotator sees may change that")
    assert told["would_be_sent"]


def test_explain_keeps_what_cannot_be_looked_at(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the daemon does: a limit never skips a picture that nobody could see."""
    hollow = bytes.fromhex("ffd8ffc0000b080008000801011100ffda0008010100003f0012ffd9")
    (site / "pics" / "belt.jpg").write_bytes(hollow)
    configure(site, "[select]\ndark = 250\n")
    told = explained(capsys, "pics/belt.jpg")
    assert told["by"]["selection"].startswith("kept, since it cannot be looked at: ")
    assert told["would_be_sent"]
