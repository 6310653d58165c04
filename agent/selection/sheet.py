"""A contact sheet: kept and skipped pictures side by side, one HTML file that asks nobody for anything."""

from __future__ import annotations

from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING

from agent.selection.rehearsal import counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.selection.rehearsal import Rehearsed

STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent) }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem }
h1 { font-size: 1.35rem } h2 { font-size: 1.05rem; margin: 0 0 .6rem }
table { border-collapse: collapse; margin: 1rem 0 2rem } td, th { padding: .25rem 1.2rem .25rem 0; text-align: left }
td:last-child { text-align: right; font-variant-numeric: tabular-nums } tr { border-bottom: 1px solid var(--line) }
main { display: grid; gap: 2rem; grid-template-columns: 1fr 1fr }
@media (max-width: 45rem) { main { grid-template-columns: 1fr } }
section { border-top: 3px solid #1a7f37; padding-top: .7rem } section.skipped { border-color: #9a6700 }
div { display: grid; gap: .7rem; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)) }
figure { margin: 0 }
img { background: var(--line); border-radius: 4px; display: block; height: 7rem; object-fit: contain; width: 100% }
figcaption { font-size: .78rem; overflow-wrap: anywhere } small { opacity: .72 }
"""


def sheet(folder: str, told: Sequence[Rehearsed]) -> Iterator[str]:
    """Yield the page in pieces: the counts, then every picture under what became of it."""
    kept = [one for one in told if one.kept]
    skipped = [one for one in told if not one.kept]
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(folder)}: what would be sent</title>'
    yield f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
    yield f"<h1>{len(kept)} of {len(told)} pictures in {escape(folder)} would be sent</h1><table>"
    yield "<tr><th>what<th>by<th>pictures"
    for what, tally in counts(told).items():
        for why, number in tally.items():
            yield f"<tr><td>{what}<td>{escape(why) or 'nothing against it'}<td>{number}"
    yield "</table><main>"
    for what, some in (("kept", kept), ("skipped", skipped)):
        yield f'<section class="{what}"><h2>{what}: {len(some)}</h2><div>'
        yield from map(_figure, some)
        yield "</div></section>"
    yield "</main></html>\n"


def _figure(one: Rehearsed) -> str:
    image = ""
    if one.thumbnail:
        image = f'<img alt="" loading="lazy" src="data:image/jpeg;base64,{b64encode(one.thumbnail).decode()}">'
    when = one.captured_at.astimezone().isoformat(sep=" ", timespec="seconds") if one.captured_at else ""
    said = ", ".join(filter(None, (one.why, one.note, when)))
    return f"<figure>{image}<figcaption>{escape(one.name)}<br><small>{escape(said)}</small></figcaption></figure>"
