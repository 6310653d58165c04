"""`acusight-agent config`: write, check and show the configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent.config.effective import effective, effective_text
from agent.config.environment import read_environment
from agent.config.example import write_example
from agent.config.load import check, load
from agent.config.paths import find_config
from agent.config.redaction import printable, redacted
from agent.config.schema import schema_text
from agent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.config.configuration import Configuration

_config_option = click.option(
    "-c",
    "--config",
    "given",
    type=click.Path(path_type=Path),
    help="The configuration; by default ./config.toml, else /etc/acusight-agent/config.toml.",
)


@click.group(name="config", epilog="\b\nExample:\n  acusight-agent config init && acusight-agent config check")
def command() -> None:
    """Write, check and show the configuration."""


@command.command(epilog="\b\nExample:\n  acusight-agent config init /etc/acusight-agent/config.toml")
@click.argument("path", type=click.Path(path_type=Path), default=Path("config.toml"))
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def init(path: Path, *, force: bool) -> None:
    """Write a configuration with every key, its default and a comment to PATH (./config.toml), its schema beside it."""
    write_example(path, replace=force)
    click.echo(printable(f"wrote {path}; edit it, then: acusight-agent config check -c {path}"))


@command.command(name="check", epilog="\b\nExample:\n  acusight-agent config check -c /etc/acusight-agent/config.toml")
@_config_option
@click.pass_obj
def check_command(inherited: Path | None, given: Path | None) -> None:
    """Say everything that is wrong with the configuration, with file and line; end with 78 if anything is."""
    path, environment = given or inherited, read_environment()
    problems = check(path, environment)
    for problem in problems:
        click.echo(str(problem))
    if problems:
        where = find_config(path, environment) or "the environment"
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ConfigError(f"{count} in the configuration ({where}); nothing was changed")
    for line in _summary(load(path, environment)):
        click.echo(printable(redacted(line)))


@command.command(epilog="\b\nExample:\n  acusight-agent config show --json")
@_config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.pass_obj
def show(inherited: Path | None, given: Path | None, *, as_json: bool) -> None:
    """Show the settings in effect, and where the device key comes from; never the key."""
    configuration = load(given or inherited, read_environment())
    click.echo(json.dumps(effective(configuration), indent=2) if as_json else effective_text(configuration))


@command.command(epilog="\b\nExample:\n  acusight-agent config schema > acusight-agent.schema.json")
def schema() -> None:
    """Print the JSON schema of the configuration, for editors."""
    click.echo(schema_text(), nl=False)


def _summary(configuration: Configuration) -> Iterator[str]:
    settings = configuration.settings
    yield f"ok: {configuration.path or 'no file; the environment and defaults'}"
    yield f"server: {settings.server.url}"
    for watch in settings.watch:
        yield f"watch {watch.name}: {watch.path}" + ("" if watch.path.is_dir() else " (not there yet)")
    for camera in settings.camera:
        yield f"camera {camera.name}: {camera.source}"
    if not settings.watch and not settings.camera:
        yield "note: no [[watch]] and no [[camera]]: there is nothing to run"
    if configuration.device_key is None:
        yield f"note: no device key yet (looked in: {configuration.device_key_source})"
