"""`acusight-agent provision`: from a token to a device that may deliver."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.commands import document
from agent.commands.beside import examples, safe

if TYPE_CHECKING:
    from agent.provisioning.premises import Premises
    from agent.provisioning.provisioner import Proven

PATH = click.Path(path_type=Path, dir_okay=False)


@click.command(
    "provision",
    epilog=examples(
        "provision --url https://acusight.io/api --token-file token.txt",
        "-c /etc/acusight-agent/config.toml provision --token-file - --wait",
    ),
)
@click.option("--url", help="Base URL of the platform's API, with or without /api; else that of the configuration.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="File with the apt_… token, - for standard input.",
)
@click.option("-c", "--config", "given", type=PATH, help="The configuration to complete, or to write.")
@click.option("--key-file", type=PATH, help="Where the key goes; else where the configuration says, else beside it.")
@click.option("--ca-file", type=PATH, help="PEM file of the authorities to trust, in place of the built-in ones.")
@click.option("--device-id", help="The id to be known by; else made of the host's name and its hardware.")
@click.option("--name", help="The name to be shown by; else the host's.")
@click.option("--renew", is_flag=True, help="Ask for a new key although the one in place works.")
@click.option("--wait", is_flag=True, help="Wait until the device is approved.")
@click.option("--timeout-s", default=3600.0, show_default=True, type=click.FloatRange(0, 604_800), help="How long.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def command(
    inherited: Path | None,
    given: Path | None,
    *,
    url: str | None,
    token_file: Path | None,
    key_file: Path | None,
    ca_file: Path | None,
    device_id: str | None,
    name: str | None,
    renew: bool,
    wait: bool,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Swap a provisioning token for this device's key, prove the key, and complete the configuration.

    A device that has a key that works is left alone. What was cut off is taken up again by the same command. Ends
    with 5 where the server or the link is at fault, 6 where the platform refuses, 78 where the disk or the
    configuration does.
    """
    from agent.commands.run import leave_no_core
    from agent.config.environment import read_environment
    from agent.provisioning.premises import Premises

    leave_no_core()
    premises = Premises(given or inherited, read_environment(), url=url, key_file=key_file, ca_file=ca_file)
    provisioner = premises.provisioner(token_file, say=lambda text: click.echo(safe(text), err=True))
    proven = provisioner.run(premises.url, device_id or premises.device_id(), name or premises.host, renew=renew)
    written = premises.complete(proven.base)
    if wait and proven.identity.status == "pending":
        click.echo("the device is pending: waiting until it is approved on the platform", err=True)
    if wait or proven.identity.status == "rejected":
        proven = provisioner.await_approval(proven, seconds=timeout_s)
    _tell(premises, proven, written=written, as_json=as_json)


def _tell(premises: Premises, proven: Proven, *, written: bool, as_json: bool) -> None:
    identity = proven.identity
    if as_json:
        click.echo(
            document.text(
                url=proven.base,
                device_id=identity.device_id or None,
                name=identity.name or None,
                status=identity.status or None,
                key_file=str(premises.keys.path),
                config=str(premises.path),
                renewed=proven.renewed,
                config_written=written,
            )
        )
        return
    known = f"device {identity.device_id or 'of an unknown id'} ({identity.status or 'approval not told'})"
    click.echo(safe(f"{'provisioned as' if proven.renewed else 'provisioned already:'} {known} at {proven.base}"))
    click.echo(safe(f"key            {premises.keys.path}" + ("" if proven.renewed else ", left as it is")))
    click.echo(safe(f"configuration  {premises.path}, {'written' if written else 'left as it is'}"))
    if identity.status == "pending":
        click.echo("next           approve the device on the platform; a running agent waits for that by itself")
    elif proven.renewed:
        click.echo("next           acusight-agent config check, then: acusight-agent run")
