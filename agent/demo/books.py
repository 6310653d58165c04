"""What the agent's spool says of its pictures, read beside the agent at work."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from agent.demo.comparison import Proof
from agent.errors import SpoolUnavailable
from agent.spool import ledger
from agent.spool.reader import Reader
from agent.spool.schema import INDEX

if TYPE_CHECKING:
    from pathlib import Path

    from agent.spool.ledger import Account

RECEIPTS = "SELECT source, filename, sha256 FROM receipt ORDER BY item_id"


class Books:
    """The accounts and the receipts of one spool."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool

    def accounts(self) -> dict[str, Account]:
        """Return every source's account; none while the agent is still making the spool."""
        if not (self._spool / INDEX).exists():
            return {}
        try:
            with closing(Reader(self._spool)) as reader:
                return ledger.accounts(reader.all(ledger.TALLY))
        except SpoolUnavailable:
            return {}

    def account(self, source: str) -> Account:
        """Return one source's account."""
        return self.accounts().get(source, ledger.Account())

    def proofs(self) -> list[Proof]:
        """Return all receipts, oldest first."""
        with closing(Reader(self._spool)) as reader:
            return [Proof(row["source"], row["filename"], row["sha256"]) for row in reader.all(RECEIPTS)]
