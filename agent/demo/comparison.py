"""What was sent held against what arrived. Pure: lists in, faults out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from agent.frame import Annotation
    from agent.spool.ledger import Account

TOLERANCE = 1e-5

LOST = "did not arrive"
TWICE = "arrived more than once"
BOXES = "arrived with other boxes"
FORGED = "does not hold the bytes that it was taken for"
STRANGE = "arrived, but was not sent"
UNPROVEN = "has a receipt, but is not there under that name with those bytes"
STUCK = "did not get through the agent"


@dataclass(frozen=True, slots=True)
class Sent:
    """One picture as it was captured; `boxes` is None where nothing was known of it."""

    name: str
    sha256: str
    boxes: Sequence[Annotation] | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """What the agent holds to have arrived: a receipt."""

    source: str
    filename: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """One entry of the platform's list; `stored_sha256` is that of the bytes it gives out, `sha256` what it says."""

    filename: str
    sha256: str
    stored_sha256: str
    annotations: Sequence[Mapping[str, Any]] | None


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it should be, by what it concerns and one of the sentences above."""

    name: str
    what: str

    def __str__(self) -> str:
        return f"{self.name} {self.what}"


def compare(
    sent: Sequence[Sent], proofs: Iterable[Proof], arrived: Sequence[Arrived], accounts: Mapping[str, Account]
) -> list[Fault]:
    """Return everything that is wrong, nothing where every picture arrived byte for byte, once, with its boxes."""
    kept: dict[str, list[Arrived]] = {}
    for one in arrived:
        kept.setdefault(one.stored_sha256, []).append(one)
    named = {(one.filename, one.stored_sha256) for one in arrived}
    return [
        *(fault for one in sent for fault in _of(one, kept.get(one.sha256, []))),
        *(Fault(proof.filename, UNPROVEN) for proof in proofs if (proof.filename, proof.sha256) not in named),
        *_foreign(sent, arrived),
        *(Fault(name, STUCK) for name, account in accounts.items() if account.captured != account.delivered),
    ]


def _of(sent: Sent, found: Sequence[Arrived]) -> Iterator[Fault]:
    if not found:
        yield Fault(sent.name, LOST)
    if len(found) > 1:
        yield Fault(sent.name, TWICE)
    if not all(_alike(sent.boxes, one.annotations) for one in found):
        yield Fault(sent.name, BOXES)


def _foreign(sent: Sequence[Sent], arrived: Sequence[Arrived]) -> Iterator[Fault]:
    known = Counter(one.sha256 for one in sent)
    for one in arrived:
        if one.stored_sha256 != one.sha256:
            yield Fault(one.filename, FORGED)
        if one.stored_sha256 not in known:
            yield Fault(one.filename, STRANGE)


def _alike(boxes: Sequence[Annotation] | None, annotations: Sequence[Mapping[str, Any]] | None) -> bool:
    if boxes is None or annotations is None:
        return boxes is None and annotations is None
    return len(boxes) == len(annotations) and all(map(_same, boxes, annotations))


def _same(box: Annotation, annotation: Mapping[str, Any]) -> bool:
    geometry = annotation["geometry"]
    return (
        annotation["class_value"] == box.class_value
        and annotation["type"] == "bbox"
        and len(geometry) == len(box.geometry)
        and all(abs(one - other) <= TOLERANCE for one, other in zip(box.geometry, geometry, strict=True))
    )
