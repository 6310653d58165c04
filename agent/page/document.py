"""The page as a whole: the frame, and the order of its parts. Readable without its script and without its style."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent import __version__
from agent.config.effective import effective_text
from agent.page import parts
from agent.page.markup import section, text

if TYPE_CHECKING:
    from agent.config.configuration import Configuration
    from agent.page.sight import Sight

_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/uplot.css">
<link rel="stylesheet" href="/static/page.css">
<script src="/static/uplot.js" defer></script>
<script src="/static/page.js" defer></script>
<noscript><meta http-equiv="refresh" content="15"></noscript>
</head>
<body>
<a class="skip" href="#main">Skip to the figures</a>
<header><div class="brand"><img src="/static/icon.svg" alt="" width="28" height="28"><h1>Acusight edge agent</h1></div>
<p class="note"><span id="host">{host}</span> · {version} · <span id="live" role="status">as of {at}</span></p></header>
<main id="main">
{main}</main>
<footer class="note"><p><a href="/status.json">Status as JSON</a> ·
<a href="/metrics">Metrics for Prometheus</a></p></footer>
</body>
</html>
"""


def document(sight: Sight, configuration: Configuration, host: str) -> str:
    """Return the whole page."""
    word = sight.status.judgement.health.value
    return _DOCUMENT.format(
        title=f"{word.capitalize()} · {text(host)} · Acusight agent",
        host=text(host),
        version=f"version {text(__version__)}",
        at=f"{sight.wall:%H:%M:%S} UTC",
        main=live(sight) + _configuration(configuration),
    )


def live(sight: Sight) -> str:
    """Return the parts that change by themselves."""
    made = (
        parts.verdict(sight),
        parts.numbers(sight),
        parts.sources(sight),
        parts.history(sight),
        parts.deliveries(sight),
        parts.quarantine(sight),
        parts.errors(sight),
    )
    return "".join(made)


def _configuration(configuration: Configuration) -> str:
    shown = text_block(effective_text(configuration))
    body = f'<details><summary>Show what is in effect</summary><pre tabindex="0">{shown}</pre></details>'
    return section("configuration", "Configuration", body, note="The device key and passwords are left out.")


def text_block(written: str) -> str:
    """Return lines of text that may stand in HTML."""
    return "\n".join(text(line) for line in written.splitlines())
