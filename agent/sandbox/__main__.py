"""`python -m agent.sandbox`: the command `acusight-agent sandbox`, without the rest of the agent."""

import sys

import click

from agent.commands.sandbox import command
from agent.errors import AgentError

if __name__ == "__main__":
    try:
        command(prog_name="python -m agent.sandbox")
    except AgentError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
