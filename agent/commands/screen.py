"""A text that is drawn again and again in its place, until Ctrl-C."""

from __future__ import annotations

import select
import shutil
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

HOME = "\x1b[H"
TO_END_OF_LINE = "\x1b[K"
TO_END_OF_SCREEN = "\x1b[J"
OTHER_SCREEN, FIRST_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


def repeat(text: Callable[[], str], every_s: float) -> None:
    """Show `text()` every so often; on a terminal in place, elsewhere one after another. Ctrl-C ends it well."""
    terminal = sys.stdout.isatty()
    if terminal:
        click.echo(OTHER_SCREEN, nl=False)
    try:
        while True:
            shown = text()
            click.echo(frame(shown, *shutil.get_terminal_size()) if terminal else shown, nl=not terminal)
            sys.stdout.flush()
            select.select([], [], [], every_s)
    except (KeyboardInterrupt, BrokenPipeError):
        return
    finally:
        if terminal:
            click.echo(FIRST_SCREEN, nl=False)


def frame(text: str, columns: int, rows: int) -> str:
    """Return what draws a text over the one before, in one write and without clearing first, so nothing flickers."""
    lines = [line[:columns] for line in text.splitlines()[: max(1, rows - 1)]]
    return HOME + "".join(f"{line}{TO_END_OF_LINE}\n" for line in lines) + TO_END_OF_SCREEN
