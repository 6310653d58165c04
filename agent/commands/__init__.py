"""The command line: one file a verb, imported only when that verb is used."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import click

from agent import __version__, collector
from agent.errors import AgentError, Interrupted

VERBS = (
    "provision",
    "run",
    "upload",
    "status",
    "page",
    "metrics",
    "queue",
    "receipt",
    "explain",
    "select",
    "annotations",
    "reconcile",
    "camera",
    "doctor",
    "service",
    "config",
    "sandbox",
    "demo",
    "version",
)


class Verbs(click.Group):
    """Loads a verb's module when it is asked for: `status` must not pay for the sandbox's web server."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order in which a newcomer meets them."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one verb's module and return its `command`."""
        del ctx
        if name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"agent.commands.{name}").command
        return command


@click.group(
    cls=Verbs,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExample:\n  acusight-agent -c config.toml run",
)
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file; else ./config.toml, else /etc/acusight-agent/config.toml.",
)
@click.version_option(__version__, prog_name="acusight-agent")
@click.pass_context
def group(ctx: click.Context, config: Path | None) -> None:
    """Carry pictures and their model's annotations from this device to Acusight, offline periods included."""
    ctx.obj = config


def main(arguments: list[str] | None = None) -> None:
    """Run a command; every failure is one sentence on standard error and an exit code."""
    collector.put_off()
    try:
        code = group.main(args=arguments, prog_name="acusight-agent", standalone_mode=False)
    except click.exceptions.Exit as request:
        code = request.exit_code
    except click.ClickException as error:
        code = _complain(_usage(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        code = _complain("interrupted", Interrupted.exit_code)
    except AgentError as error:
        code = _complain(str(error), error.exit_code)
    except OSError as error:
        # What no part of the agent asked of the disk: our own output, on one that is full.
        code = _complain(f"cannot write the output: {error.strerror}", AgentError.exit_code)
        # Else the interpreter tries to write the rest at its end, which would fail again, and loudly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code if isinstance(code, int) else 0)


def _complain(sentence: str, code: int) -> int:
    click.echo(f"acusight-agent: {sentence}", err=True)
    return code


def _usage(error: click.ClickException) -> str:
    """Say what click found in our own words' shape: one line, and where to look it up."""
    message = " ".join(error.format_message().split()).rstrip(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    see = f" (see: {context.command_path} --help)" if context else ""
    return f"{message[:1].lower()}{message[1:]}{see}"
