"""The audit at the end of the torture: what was owed, what arrived, and whether it is what was sent."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from house_rig import sha256
from torture_feed import is_genuine

if TYPE_CHECKING:
    from house_rig import House
    from torture_feed import Feed


@dataclass(slots=True)
class Audit:
    """Figures for the table; `lost` and `damaged` name what is wrong."""

    captured: int = 0
    delivered: int = 0
    duplicates: int = 0
    quarantined: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    owed: int = 0
    lost: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def audit(house: House, feed: Feed) -> Audit:
    """Hold everything against everything: files, rows, ledger, platform."""
    found = Audit(owed=len(feed.last))
    _read_ledger(house, found)
    receipts = house.rows("SELECT filename, sha256, source FROM receipt")
    sent = {row["sha256"] for row in receipts}
    found.lost += [f"{path.name} has no receipt" for path, digest in feed.last.items() if digest not in sent]
    stored = {path.stem: path.read_bytes() for path in (house.sandbox.folder / "images").iterdir()}
    found.lost += [
        f"{row['filename']} has a receipt, and is not there" for row in receipts if row["sha256"] not in stored
    ]
    for digest, data in stored.items():
        if sha256(data) != digest or not is_genuine(data):
            found.damaged.append(f"{digest} is no picture of ours")
    files = {row["sha256"] for row in receipts if row["source"] != "live"}
    found.damaged += [f"{digest} was never written" for digest in files - feed.ever]
    lines = (house.sandbox.folder / "uploads.jsonl").read_text(encoding="utf-8").splitlines()
    times = Counter(json.loads(line)["sha256"] for line in lines)
    found.damaged += [f"{digest} is there {number} times" for digest, number in times.items() if number > 1]
    return found


def _read_ledger(house: House, found: Audit) -> None:
    counted: Counter[str] = Counter()
    for row in house.rows("SELECT * FROM tally"):
        counted[row["what"]] += row["items"]
        if row["what"] == "dropped":
            found.dropped[row["reason"]] += row["items"]
    states = Counter(row["state"] for row in house.rows("SELECT state FROM item"))
    results = Counter(row["result"] for row in house.rows("SELECT result FROM receipt"))
    found.captured, found.delivered = counted["captured"], counted["delivered"]
    found.duplicates, found.quarantined = results["duplicate"], states["quarantined"]
    if counted["captured"] != counted["delivered"] + states.total() + counted["dropped"]:
        found.lost.append(f"the ledger does not add up: {dict(counted)}, {dict(states)}")
    if counted["skipped"]:
        found.lost.append(f"{counted['skipped']} were skipped, though nothing is to be chosen")
    if counted["delivered"] != results.total() or counted["quarantined"] != states["quarantined"]:
        found.lost.append(f"rows and ledger differ: {dict(counted)}, {dict(states)}, {dict(results)}")
    if states["waiting"]:
        found.lost.append(f"{states['waiting']} still wait")
