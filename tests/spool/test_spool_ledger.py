from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from agent.spool import ledger
from agent.spool.ledger import Account
from agent.spool.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

ENTRIES = st.tuples(
    st.sampled_from(["door", "cam"]),
    st.sampled_from(["delivered", "duplicate", "dropped", "quarantined", "waiting", "skipped"]),
    st.integers(min_value=1, max_value=10**9),
)


def books() -> AbstractContextManager[sqlite3.Connection]:
    """Return an empty index in memory."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    connection.executescript(TABLES)
    return closing(connection)


def fates(entries: list[tuple[str, str, int]], fate: str) -> Iterator[int]:
    """Yield the sizes of those that met one fate."""
    return (size for source, what, size in entries if source == "door" and what == fate)


@given(st.lists(ENTRIES, max_size=30))
def test_i2_the_books_balance_for_any_history(entries: list[tuple[str, str, int]]) -> None:
    """Per source, captured is what was delivered, waits, is quarantined or was dropped, in items and in bytes.

    What was skipped, and what a rule chose, is told beside it, and changes nothing of that.
    """
    with books() as connection:
        for source, fate, size in entries:
            ledger.count(connection, source, ledger.CHOSEN, size, reason="people")
            if fate == "skipped":
                ledger.count(connection, source, ledger.SKIPPED, size, reason="blur")
                continue
            ledger.count(connection, source, ledger.CAPTURED, size)
            if fate == "duplicate":
                ledger.count(connection, source, ledger.DELIVERED, size, reason=ledger.DUPLICATE)
            elif fate != "waiting":
                ledger.count(connection, source, fate, size, reason="too old" if fate == "dropped" else "")
        account = ledger.accounts(connection.execute(ledger.TALLY)).get("door", Account())
        held, items = ledger.held(connection)
        waiting = {row["source"]: (row["items"], row["bytes"]) for row in connection.execute(ledger.WAITING)}
    assert account.captured == sum(source == "door" and fate != "skipped" for source, fate, _ in entries)
    assert account.skipped.get("blur", 0) == len(list(fates(entries, "skipped")))
    assert account.chosen.get("people", 0) == sum(source == "door" for source, *_ in entries)
    assert account.waiting == len(list(fates(entries, "waiting")))
    assert account.quarantined == len(list(fates(entries, "quarantined")))
    assert account.duplicates == len(list(fates(entries, "duplicate")))
    assert account.delivered == len(list(fates(entries, "delivered"))) + account.duplicates
    assert account.dropped.get("too old", 0) == len(list(fates(entries, "dropped")))
    assert account.held_bytes == sum(fates(entries, "waiting")) + sum(fates(entries, "quarantined"))
    kept = [size for _, fate, size in entries if fate in {"waiting", "quarantined"}]
    assert (held, items) == (sum(kept), len(kept))
    assert waiting.get("door", (0, 0)) == (account.waiting, sum(fates(entries, "waiting")))


def test_each_reason_for_a_drop_has_a_column() -> None:
    """What was dropped is told apart by its reason."""
    with books() as connection:
        for reason in ("changed", "missing", "changed"):
            ledger.count(connection, "door", ledger.CAPTURED, 5)
            ledger.count(connection, "door", ledger.DROPPED, 5, reason=reason)
        account = ledger.accounts(connection.execute(ledger.TALLY))["door"]
    assert account.dropped == {"changed": 2, "missing": 1}
    assert account.waiting == 0


def test_an_empty_spool_holds_nothing() -> None:
    """Without entries there are no accounts and no bytes."""
    with books() as connection:
        assert ledger.held(connection) == (0, 0)
        assert ledger.accounts(connection.execute(ledger.TALLY)) == {}
