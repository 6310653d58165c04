"""Drafts to put, ways to die, and the oracle that says whether a spool kept its word."""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import sqlite3
import sys
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict, Unpack

from agent.errors import BadPicture
from agent.frame import PRIORITY, Origin, Receipt
from agent.media import JPEG
from agent.spool.budget import Limits
from agent.spool.ledger import TALLY, accounts
from agent.spool.reconcile import Found
from agent.spool.records import Draft, Mark, Opened, OpenedSidecar
from agent.spool.schema import INDEX
from agent.spool.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from agent.clock import Clock
    from agent.frame import Item, Position
    from agent.spool.budget import Policy
    from agent.spool.records import Staged

SEEN = datetime(2026, 3, 14, 8, 15, 2, 417000, tzinfo=UTC)
ROOMY = Limits(max_bytes=10_000_000, min_free_bytes=0)


class MovedClock(Protocol):
    """The suite's clock, moved by hand."""

    def wall(self) -> datetime:
        """Return the wall time."""
        ...

    def boot(self) -> float:
        """Return the uptime."""
        ...

    def trusted(self) -> bool:
        """Tell whether the wall time is right."""
        ...

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        ...


class StillClock:
    """A clock for where no test moves it."""

    uptime = 1000.0

    def wall(self) -> datetime:
        """Return one moment."""
        return SEEN

    def boot(self) -> float:
        """Return one uptime, unless it was set."""
        return self.uptime

    def trusted(self) -> bool:
        """Tell whether the wall time is right."""
        return True


def sha(data: bytes) -> str:
    """Name bytes as the spool does."""
    return hashlib.sha256(data).hexdigest()


def own(
    directory: Path,
    *,
    clock: Clock | None = None,
    limits: Limits = ROOMY,
    order: str = "oldest",
    policies: Mapping[str, Policy] | None = None,
) -> Spool:
    """Open a spool as the daemon does."""
    return Spool(
        directory,
        limits,
        order=order,
        clock=clock or StillClock(),
        owner=True,
        note=f'{{"pid": {os.getpid()}}}',
        policies=policies,
    )


class How(TypedDict, total=False):
    """How a watched file is adopted."""

    after: str
    move_to: Path
    sidecar: Path
    hidden: Path
    copy: bool


def draft(
    data: bytes,
    *,
    source: str = "cam-1",
    position: Position | None = None,
    at: datetime = SEEN,
    priority: int = PRIORITY,
) -> Draft:
    """Make a draft of a camera's picture."""
    metadata = f'{{"source": "{source}"}}'
    return Draft(source, at, JPEG, len(data), sha(data), metadata, data, position=position, priority=priority)


@contextmanager
def adopted(path: Path, **how: Unpack[How]) -> Iterator[Draft]:
    """Make a draft of a watched file, open for as long as the block runs."""
    data = path.read_bytes()
    after, sidecar = how.get("after", "keep"), how.get("sidecar")
    origin = origin_of(path, after=after, move_to=how.get("move_to"), sidecar=sidecar)
    with ExitStack() as files:
        descriptor = files.enter_context(path.open("rb")).fileno()
        beside = files.enter_context(sidecar.open("rb")).fileno() if sidecar else -1
        yield draft(data, source="door")._replace(
            body=Opened(descriptor, how.get("hidden"), copy=how.get("copy", False)),
            sidecar=OpenedSidecar(beside, sidecar.suffix) if sidecar else None,
            origin=origin,
            mark=Mark(path.name, origin.inode, origin.size, origin.mtime_ns, sha(data)),
        )


def origin_of(path: Path, *, after: str = "delete", move_to: Path | None = None, sidecar: Path | None = None) -> Origin:
    """Describe a watched file by its marks."""
    status = path.stat()
    beside = origin_of(sidecar, after=after, move_to=move_to) if sidecar else None
    return Origin(str(path), status.st_ino, status.st_size, status.st_mtime_ns, after, move_to, beside)


def put(spool: Spool, *drafts: Draft) -> list[Staged]:
    """Stage and commit drafts together."""
    staged = [spool.inbox.stage(one) for one in drafts]
    spool.inbox.commit(staged)
    return staged


def put_file(spool: Spool, path: Path, **how: Unpack[How]) -> Staged:
    """Adopt one watched file."""
    with adopted(path, **how) as one:
        return put(spool, one)[0]


def claim(spool: Spool) -> Item:
    """Claim an item that must be there."""
    item = spool.outbox.claim()
    assert item is not None
    return item


def deliver_all(spool: Spool) -> int:
    """Deliver what is due."""
    delivered = 0
    while (item := spool.outbox.claim()) is not None:
        spool.outbox.deliver(item, Receipt(item.id, "delivered"))
        delivered += 1
    return delivered


def examine(picture: Path, sidecar: Path | None, *, source: str, captured_at: datetime) -> Found:
    """Stand in for the picture inspection: everything is whole but what begins with `broken`."""
    data = picture.read_bytes()
    if data.startswith(b"broken"):
        raise BadPicture(f"{picture.name} is no whole picture")
    beside = sidecar.read_text() if sidecar else None
    return Found(JPEG, len(data), sha(data), repr((source, captured_at, beside)))


def rows(directory: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask an index directly, without the code under test."""
    with closing(sqlite3.connect(directory / INDEX, timeout=5.0)) as connection:
        found = connection.execute(statement, values).fetchall()
        connection.commit()
        return found


def kill(spool: Spool, reopen: Callable[[], Spool]) -> Spool:
    """Reopen a spool as after `kill -9`: the locks fall, nothing is closed, flushed or tidied before."""
    for descriptor in Path("/proc/self/fd").iterdir():
        if descriptor.resolve() == (spool.directory / "lock").resolve():
            fcntl.flock(int(descriptor.name), fcntl.LOCK_UN)
    again = reopen()
    spool.close()
    return again


@dataclass
class Promises:
    """What a run said it had done: filenames that were acknowledged, and originals that may go."""

    acknowledged: list[str] = field(default_factory=list)
    originals: dict[Path, str] = field(default_factory=dict)


def check(directory: Path, promises: Promises | None = None) -> None:
    """Hold a spool against its invariants I1, I2, I3 and against what it promised; closed or in use."""
    items = rows(directory, "SELECT filename, path, size, sha256, state, source FROM item")
    for filename, path, size, digest, _, _ in items:
        data = (directory / os.fsdecode(path)).read_bytes()
        assert (len(data), sha(data)) == (size, digest), f"{filename} does not hold its bytes"
    _check_ledger(directory, items)
    if promises is not None:
        _check_promises(directory, promises, [item[0] for item in items])


def _check_ledger(directory: Path, items: list[tuple[Any, ...]]) -> None:
    with closing(sqlite3.connect(directory / INDEX)) as connection:
        connection.row_factory = sqlite3.Row
        books = accounts(connection.execute(TALLY).fetchall())
    receipts = rows(directory, "SELECT source FROM receipt")
    for source in {item[5] for item in items} | {source for (source,) in receipts} | set(books):
        mine = [item for item in items if item[5] == source]
        states = [state for *_, state, _ in mine]
        book = books[source]
        assert book.waiting == states.count("waiting"), f"{source}: the ledger miscounts what waits"
        assert book.quarantined == states.count("quarantined"), f"{source}: the ledger miscounts the quarantine"
        assert book.delivered == receipts.count((source,)), f"{source}: the ledger miscounts what was delivered"
        assert book.held_bytes == sum(size for _, _, size, *_ in mine), f"{source}: the ledger miscounts bytes"


def _check_promises(directory: Path, promises: Promises, waiting: list[str]) -> None:
    receipts = dict(rows(directory, "SELECT filename, sha256 FROM receipt"))
    dropped = sum(count for (count,) in rows(directory, "SELECT items FROM tally WHERE what = 'dropped'"))
    missing = [name for name in promises.acknowledged if name not in receipts and name not in waiting]
    assert len(missing) <= dropped, f"promised and lost: {missing}"
    assert not set(receipts) & set(waiting), "an item waits and is delivered at once"
    for original, digest in promises.originals.items():
        if not original.exists():
            assert digest in receipts.values(), f"{original.name} went before its receipt"


def die_at(event: int, work: Callable[[], object]) -> bool:
    """Run `work` in a child that is killed at its nth touch of the file system; tell whether it came that far."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _kill_myself_at(event)
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the child failed by itself"
    return os.WIFSIGNALED(status)


def _kill_myself_at(event: int) -> None:
    left = event

    def count(name: str, _: object) -> None:
        nonlocal left
        if name in {"open", "os.remove", "os.rename", "os.link", "os.mkdir"}:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
