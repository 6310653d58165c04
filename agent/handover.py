"""Files put into the spool by hand, and what became of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agent.annotations.pairing import is_sidecar
from agent.errors import AgentError, Reject, SetAside
from agent.sources.drafting import WatchPlan
from agent.sources.opening import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from agent.app.house import House
    from agent.sources.drafting import Drafter
    from agent.spool.reader import Reader
    from agent.spool.records import Staged
    from agent.spool.spool import Spool

WAITING = "waiting"
QUARANTINED = "quarantined"
DROPPED = "dropped"
REJECTED = "rejected"
BATCH = 32


@dataclass(frozen=True, slots=True)
class Handed:
    """One file and its fate: `waiting`, `delivered`, `duplicate`, `quarantined`, `dropped` or `rejected`."""

    path: str
    fate: str
    item_id: int | None = None
    filename: str | None = None
    reason: str | None = None

    @property
    def settled(self) -> bool:
        """Tell whether nothing more will happen to it by itself."""
        return self.fate != WAITING


def hand_over(house: House, spool: Spool, files: Sequence[Path], source: str) -> list[Handed]:
    """Put files and the sidecars beside them into the spool; they are durable when this returns.

    A sidecar among the files is not a picture of its own and is passed over. Raises `Wait` where the spool has no
    room, after what came before was committed.
    """
    handed: list[Handed] = []
    staged: list[tuple[int, Staged]] = []
    darkroom = house.darkroom()
    drafters: dict[Path, Drafter] = {}
    try:
        for path in files:
            if is_sidecar(path.name):
                continue
            drafter = drafters.get(path.parent)
            if drafter is None:
                drafter = drafters[path.parent] = house.drafter(_plan(house, path, source), darkroom)
            try:
                with open_regular(path) as (descriptor, status), drafter.sidecars.open(path.name) as sidecar:
                    picture = drafter.look(descriptor)
                    draft = drafter.draft(path.name, descriptor, status, picture, sidecar, copy=False)
                    one = spool.inbox.stage(draft._replace(mark=None))
            except Reject as error:
                handed.append(Handed(str(path), REJECTED, reason=str(error)))
                continue
            staged.append((len(handed), one))
            handed.append(Handed(str(path), WAITING, one.id, one.filename))
            if len(staged) == BATCH:
                _commit(spool, staged)
    finally:
        darkroom.close()
        _commit(spool, staged)
    return handed


def _commit(spool: Spool, staged: list[tuple[int, Staged]]) -> None:
    spool.inbox.commit([one for _, one in staged])
    staged.clear()


def _plan(house: House, path: Path, source: str) -> WatchPlan:
    """Take what is said of annotations, crop and masks from the watched directory that a file lies in, if it does."""
    plan = WatchPlan(name=source, root=path.parent.absolute(), patterns=("*",))
    for watched in house.watch_plans():
        if path.resolve().is_relative_to(watched.root.resolve()):
            plan = replace(plan, annotations=watched.annotations, crop=watched.crop, masks=watched.masks)
    return plan


def look_again(reader: Reader, handed: Sequence[Handed]) -> Iterator[Handed]:
    """Yield each file with its present fate."""
    for one in handed:
        yield one if one.settled or one.item_id is None else _fate(reader, one, one.item_id)


def _fate(reader: Reader, one: Handed, item_id: int) -> Handed:
    receipt = reader.one("SELECT result FROM receipt WHERE item_id = ?", item_id)
    if receipt is not None:
        return replace(one, fate=str(receipt["result"]))
    item = reader.one("SELECT state, reason FROM item WHERE id = ?", item_id)
    if item is None:
        return replace(one, fate=DROPPED, reason="see the agent's log")
    return replace(one, fate=str(item["state"]), reason=item["reason"])


def failed(handed: Sequence[Handed]) -> AgentError | None:
    """Return the error to end with where a file was nothing to send, or was refused."""
    for fate, error, what in ((REJECTED, AgentError, "was not queued"), (QUARANTINED, SetAside, "was set aside")):
        found = [one for one in handed if one.fate == fate]
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            return error(f"{found[0].path} {what}{more}: {found[0].reason}")
    return None
