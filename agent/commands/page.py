"""`acusight-agent page`: the status page, a process of its own."""

from __future__ import annotations

from pathlib import Path

import click

from agent.errors import UsageError

_EPILOG = """\b
Examples:
  acusight-agent page
  ACUSIGHT_AGENT_PAGE__LISTEN=127.0.0.1:9000 acusight-agent page
"""


@click.command("page", epilog=_EPILOG)
@click.option("-c", "--config", "given", type=click.Path(path_type=Path, dir_okay=False), help="Configuration file.")
@click.pass_obj
def command(inherited: Path | None, given: Path | None) -> None:
    """Show the agent's status as a page, with /metrics for Prometheus, on page.listen (127.0.0.1:8585).

    Works whether the agent runs or not. Ends with 78 where others than this machine would reach it without a token.
    """
    from agent.config.environment import read_environment
    from agent.config.reading import Reading

    environment = read_environment()
    with Reading(given or inherited, environment) as reading:
        try:
            from agent.page import serving
        except ModuleNotFoundError as error:
            raise UsageError(
                f"the page needs {error.name}, which is not installed", remedy="pip install 'acusight-agent[page]'"
            ) from error
        configuration = reading.result()
    serving.serve(configuration, environment, lambda address: click.echo(f"The page is at {address}", err=True))
