"""What would happen to a picture, and why: one step after the other, as the intake takes them, without taking it."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.annotations.pairing import is_sidecar
from agent.errors import Reject, Wait
from agent.fate import DELIVERED, MEANINGS, SKIPPED, UNKNOWN, see, trace_files
from agent.pictures.inspect import NotWhole
from agent.selection.choice import Choice, Past
from agent.selection.facts import Facts
from agent.selection.reasons import weigh
from agent.sources.labelling import COUNTS
from agent.sources.listing import IGNORED_SUFFIXES, Listing, sighting
from agent.sources.opening import open_regular
from agent.spool.choices import past_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from agent.fate import Trace
    from agent.pictures.inspect import Picture
    from agent.selection.facts import Look
    from agent.sources.drafting import Drafter, Prospect, WatchPlan
    from agent.sources.sidecars import SidecarFile
    from agent.spool.reader import Reader


@dataclass(frozen=True, slots=True)
class Step:
    """One question and its answer; `stops` where the picture goes no further for it."""

    topic: str
    answer: str
    stops: bool = False


def source_of(path: Path, plans: Sequence[WatchPlan]) -> tuple[WatchPlan | None, str, Step]:
    """Return the watched folder that takes a file, its name there, and why it does; None where none does."""
    reasons = []
    for plan in plans:
        root = Path(os.path.realpath(plan.root))
        if path.is_relative_to(root):
            name = str(path.relative_to(root))
            if Listing(root, plan.patterns, recursive=plan.recursive).wants(name):
                return (
                    plan,
                    name,
                    Step("source", f"{plan.name}, which watches {plan.root} for {_listed(plan.patterns)}"),
                )
            reasons.append(f"{plan.name} passes it over: {_why_unwanted(name, plan)}")
    answer = "; ".join(reasons) or "no [[watch]] has it in its folder; `acusight-agent upload` takes any picture"
    return None, "", Step("source", answer, stops=True)


def _why_unwanted(name: str, plan: WatchPlan) -> str:
    parts = name.split("/")
    if any(part.startswith(".") for part in parts):
        return "it is hidden"
    if len(parts) > 1 and not plan.recursive:
        return "it lies in a folder below, and recursive is false"
    if name.lower().endswith(IGNORED_SUFFIXES):
        return "its ending says that it is not finished"
    if is_sidecar(name.lower()):
        return "its ending is that of a sidecar"
    return f"its name fits none of {_listed(plan.patterns)}"


def _listed(patterns: Sequence[str]) -> str:
    return ", ".join(patterns)


def known(reader: Reader | None, path: Path) -> Step:
    """Tell whether the picture was captured before, and what became of it."""
    if reader is None:
        return Step("known", "no; there is no spool yet")
    _, trace = next(trace_files(reader, [see(reader, path, sighting(path.lstat()))]))
    return Step("known", _fate(trace), stops=trace.fate != UNKNOWN)


def _fate(trace: Trace) -> str:
    if trace.fate == DELIVERED and trace.receipt is not None:
        receipt = trace.receipt
        image = f", image {receipt['image_id']}" if receipt["image_id"] else ""
        return f"sent already: {receipt['result']} at {receipt['delivered_at']} as {receipt['filename']}{image}"
    if trace.item is not None:
        reason = f" ({trace.item['reason']})" if trace.item["reason"] else ""
        return f"captured already: {trace.item['state']} as item {trace.item['id']}{reason}"
    if trace.fate == SKIPPED:
        return f"skipped already, by {trace.skipped}; it is not looked at again until its bytes change"
    return "no" if trace.fate == UNKNOWN else f"captured already: {MEANINGS[trace.fate]}"


def settled(plan: WatchPlan, status: os.stat_result, now: datetime) -> Step:
    """Tell whether the file has been quiet for long enough, going by its own time."""
    quiet_s = now.timestamp() - status.st_mtime
    if quiet_s < 0:
        return Step(
            "settled", f"its time lies {-quiet_s:.0f} s ahead; it is taken once unchanged for {plan.settle_s:g} s"
        )
    answer = f"unchanged for {quiet_s:.0f} s, {plan.settle_s:g} s are asked for (settle_s)"
    return Step("settled", answer if quiet_s >= plan.settle_s else f"not yet: {answer}")


def checked(picture: Picture, *, decode: bool) -> Step:
    """Tell what the file was found to be."""
    turned = f", EXIF orientation {picture.orientation}" if picture.orientation != 1 else ""
    how = "it decodes" if decode else "markers and checksums are right"
    size = f"{picture.width} x {picture.height}"
    return Step("picture", f"a whole {picture.media_type} of {size}{turned}, {picture.size} bytes; {how}")


def annotated(plan: WatchPlan, sidecar: SidecarFile | None, coming: Prospect, annotator: str | None) -> Step:
    """Tell which sidecar counts, as what it is read, and what it says."""
    if sidecar is None:
        waits = f"no sidecar is there; it is waited for {plan.sidecar_wait_s:g} s"
        asked = f", then the annotator ({annotator}) is asked" if annotator else ", then the picture goes without"
        return Step("annotations", waits + asked)
    part = "the part of it in " if sidecar.whole is not None else ""
    reading = coming.reading
    if reading is None:
        rule = "set aside" if coming.refused else "sent without annotations"
        return Step("annotations", f"the picture is {rule}, since {part}its sidecar cannot be read: {coming.fault}")
    labels = reading.labels
    counts = [
        f"{getattr(labels, count)} {said.replace('_', ' ')}" for count, said in COUNTS.items() if getattr(labels, count)
    ]
    boxes = "1 box" if len(labels.annotations) == 1 else f"{len(labels.annotations)} boxes"
    told = ", ".join([boxes, *counts])
    return Step("annotations", f"{part}{sidecar.name}, read as {reading.format} ({reading.reason}): {told}")


def chosen(
    plan: WatchPlan, facts: Facts, reader: Reader | None, look_at: Callable[[], Look], *, annotator: str | None
) -> Step:
    """Tell whether it is worth the link now, after what was kept before it."""
    if plan.select is None:
        return Step("selection", "none: every picture of this folder is worth the link")
    past = Past.of_text(plan.select, None if reader is None else past_of(reader, plan.select.source))
    try:
        keep, why = weigh(Choice(plan.select, past), facts, look_at)
    except NotWhole:
        raise
    except (Reject, Wait) as error:
        return Step("selection", f"kept, since it cannot be looked at: {error}")
    asks = facts.boxes is None and annotator and any(rule.asks for rule in plan.select.rules)
    unless = "; what the annotator sees may change that" if asks else ""
    return Step("selection", why + unless, stops=not keep and not asks)


def sent(picture: Picture, coming: Prospect, *, strips_gps: bool) -> Step:
    """Tell in which form the picture goes out."""
    if coming.transform is None:
        return Step("sent as", "its own bytes, without the location in them" if strips_gps else "it is, byte for byte")
    width, height = coming.transform.size
    why = "" if picture.sendable else f", since {picture.media_type} is not what the platform takes"
    masks = f", {len(coming.transform.areas)} masks" if coming.transform.areas else ""
    return Step("sent as", f"a new JPEG of {width} x {height}, upright{masks}{why}")


def explain(
    path: Path,
    plan: WatchPlan,
    name: str,
    drafter: Drafter,
    reader: Reader | None,
    *,
    now: datetime,
    annotator: str | None,
    strips_gps: bool,
    look_at: Callable[[int, Picture], Look],
) -> Iterator[Step | Prospect]:
    """Yield the steps for a file that a watched folder takes, and what it would become where it comes that far.

    What was captured or skipped before is not weighed again: it would be compared with itself.
    """
    try:
        with ExitStack() as stack:
            descriptor, status = stack.enter_context(open_regular(path))
            before = known(reader, plan.root / name)  # as the agent remembers it: a link may lead to the folder
            yield before
            yield settled(plan, status, now)
            picture = drafter.look(descriptor)
            yield checked(picture, decode=plan.decode)
            sidecar = stack.enter_context(drafter.sidecars.open(name))
            coming = drafter.foresee(name, status, picture, sidecar)
            yield annotated(plan, sidecar, coming, annotator)
            if coming.refused:
                yield Step("quarantine", coming.refused, stops=True)
            elif not before.stops:
                boxes = None if coming.labels is None else coming.labels.annotations
                facts = Facts(coming.captured_at.astimezone(), name, boxes)
                yield chosen(plan, facts, reader, lambda: look_at(descriptor, picture), annotator=annotator)
            yield sent(picture, coming, strips_gps=strips_gps)
            yield coming
    except (Reject, Wait) as error:
        yield Step("taken", f"not now: {error}", stops=True)
