from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from queue_rig import Desk

from agent.spool.orders import BY_HAND

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """Return a configured spool in a folder of its own."""
    return Desk(tmp_path, capsys)


def on_a_terminal(desk: Desk, answer: bytes, *arguments: str) -> tuple[int, str]:
    """Call a verb on a terminal, and answer what it asks; return its exit code and what it showed."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "agent", "-c", str(desk.config), *arguments], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 20
    while time.monotonic() < deadline:
        if not select.select([ours], [], [], 0.5)[0]:
            continue
        try:
            shown += os.read(ours, 4096)
        except OSError:  # how a terminal says that nobody is left at its other end
            break
        if answer and b"[y/N]" in shown:
            os.write(ours, answer)
            answer = b""
    os.close(ours)
    return child.wait(10), shown.decode()


class TestDrop:
    """`queue drop`."""

    def test_without_a_terminal_it_needs_yes(self, desk: Desk) -> None:
        """A script that forgot it ends with 2, and nothing is lost."""
        desk.put(b"a", b"b")
        assert desk.call("queue", "drop", "--all").failed(2) == (
            "this would drop 2 items for good. Without a terminal, add --yes."
        )
        assert desk.accounts() == (2, 0, 2, 0, {})

    @pytest.mark.parametrize(
        ("answer", "code", "dropped"), [(b"y\n", 0, {BY_HAND: 2}), (b"n\n", 1, {}), (b"\n", 1, {})]
    )
    def test_on_a_terminal_it_asks(self, desk: Desk, answer: bytes, code: int, dropped: dict[str, int]) -> None:
        """Only a clear yes drops anything."""
        desk.put(b"a", b"b")
        ended, shown = on_a_terminal(desk, answer, "queue", "drop", "--all")
        assert "Drop 2 items (2 bytes) for good? [y/N]" in shown
        assert ended == code, shown
        assert "Traceback" not in shown
        assert desk.accounts()[4] == dropped

    def test_each_is_a_drop_with_a_reason(self, desk: Desk) -> None:
        """The law of conservation holds for what was waiting and what was quarantined."""
        desk.put(b"a", b"bb", b"ccc")
        desk.quarantine()
        assert desk.call("queue", "drop", 1, 2, "--yes").done() == "dropped 2 items, 3 bytes\n"
        assert desk.accounts() == (3, 0, 1, 0, {BY_HAND: 2})
        assert len(list(desk.spool_dir.glob("items/*/*"))) == 1

    @pytest.mark.parametrize(
        ("arguments", "left"),
        [
            (["--all"], 0),
            (["--source", "cam-2"], 2),
            (["--all", "--state", "quarantined"], 2),
            (["--source", "cam-1", "--state", "waiting"], 2),
        ],
    )
    def test_many_can_be_meant(self, desk: Desk, arguments: list[str], left: int) -> None:
        """All, those of one source, those of one state."""
        desk.put(b"a", b"bb")
        desk.put(b"ccc", source="cam-2")
        desk.quarantine()
        document = desk.call("queue", "drop", "--yes", "--json", *arguments).json
        assert (document["dropped"], document["files_left"]) == (3 - left, 0)
        assert desk.call("queue", "list", "--json").json["total"] == left

    def test_an_id_that_is_not_there_is_an_error(self, desk: Desk) -> None:
        """The others are dropped all the same; a script learns what was not there."""
        desk.put(b"a")
        said = desk.call("queue", "drop", 1, 9, 8, "--yes", "--json")
        assert (said.json["dropped"], said.json["missing"]) == (1, [8, 9])
        assert said.failed() == "not in the queue: 8, 9. See: acusight-agent queue list"

    @pytest.mark.parametrize("arguments", [[], ["1", "--all"], ["1", "--source", "a"], ["--state", "waiting"]])
    def test_it_must_be_clear_what_is_meant(self, desk: Desk, arguments: list[str]) -> None:
        """Neither nothing nor two things at once: dropping is for good."""
        desk.put(b"a")
        assert desk.call("queue", "drop", "--yes", *arguments).failed(2).startswith("name the items by their ids")
        assert desk.accounts()[2] == 1


class TestRetry:
    """`queue retry`."""

    def test_quarantined_items_wait_again(self, desk: Desk) -> None:
        """The ledger's quarantine goes down as they leave it."""
        desk.put(b"a", b"b", b"c")
        desk.quarantine(count=2)
        desk.defer(3600)
        assert desk.call("queue", "retry", 1).done() == "1 out of quarantine, 0 due now\n"
        assert desk.accounts() == (3, 0, 2, 1, {})
        assert desk.call("queue", "retry", "--all", "--json").json == {
            "schema": 1,
            "requeued": 1,
            "hurried": 1,
            "unfit": 0,
            "missing": [],
        }
        assert desk.accounts() == (3, 0, 3, 0, {})
        desk.deliver(3)

    def test_what_is_no_picture_is_said(self, desk: Desk) -> None:
        """It cannot be sent, so it stays, with what can be done about it."""
        desk.put(b"a")
        desk.quarantine()
        with desk.open() as spool:
            spool._commits.run(lambda connection: connection.execute("UPDATE item SET metadata = ''").rowcount)
        said = desk.call("queue", "retry", "--all")
        assert said.code == 0
        assert said.out == "0 out of quarantine, 0 due now\n"
        assert said.err == "1 are no whole pictures and stay: export or drop them\n"


class TestStanding:
    """`queue pause`, `resume` and `flush`."""

    def test_a_pause_is_seen_by_status_until_it_is_resumed(self, desk: Desk) -> None:
        """Whoever finds an agent that does not send learns that somebody asked for it, and when."""
        desk.put(b"a")
        since = desk.call("queue", "pause", "--json").json["paused_since"]
        assert desk.call("queue", "pause").done().startswith(f"uploads are paused since {since};")
        status = desk.call("status")
        assert f"uploads   paused by hand since {since}" in status.out
        assert desk.call("status", "--json").json["paused_since"] == since
        assert desk.call("queue", "resume").done() == "uploads go on\n"
        assert desk.call("queue", "resume").done() == "uploads were not paused\n"
        assert desk.call("queue", "resume", "--json").json["resumed"] is False
        assert "paused" not in desk.call("status").out

    def test_a_flush_makes_deferred_items_due(self, desk: Desk) -> None:
        """It says how many waited, and that a pause by hand is another matter."""
        desk.put(b"a", b"b")
        desk.defer(3600)
        assert desk.call("queue", "flush", "--json").json["hurried"] == 1
        assert {one["due_in_s"] for one in desk.call("queue", "list", "--json").json["items"]} == {0}
        desk.call("queue", "pause")
        said = desk.call("queue", "flush")
        assert said.out == "all waits are over; 0 items were waiting for a later attempt\n"
        assert said.err.startswith("uploads are paused by hand since")


def test_an_agent_that_starts_meanwhile_is_not_in_the_way(desk: Desk) -> None:
    """The owner's lock is never asked for: every order is carried out beside it."""
    desk.put(b"a", b"b", b"c")
    desk.quarantine()
    with desk.open() as owner:
        desk.call("queue", "retry", "--all").done()
        desk.call("queue", "drop", 2, "--yes").done()
        desk.call("queue", "flush").done()
        desk.call("queue", "pause").done()
        assert [owner.outbox.claim() is not None for _ in range(3)] == [True, True, False]
