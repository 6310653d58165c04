from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from queue_rig import Desk, sha

ROOT = Path(__file__).parents[2]
PICTURE = b"\xff\xd8 a picture \xff\xd9"


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """Return a configured spool in a folder of its own."""
    return Desk(tmp_path, capsys)


class TestList:
    """`queue list`."""

    def test_it_lists_the_oldest_first_and_counts_all(self, desk: Desk) -> None:
        """A table with one line an item, and how many there are beyond those shown."""
        desk.put(b"a", b"bb", b"ccc")
        lines = desk.call("queue", "list", "--limit", 2).done().splitlines()
        assert lines[0].split()[:5] == ["id", "state", "source", "captured", "at"]
        assert [line.split() for line in lines[1:3]] == [
            ["1", "waiting", "cam-1", "2026-03-14T08:15:02.417Z", "1", "0", "now"],
            ["2", "waiting", "cam-1", "2026-03-14T08:15:02.417Z", "2", "0", "now"],
        ]
        assert lines[3:] == ["2 of 3 items"]

    def test_programs_get_the_same(self, desk: Desk) -> None:
        """One JSON document, with the totals of what was asked for."""
        desk.put(b"a", b"bb")
        desk.put(b"ccc", source="cam-2")
        desk.quarantine("a \u2028 reason")
        desk.defer(3600)
        document = desk.call("queue", "list", "--json", "--newest").json
        assert (document["total"], document["bytes"]) == (3, 6)
        assert [(one["id"], one["state"], one["source"], one["attempts"]) for one in document["items"]] == [
            (257, "waiting", "cam-2", 0),
            (2, "waiting", "cam-1", 1),
            (1, "quarantined", "cam-1", 1),
        ]
        assert document["items"][0]["due_in_s"] == 0
        assert 3500 < document["items"][1]["due_in_s"] <= 3600
        assert document["items"][2]["due_in_s"] is None
        assert document["items"][2]["reason"] == "a \u2028 reason"

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["--state", "quarantined"], [1]),
            (["--state", "waiting"], [2, 257]),
            (["--state", "all", "--source", "cam-2"], [257]),
            (["--source", "nobody"], []),
        ],
    )
    def test_it_can_be_narrowed(self, desk: Desk, arguments: list[str], expected: list[int]) -> None:
        """By state and by source; the total is that of the selection."""
        desk.put(b"a", b"bb")
        desk.put(b"ccc", source="cam-2")
        desk.quarantine()
        document = desk.call("queue", "list", "--json", *arguments).json
        assert [one["id"] for one in document["items"]] == expected
        assert document["total"] == len(expected)

    def test_a_reason_cannot_forge_a_line(self, desk: Desk) -> None:
        """What a server wrote is shown without its terminal codes, and without what looks like a key."""
        desk.put(b"a")
        desk.quarantine("no\n       9 waiting \x1b[31m adk_c0ffee")
        assert r"no\n       9 waiting \x1b[31m adk_***" in desk.call("queue", "list").done()

    def test_an_empty_queue_is_said(self, desk: Desk) -> None:
        """Nothing to list is no failure."""
        desk.put(b"a")
        desk.deliver()
        assert desk.call("queue", "list").done() == "nothing is in the queue\n"
        assert desk.call("queue", "list", "--json").json["items"] == []


class TestShow:
    """`queue show`."""

    def test_it_shows_everything(self, desk: Desk) -> None:
        """Where its bytes are, what the platform is told, how often it was tried, and why it was set aside."""
        desk.put(PICTURE)
        item = desk.quarantine("the platform says no")[0]
        shown = desk.call("queue", "show", 1, "--json").json
        assert (
            shown.items()
            >= {
                "id": 1,
                "state": "quarantined",
                "reason": "the platform says no",
                "attempts": 1,
                "outcome_unknown": False,
                "size": len(PICTURE),
                "sha256": sha(PICTURE),
                "path": str(item.path),
                "present": True,
                "filename": item.filename,
                "due_in_s": None,
                "metadata": {"source": "cam-1", "annotations": []},
            }.items()
        )
        text = desk.call("queue", "show", 1).done()
        assert [line.split()[0] for line in text.splitlines()] == [name for name in shown if name != "schema"]

    def test_a_file_that_is_gone_is_seen(self, desk: Desk) -> None:
        """The row is not taken for the picture."""
        desk.put(PICTURE)
        next(desk.spool_dir.glob("items/*/*")).unlink()
        assert desk.call("queue", "show", 1, "--json").json["present"] is False

    def test_a_delivered_one_is_told_from_one_that_never_was(self, desk: Desk) -> None:
        """Whoever asks for an item that is gone learns whether it arrived."""
        desk.put(PICTURE)
        filename = desk.deliver()[0].filename
        assert f"item 1 is not in the queue: {filename} was delivered at" in desk.call("queue", "show", 1).failed()
        assert desk.call("queue", "show", 2).failed().startswith("item 2 is not in the queue.")


class TestExport:
    """`queue export`."""

    def test_picture_and_metadata_are_copied(self, desk: Desk) -> None:
        """For a look at what was refused: byte for byte, readable by its owner alone, the item left as it is."""
        desk.put(PICTURE, b"other")
        item = desk.quarantine()[0]
        document = desk.call("queue", "export", 1, "--to", desk.root / "new/look", "--json").json
        picture, metadata = (Path(document["exported"][0][name]) for name in ("picture", "metadata"))
        assert picture == desk.root / "new/look" / item.filename
        assert picture.read_bytes() == PICTURE
        assert json.loads(metadata.read_text()) == {"source": "cam-1", "annotations": []}
        assert {path.stat().st_mode & 0o777 for path in (picture, metadata)} == {0o600}
        assert desk.accounts()[2:4] == (1, 1)

    @pytest.mark.parametrize("taken", [".jpg", ".json"])
    def test_nothing_is_replaced(self, desk: Desk, taken: str) -> None:
        """A name that is taken, even by a dangling link, is refused, and no half of a pair stays behind."""
        desk.put(PICTURE)
        look = desk.root / "look"
        look.mkdir()
        name = next(desk.spool_dir.glob("items/*/*")).with_suffix(taken).name
        (look / name).symlink_to(desk.root / "elsewhere")
        assert "exists and was left as it is" in desk.call("queue", "export", 1, "--to", look).failed()
        assert [path.name for path in look.iterdir()] == [name]
        assert not (desk.root / "elsewhere").exists()

    def test_a_missing_file_leaves_nothing_behind(self, desk: Desk) -> None:
        """What cannot be read is said, and no empty picture pretends to be it."""
        desk.put(PICTURE)
        next(desk.spool_dir.glob("items/*/*")).unlink()
        assert (
            "the file of item 1 is not there any more"
            in desk.call("queue", "export", 1, "--to", desk.root / "x").failed()
        )
        assert list((desk.root / "x").iterdir()) == []

    def test_those_that_are_there_are_exported(self, desk: Desk) -> None:
        """A wrong id among them is an error, but not at the cost of the others."""
        desk.put(PICTURE)
        said = desk.call("queue", "export", 1, 77, "--to", desk.root / "look")
        assert said.failed() == "not in the queue: 77. See: acusight-agent queue list"
        assert len(list((desk.root / "look").iterdir())) == 2


VERBS = ["list", "show", "retry", "drop", "export", "pause", "resume", "flush"]


@pytest.mark.parametrize("verb", [["queue", verb] for verb in VERBS] + [["queue"], ["receipt"], ["reconcile"]])
def test_every_help_has_an_example(desk: Desk, verb: list[str]) -> None:
    """Whoever asks for help can copy a line."""
    assert f"  acusight-agent {' '.join(verb)}" in desk.call(*verb, "--help").done()


@pytest.mark.parametrize(
    "arguments",
    [
        ["queue", "list"],
        ["queue", "show", "1"],
        ["queue", "retry", "--all"],
        ["queue", "drop", "--all", "--yes"],
        ["queue", "export", "1", "--to", "x"],
        ["queue", "pause"],
        ["queue", "resume"],
        ["queue", "flush"],
        ["receipt", "x"],
        ["reconcile", "."],
    ],
)
def test_without_a_spool_each_says_so(desk: Desk, arguments: list[str]) -> None:
    """A mistyped configuration is noticed, and no empty spool is made of it."""
    assert desk.call(*arguments).failed().startswith(f"there is no queue at {desk.spool_dir} yet.")
    assert not desk.spool_dir.exists()


@pytest.mark.parametrize("number", ["0", "-1", "x", "9223372036854775808", "1e3", "1.0"])
def test_what_is_no_id_is_a_wrong_command_line(desk: Desk, number: str) -> None:
    """It ends with 2 before anything is opened."""
    desk.call("queue", "retry", "--", number).failed(2)


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become another user")
def test_another_user_is_told_whom_to_ask(desk: Desk) -> None:
    """The spool is its user's own; a stranger gets a sentence."""
    desk.put(PICTURE)
    code = (
        "import contextlib, os; from agent.commands import main\n"
        "with contextlib.suppress(SystemExit): main(['queue', 'list'])\n"  # imports all that a stranger may not read
        "os.setuid(65534); main(['queue', 'list'])"
    )
    environment = os.environ | {"ACUSIGHT_AGENT_SPOOL__DIR": str(desk.spool_dir), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, cwd="/"
    )
    assert ended.returncode == 1
    assert ended.stderr == (
        f"acusight-agent: you may not open the spool {desk.spool_dir}. Run this as the agent's user, or as root.\n"
    )
