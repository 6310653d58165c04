"""The status as people read it: the verdict, what to do, and then the figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.commands.beside import safe
from agent.standing import since
from agent.wording import pictures_text, rate_text, size_text, span_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from agent.inputs import Input
    from agent.standing import Status

ACTIONS = 3
HEADER = f"{'source':24} captured delivered  waiting quarantined  dropped    bytes held"
NEAR_S = 365 * 86_400.0  # what is further away than a year is no forecast


def lines(status: Status) -> Iterator[str]:
    """Yield the lines, the verdict first."""
    yield safe(status.line)
    for problem in status.judgement.problems:
        yield safe(f"  - {problem.what}")
        yield safe(f"    {problem.remedy}.")
    yield ""
    yield from map(safe, _waits(status))
    yield f"queue     {_queue(status)}"
    yield f"uploads   {safe(_uploads(status))}"
    yield f"device    {_device(status)}"
    yield f"spool     {safe(status.spool_dir)}"
    yield from _sources(status)
    yield from map(safe, _annotators((status.state or {}).get("annotators", {})))
    yield from _ledger(status)


def _waits(status: Status) -> Iterator[str]:
    """Yield why something waits, which is not always something wrong."""
    state, link = status.state or {}, status.link
    if status.paused_since is not None:
        yield f"uploads   paused by hand since {status.paused_since}; go on with: acusight-agent queue resume"
    if rest := status.tariff.get("resting"):
        yield f"uploads   rest: {rest['reason']}"
    for name, budget in status.tariff.get("budgets", {}).items():
        yield (
            f"budget    {name}: {budget['used_bytes']} of {budget['max_bytes']} bytes sent, "
            f"{budget['left_bytes']} left until {budget['renewed_at']}"
        )
    if link.get("state") == "paused":
        yield f"link      paused ({link['cause']}): {link['reason']}"
    for source, reason in state.get("intake_paused", {}).items():
        yield f"intake    {source} paused: {reason}"
    if state.get("clock_synchronised") is False:
        yield "clock     not synchronised: capture times may be wrong, and are put right once it is"
    yield from _checkin(state.get("checkin") or {})
    yield from _deployment(state.get("deployment") or {})
    for action in status.actions[:ACTIONS]:
        yield f"action    {action.what}: {action.outcome}" + (f", {action.reason}" if action.reason else "")


def _checkin(checkin: Mapping[str, Any]) -> Iterator[str]:
    if checkin.get("cause"):
        yield f"check-in  fails ({checkin['cause']}): {checkin['reason']}"
    elif checkin.get("last_at"):
        yield f"check-in  {checkin['status']} at {checkin['last_at']}"


def _deployment(deployment: Mapping[str, Any]) -> Iterator[str]:
    if deployment.get("model"):
        yield f"model     {deployment['model']}, deployed by the platform"
    if deployment.get("action"):
        yield f"model     {deployment['action']}: {deployment['stage'] or 'waiting'}"


def _queue(status: Status) -> str:
    outlook = status.outlook
    parts = [f"{pictures_text(status.waiting)}, {size_text(status.held_bytes)}"]
    if status.oldest_waiting and (age := status.oldest_age_s) is not None:
        parts.append(f"the oldest {span_text(age)} old ({safe(status.oldest_waiting['filename'])})")
    if status.waiting:
        drained = outlook.drained_s
        parts.append(f"empty in {span_text(drained)}" if drained is not None else "does not get shorter")
    if outlook.full_s is not None and outlook.full_s <= NEAR_S:
        parts.append(f"full in {span_text(outlook.full_s)}")
    parts.append(f"room for {size_text(outlook.room_bytes)}")
    return ", ".join(parts)


def _uploads(status: Status) -> str:
    rates = status.outlook.rates
    if status.running:
        parts = [f"{rate_text(rates.delivered_s)}, {size_text(rates.delivered_bytes_s)}/s"]
    else:
        parts = ["none, no agent runs"]
    if status.last_delivery:
        ago = span_text(since(status.last_delivery["delivered_at"], status.wall))
        parts.append(f"last success {ago} ago ({status.last_delivery['filename']})")
    if error := status.last_error:
        parts.append(f"last error {span_text(since(error['at'], status.wall))} ago ({error['reason'].rstrip('.')})")
    if (next_try_s := status.next_try_s) is not None:
        parts.append(f"next try in {span_text(next_try_s)}" if next_try_s > 0 else "next try now")
    return ", ".join(parts)


def _device(status: Status) -> str:
    device, parts = status.device, []
    if device.temperature_c is not None:
        parts.append(f"{device.temperature_c:.0f} °C")
    slowed = f"slowed down ({', '.join(device.throttling)})" if device.throttling else "not slowed down"
    before = [what for what in device.throttled if what not in device.throttling]
    parts.append(slowed + (f", but was since the boot ({', '.join(before)})" if before else ""))
    if device.memory_percent is not None:
        parts.append(f"memory {device.memory_percent:.0f} % used")
    if device.disk_percent is not None:
        parts.append(f"disk {device.disk_percent:.0f} % used")
    synchronised = (status.state or {}).get("clock_synchronised")
    if synchronised is not None:
        parts.append("clock synchronised" if synchronised else "clock not synchronised")
    if device.uptime_s is not None:
        parts.append(f"up {span_text(device.uptime_s)}")
    return ", ".join(parts)


def _sources(status: Status) -> Iterator[str]:
    for one in status.inputs:
        yield f"{one.kind[:9]:9} {safe(_source(one, status))}"


def _source(one: Input, status: Status) -> str:
    parts = [f"{one.name}: {_condition(one, running=status.running)}"]
    age = one.age_s(status.boot_s)
    if age is None and one.last_at is not None:
        age = since(one.last_at, status.wall)
    if age is not None:
        parts.append(f"last picture {span_text(age)} ago")
    if status.running:
        parts += [_pace(one, status.boot_s), one.format]
    if one.restarts:
        parts.append(f"{one.restarts} restarts")
    if one.bad:
        parts.append(f"{one.bad} bad frames")
    return ", ".join(filter(None, parts))


def _pace(one: Input, now: float) -> str:
    fps = one.fps_at(now)
    asked = "" if one.asked_fps is None else f"{rate_text(one.asked_fps)} asked"
    return asked if fps is None else f"{rate_text(fps)}{asked and f' ({asked})'}"


def _annotators(annotators: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, annotator in annotators.items():
        took = "" if annotator["latency_s"] is None else f", the last in {annotator['latency_s']:g} s"
        problem = f": {annotator['problem']}" if annotator["problem"] else ""
        yield f"annotator {name}: {annotator['answered']} answered{took}, {annotator['failed']} failed{problem}"


def _condition(one: Input, *, running: bool) -> str:
    if not running:
        return "no agent runs"
    if one.kind != "camera":
        return "paused" if one.problem else "open"
    if one.open:
        return f"open ({one.shown})"
    return "ended" if one.ended else f"not open ({one.shown}): {one.problem or 'opening'}"


def _ledger(status: Status) -> Iterator[str]:
    yield ""
    if not status.accounts:
        yield "nothing captured yet"
        return
    yield HEADER
    for name, account in status.accounts.items():
        yield (
            f"{name:24} {account.captured:8} {account.delivered:9} {account.waiting:8} {account.quarantined:11} "
            f"{sum(account.dropped.values()):8} {account.held_bytes:13}"
        )
        for reason, count in sorted(account.dropped.items()):
            yield f"{'':24} dropped {count}: {reason}"
        if account.skipped:
            yield f"{'':24} not worth the link: {_counted(account.skipped)}"
        if account.chosen:
            yield f"{'':24} chosen by rules: {_counted(account.chosen)}"


def _counted(counts: Mapping[str, int]) -> str:
    """Return counts by name, the largest first."""
    most = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{count} {name}" for name, count in most if count)
