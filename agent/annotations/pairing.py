"""Which files beside a picture say what is on it."""

from __future__ import annotations

_SUFFIXES = (".json", ".txt")


def sidecar_names(picture_name: str) -> tuple[str, ...]:
    """Return the names to look for beside a picture; the first one that is there counts.

    `belt.jpg` has `belt.annotations.json`, `belt.jpg.json`, `belt.json` and `belt.txt`: what can only be meant for
    this agent or this picture comes before what `belt.png` would share.
    """
    stem = picture_name.rpartition(".")[0] or picture_name
    return f"{stem}.annotations.json", f"{picture_name}.json", f"{stem}.json", f"{stem}.txt"


def is_sidecar(name: str) -> bool:
    """Tell whether a file may be some picture's sidecar, by its name alone."""
    return name.endswith(_SUFFIXES)
