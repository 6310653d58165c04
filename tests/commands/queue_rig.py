"""A configured spool that commands are called on, in this process as a shell would call them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from house_rig import toml

from agent.clock import SystemClock
from agent.commands import main
from agent.frame import Origin, Receipt
from agent.media import JPEG
from agent.spool.budget import Limits
from agent.spool.records import Draft, Mark, Opened
from agent.spool.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path

    from agent.frame import Item

SEEN = datetime(2026, 3, 14, 8, 15, 2, 417000, tzinfo=UTC)


@dataclass(frozen=True)
class Said:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 (JSON's own values)
        """Return the document that it printed."""
        document = json.loads(self.out)
        assert document["schema"] == 1
        return document

    def failed(self, code: int = 1) -> str:
        """Return the one sentence on standard error of a command that failed as it should."""
        assert self.code == code, self
        assert "Traceback" not in self.err
        lines = self.err.splitlines()
        assert lines[-1].startswith("acusight-agent: "), self
        return lines[-1].removeprefix("acusight-agent: ")

    def done(self) -> str:
        """Return what a command printed that went well."""
        assert (self.code, self.err) == (0, ""), self
        return self.out


class Desk:
    """A configuration with a watched folder, and its spool."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self.watched = root / "captures"
        self.watched.mkdir()
        self.spool_dir = root / "spool"
        self.config = root / "config.toml"
        self._capsys = capsys
        tables = {
            "server": {"url": "http://127.0.0.1:9"},
            "spool": {"dir": str(self.spool_dir), "min_free_bytes": 0},
            "watch": [{"path": str(self.watched)}],
        }
        self.config.write_text(toml(tables), encoding="utf-8")

    def call(self, *arguments: object) -> Said:
        """Call a verb."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["-c", str(self.config), *map(str, arguments)])
        said = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Said(ended.value.code, said.out, said.err)

    def open(self) -> Spool:
        """Open the spool as the daemon does."""
        return Spool(self.spool_dir, Limits(10**9, 0), clock=SystemClock(), owner=True)

    def put(self, *data: bytes, source: str = "cam-1") -> None:
        """Put pictures in."""
        with self.open() as spool:
            spool.inbox.commit([spool.inbox.stage(draft(one, source)) for one in data])

    def quarantine(self, reason: str = "refused", *, count: int = 1) -> list[Item]:
        """Set the oldest aside."""
        with self.open() as spool:
            items = [claim(spool) for _ in range(count)]
            for item in items:
                spool.outbox.quarantine(item, reason)
        return items

    def defer(self, seconds: float) -> None:
        """Have the oldest item wait."""
        with self.open() as spool:
            spool.outbox.defer(claim(spool), SystemClock().boot() + seconds)

    def deliver(self, count: int = 1, result: str = "delivered") -> list[Item]:
        """Deliver the oldest items."""
        with self.open() as spool:
            items = [claim(spool) for _ in range(count)]
            for item in items:
                spool.outbox.deliver(item, Receipt(item.id, result, f"img-{item.id}", "batch-1", "s3://key"))
        return items

    def take(
        self,
        path: Path,
        *,
        sent: bytes | None = None,
        captured_at: datetime | None = None,
        spelled: Path | None = None,
    ) -> None:
        """Capture a watched file as the daemon does; `sent` are the bytes that were made of it, where it was.

        `spelled` is its path where the configuration leads to it in another way.
        """
        data, status = path.read_bytes(), path.stat()
        name = str(path.relative_to(self.watched))
        moment = captured_at or datetime.fromtimestamp(status.st_mtime, UTC)
        with path.open("rb") as file, self.open() as spool:
            body = sent if sent is not None else Opened(file.fileno())
            kept = data if sent is None else sent
            one = Draft(
                "captures",
                moment,
                JPEG,
                len(kept),
                sha(kept),
                "{}",
                body,
                origin=Origin(str(spelled or path), status.st_ino, status.st_size, status.st_mtime_ns),
                mark=Mark(name, status.st_ino, status.st_size, status.st_mtime_ns, sha(data)),
            )
            spool.inbox.commit([spool.inbox.stage(one)])

    def accounts(self, source: str = "cam-1") -> tuple[int, int, int, int, dict[str, int]]:
        """Return what a source's ledger says: captured, delivered, waiting, quarantined, dropped."""
        with self.open() as spool:
            one = spool.accounts()[source]
            return one.captured, one.delivered, one.waiting, one.quarantined, one.dropped


def sha(data: bytes) -> str:
    """Name bytes as the spool does."""
    return hashlib.sha256(data).hexdigest()


def draft(data: bytes, source: str) -> Draft:
    """Make a draft of a camera's picture."""
    return Draft(source, SEEN, JPEG, len(data), sha(data), json.dumps({"source": source, "annotations": []}), data)


def claim(spool: Spool) -> Item:
    """Claim an item that must be there."""
    item = spool.outbox.claim()
    assert item is not None
    return item
