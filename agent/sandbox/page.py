"""The page that shows what arrived: pictures with their boxes, readable without its script.

Filenames, class names and all of the metadata are strangers' text. Each goes through `html.escape`, none into a
style or a script.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.sandbox.store import Upload

COLOURS = 8
MAX_BOXES = 500
_LABEL_ROOM = 0.08

_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Acusight sandbox</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/_sandbox/static/page.css">
<script src="/_sandbox/static/page.js" defer></script>
</head>
<body data-last="{last}">
<header><h1>Acusight sandbox</h1><p><output id="count">{count}</output> pictures arrived</p></header>
<section id="empty"{empty_hidden}>
<h2>Nothing has arrived yet</h2>
<p>Point an agent at this server with <code>server.url = "{base}"</code> and run it, or send a picture by hand:</p>
<pre>curl -H "X-Device-Key: adk_0123" -F image=@photo.jpg {base}/device/images/upload</pre>
<p>What arrives shows up here by itself.</p>
</section>
<main id="cards">{cards}</main>
</body>
</html>
"""


def document(uploads: Iterable[Upload], count: int, last: int, base: str) -> str:
    """Return the whole page for these uploads, newest first, out of `count`; `base` is the URL it is seen at."""
    return _DOCUMENT.format(
        last=last, count=count, empty_hidden=" hidden" if count else "", base=escape(base), cards=cards(uploads)
    )


def cards(uploads: Iterable[Upload]) -> str:
    """Return one article per upload."""
    return "".join(map(_card, uploads))


def _card(upload: Upload) -> str:
    metadata = upload.metadata or {}
    boxes = [(a["class_value"], a["geometry"]) for a in metadata.get("annotations", ())]
    model = " ".join(str(metadata[key]) for key in ("model_id", "model_version") if metadata.get(key))
    facts = {
        "Source": metadata.get("source"),
        "Taken": metadata.get("timestamp"),
        "Model": model,
        "Boxes": len(boxes) if upload.metadata is not None else "no metadata",
        "Size": f"{upload.bytes:,} bytes",
        "Arrived": upload.received_at,
    }
    rows = "".join(
        f"<dt>{name}</dt><dd>{escape(str(fact))}</dd>" for name, fact in facts.items() if fact not in (None, "")
    )
    mark = " <em>sent before</em>" if upload.duplicate else ""
    link = f"/_sandbox/images/{upload.id}"
    return (
        f'<article id="upload-{upload.id}"><a class="picture" href="{link}">'
        f'<img src="{link}" alt="{escape(upload.filename)}" loading="lazy" decoding="async">'
        f'<svg aria-hidden="true">{"".join(map(_box, boxes[:MAX_BOXES]))}</svg></a>'
        f"<h2>{escape(upload.filename)}{mark}</h2><dl>{rows}</dl></article>\n"
    )


def _box(box: tuple[str, list[float]]) -> str:
    name, (x_center, y_center, width, height) = box
    left, top = x_center - width / 2, y_center - height / 2
    # A label over the top edge would be cut off: it goes inside the box there.
    offset = "1.1em" if top < _LABEL_ROOM else "-0.3em"
    colour = crc32(name.encode(errors="replace")) % COLOURS
    return (
        f'<g class="c{colour}"><rect x="{left:.3%}" y="{top:.3%}" width="{width:.3%}" height="{height:.3%}"/>'
        f'<text x="{max(left, 0):.3%}" y="{max(top, 0):.3%}" dx="0.2em" dy="{offset}">{escape(name)}</text></g>'
    )
