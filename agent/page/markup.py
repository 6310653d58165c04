"""The small pieces of HTML. Everything that is shown was written by strangers, so everything is escaped here."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from zlib import crc32

from agent.config.redaction import printable, redacted
from agent.wording import size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COLOURS = 8
MAX_BOXES = 300
LABEL_ROOM = 0.08


def text(value: object) -> str:
    """Return anything as text that may stand in HTML, secrets and control characters taken out."""
    return escape(printable(redacted(str(value))))


def section(key: str, title: str, body: str, *, note: str = "") -> str:
    """Return a titled part of the page, which its script replaces as a whole."""
    aside = f'<p class="note">{note}</p>' if note else ""
    return (
        f'<section id="{key}" aria-labelledby="{key}-title"><h2 id="{key}-title">{title}</h2>{aside}{body}</section>\n'
    )


def table(caption: str, heads: Sequence[str], lines: Iterable[Sequence[str]], *, empty: str) -> str:
    """Return a table whose cells are HTML already; on a phone each row is a card, so each cell names its column."""
    body = "".join(
        "<tr>"
        + "".join(f'<td data-head="{head}">{cell}</td>' for head, cell in zip(heads, line, strict=True))
        + "</tr>"
        for line in lines
    )
    if not body:
        return f'<p class="empty">{empty}</p>'
    head = "".join(f'<th scope="col">{head}</th>' for head in heads)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table>'
        f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def figures(pairs: Iterable[tuple[str, str]]) -> str:
    """Return named figures."""
    return "<dl>" + "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in pairs if value) + "</dl>"


def button(action: str, label: str, *, item: int | None = None, about: str = "") -> str:
    """Return a form with one button; `about` tells those who cannot see it what it is for."""
    hidden = "" if item is None else f'<input type="hidden" name="id" value="{item}">'
    said = f' aria-label="{label} {about}"' if about else ""
    return f'<form method="post" action="/{action}">{hidden}<button{said}>{label}</button></form>'


def moment(at: str) -> str:
    """Return a moment that the spool wrote down, in UTC, for people and for programs."""
    return f'<time datetime="{text(at)}">{text(at[:19].replace("T", " "))}</time>' if at else ""


def size(count: float) -> str:
    """Return bytes as a figure that stays on one line."""
    return f'<span class="fixed">{size_text(count)}</span>'


def overlay(boxes: Sequence[tuple[str, tuple[float, float, float, float]]]) -> str:
    """Return boxes with their names, drawn over a picture of any size."""
    return f'<svg aria-hidden="true">{"".join(_box(name, *box) for name, box in boxes[:MAX_BOXES])}</svg>'


def _box(name: str, left: float, top: float, width: float, height: float) -> str:
    # A label over the top edge would be cut off: it goes inside the box there.
    offset = "1.1em" if top < LABEL_ROOM else "-0.3em"
    colour = crc32(name.encode(errors="replace")) % COLOURS
    return (
        f'<g class="c{colour}"><rect x="{left:.3%}" y="{top:.3%}" width="{width:.3%}" height="{height:.3%}"/>'
        f'<text x="{max(left, 0):.3%}" y="{max(top, 0):.3%}" dx="0.2em" dy="{offset}">{text(name)}</text></g>'
    )
