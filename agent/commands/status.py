"""`acusight-agent status`: how the agent is, whether it runs or not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.commands.beside import safe
from agent.errors import NotRunning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.status import Status

ACTIONS = 3
HEADER = f"{'source':24} captured delivered  waiting quarantined  dropped    bytes held"


@click.command("status", epilog="Examples: acusight-agent status; acusight-agent status --json")
@click.option("-c", "--config", "given", type=click.Path(path_type=Path, dir_okay=False), help="Configuration file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(inherited: Path | None, given: Path | None, *, as_json: bool) -> None:
    """Tell what waits, what arrived, and what is wrong. Ends with 3 when no agent runs."""
    from agent.config.environment import read_environment
    from agent.config.load import load
    from agent.status import look

    status = look(load(given or inherited, read_environment()))
    if as_json:
        click.echo(json.dumps(status.as_json(), indent=2))
    else:
        for line in _lines(status):
            click.echo(line)
    if not status.running:
        raise NotRunning(
            f"no agent runs on the spool {status.spool_dir}",
            remedy="Start it: systemctl start acusight-agent, or acusight-agent run.",
        )


def _lines(status: Status) -> Iterator[str]:
    yield _verdict(status)
    link = (status.state or {}).get("link", {})
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
    for source, reason in (status.state or {}).get("intake_paused", {}).items():
        yield f"intake    {source} paused: {reason}"
    if (status.state or {}).get("clock_synchronised") is False:
        yield "clock     not synchronised: capture times may be wrong, and are put right once it is"
    yield from _checkin((status.state or {}).get("checkin") or {})
    for action in status.actions[:ACTIONS]:
        yield f"action    {safe(action.what)}: {action.outcome}" + (f", {safe(action.reason)}" if action.reason else "")
    if status.last_delivery is not None:
        yield f"last sent {status.last_delivery['filename']} at {status.last_delivery['delivered_at']}"
    if status.oldest_waiting is not None:
        yield f"oldest    {status.oldest_waiting['filename']}"
    yield f"spool     {status.spool_dir}"
    yield from _queue(status)
    yield from _annotators((status.state or {}).get("annotators", {}))
    yield from _cameras((status.state or {}).get("cameras", {}))


def _checkin(checkin: dict[str, Any]) -> Iterator[str]:
    if checkin.get("cause"):
        yield f"check-in  fails ({checkin['cause']}): {checkin['reason']}"
    elif checkin.get("last_at"):
        yield f"check-in  {checkin['status']} at {checkin['last_at']}"


def _verdict(status: Status) -> str:
    link = (status.state or {}).get("link", {})
    if not status.running:
        return f"NOT RUNNING: {status.waiting} pictures wait"
    if status.paused_since is not None:
        return f"PAUSED BY HAND: {status.waiting} pictures wait"
    if rest := status.tariff.get("resting"):
        return f"UPLOADS REST: {status.waiting} pictures wait until {rest['opens_at']}"
    if link.get("state") == "paused":
        lost = "" if any(account.dropped for account in status.accounts.values()) else ", none is lost"
        return f"WAITING FOR THE LINK: {status.waiting} pictures wait{lost}"
    if paused := (status.state or {}).get("intake_paused"):
        return f"INTAKE PAUSED ({', '.join(paused)}): {status.waiting} pictures wait"
    set_aside = f", {status.quarantined} pictures quarantined" if status.quarantined else ""
    return f"RUNNING{set_aside}: {status.waiting} pictures wait"


def _queue(status: Status) -> Iterator[str]:
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


def _annotators(annotators: dict[str, dict[str, Any]]) -> Iterator[str]:
    for name, annotator in annotators.items():
        took = "" if annotator["latency_s"] is None else f", the last in {annotator['latency_s']:g} s"
        problem = f": {annotator['problem']}" if annotator["problem"] else ""
        yield f"annotator {name}: {annotator['answered']} answered{took}, {annotator['failed']} failed{problem}"


def _cameras(cameras: dict[str, dict[str, Any]]) -> Iterator[str]:
    for name, camera in cameras.items():
        if camera["opened"]:
            counted = f"{camera['taken']} frames taken, {camera['restarts']} restarts"
            yield f"camera    {name}: open ({camera['source']}), {counted}"
        elif camera["ended"]:
            yield f"camera    {name}: ended, {camera['taken']} frames taken"
        else:
            yield f"camera    {name}: not open ({camera['source']}): {camera['problem'] or 'opening'}"
