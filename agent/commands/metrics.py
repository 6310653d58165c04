"""`acusight-agent metrics`: the figures for Prometheus, once."""

from __future__ import annotations

import os
from pathlib import Path

import click

from agent.errors import AgentError, UsageError

_EPILOG = """\b
Examples:
  acusight-agent metrics
  acusight-agent metrics --textfile /var/lib/prometheus/node-exporter/acusight.prom
"""


@click.command("metrics", epilog=_EPILOG)
@click.option("-c", "--config", "given", type=click.Path(path_type=Path, dir_okay=False), help="Configuration file.")
@click.option(
    "--textfile",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write them to this file, as a whole, for a node exporter's textfile collector.",
)
@click.pass_obj
def command(inherited: Path | None, given: Path | None, textfile: Path | None) -> None:
    """Print what the status page has at /metrics, without the page. Works whether the agent runs or not."""
    from agent.commands.beside import outlined
    from agent.status import look

    try:
        from agent.page.metrics import exposition
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the metrics need {error.name}, which is not installed", remedy="pip install 'acusight-agent[page]'"
        ) from error
    content, _ = exposition(look(outlined(given or inherited)))
    if textfile is None:
        click.echo(content, nl=False)
        return
    # The collector reads every *.prom in its folder, so what is not whole has another ending.
    temporary = textfile.with_name(f".{textfile.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.chmod(0o644)
        temporary.replace(textfile)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise AgentError(f"cannot write {textfile}: {error.strerror}") from error
