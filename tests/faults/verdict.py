"""The verdict on a spool that was cut off: every promise by itself, then the books, then what is left over."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from house_rig import until
from spool_driver import LIMITS, MOVED, WATCHED
from spool_rig import check, deliver_all, examine, own, rows, sha

from agent.spool.ownership import is_owned
from agent.workers import Stop

if TYPE_CHECKING:
    import socket
    from pathlib import Path

PATIENCE_S = 30.0


@dataclass(slots=True)
class Told:
    """What a driver said: its promises, and what may have taken an item out of the queue."""

    staged: dict[str, int] = field(default_factory=dict)  # filename: inode of a link
    put: dict[str, tuple[str, int]] = field(default_factory=dict)  # filename: digest, and inode of a link
    delivered: set[str] = field(default_factory=set)
    excused: set[str] = field(default_factory=set)
    shrunk: dict[str, str] = field(default_factory=dict)
    ready: bool = False

    def note(self, line: str) -> None:
        """Take down one line."""
        verb, *words = line.split()
        match verb:
            case "staged":
                self.staged[words[0]] = int(words[1])
            case "put":
                self.put[words[0]] = (words[1], int(words[2]))
            case "delivered":
                self.delivered.add(words[0])
            case "setting-aside" | "dropping":
                self.excused.add(words[0])
            case "shrinking":
                self.shrunk[words[0]] = words[1]
            case "ready":
                self.ready = True


class Listener:
    """Hears a driver line by line, until it is dead or told to stop listening."""

    def __init__(self, line: socket.socket) -> None:
        self.told = Told()
        self.lines = 0
        self._line = line
        self._rest = b""
        line.settimeout(PATIENCE_S)

    def hear(self, lines: int | None = None) -> Told:
        """Listen until so many lines came, or the driver has ended; a line that was broken off says nothing."""
        while (lines is None or self.lines < lines) and (data := self._line.recv(65_536)):
            *whole, self._rest = (self._rest + data).split(b"\n")
            for line in whole:
                self.told.note(line.decode())
                self.lines += 1
        return self.told


def originals(root: Path) -> dict[Path, str]:
    """Remember all watched pictures by their digests."""
    return {path: sha(path.read_bytes()) for path in (root / WATCHED).glob("*.jpg")}


def judge(root: Path, told: Told, before: dict[Path, str]) -> None:
    """Open what a cut-off run left, tidy up as a daemon does at its start, and hold it against every promise.

    Twice: the file of an exchange that was cut off is told from one under way only once its item has gone.
    """
    for _ in range(2):
        # The dead let go of their locks a little after their sockets, and what is forked meanwhile holds ours.
        until(lambda: not is_owned(root / "spool"))
        with closing(own(root / "spool", limits=LIMITS)) as spool:
            assert not spool.salvaged, "the index was damaged"
            _hold(root, told, before)
            spool.reconciler(examine).run(spool.directory / "items", Stop())
            spool.outbox.sweep()
            _hold(root, told, before)
            deliver_all(spool)
            spool.outbox.sweep()
            _hold(root, told, before)
    _check_leftovers(root)


def _hold(root: Path, told: Told, before: dict[Path, str]) -> None:
    directory = root / "spool"
    check(directory)
    items = dict(rows(directory, "SELECT filename, sha256 FROM item"))
    receipts = dict(rows(directory, "SELECT filename, sha256 FROM receipt"))
    assert not items.keys() & receipts.keys(), "an item waits and is delivered at once"
    gone = told.put.keys() - items.keys() - receipts.keys()
    assert gone <= told.excused, f"promised and lost: {sorted(gone - told.excused)}"
    for name in told.put.keys() - gone:
        digest = receipts.get(name) or items[name]
        assert digest in {told.put[name][0], told.shrunk.get(name)}, f"{name} has other bytes"
    assert told.delivered <= receipts.keys(), f"receipts lost: {sorted(told.delivered - receipts.keys())}"
    dropped = sum(number for (number,) in rows(directory, "SELECT items FROM tally WHERE what = 'dropped'"))
    assert dropped == len(gone), f"the ledger says {dropped} dropped, {len(gone)} are gone"
    # A shrunk picture has its receipt for other bytes than its original's.
    sent = set(receipts.values()) | {told.put[name][0] for name in told.put.keys() & receipts.keys()}
    _check_originals(root, before, sent)


def _check_originals(root: Path, before: dict[Path, str], sent: set[str]) -> None:
    for path, digest in before.items():
        if path.exists():
            assert sha(path.read_bytes()) == digest, f"{path.name} was changed"
        else:
            assert digest in sent, f"{path.name} went before its receipt"
        moved = root / MOVED / path.name
        if moved.exists():
            assert sha(moved.read_bytes()) == digest, f"{path.name} was changed as it was moved"
            assert digest in sent, f"{path.name} was moved before its receipt"


def _check_leftovers(root: Path) -> None:
    """Nothing lies about that no row names."""
    directory = root / "spool"
    named = {path for row in rows(directory, "SELECT path, beside FROM item") for path in row if path}
    found = {str(path.relative_to(directory)).encode() for path in (directory / "items").rglob("*") if path.is_file()}
    assert found == named, f"left over: {sorted(found ^ named)}"
    assert not list((directory / "tmp").iterdir()), "left over in tmp"
    assert not list((root / "watched").glob(".acusight-agent-*")), "an original was left aside"
