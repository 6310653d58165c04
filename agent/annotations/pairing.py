"""Which files say what is on a picture: beside it, in a sister folder, or one for a whole folder. Names only."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from agent.annotations.formats import FORMATS, JsonFormat, TextFormat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SUFFIXES = (".json", ".txt", ".xml", ".csv", ".labels")
LABELS = "labels"
IMAGES = "images"


def sidecar_names(picture_name: str, formats: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names to look for beside a picture; the first one that is there counts.

    `belt.jpg` has `belt.annotations.json`, `belt.jpg.json`, `belt.json`, `belt.txt`, `belt.xml` and `belt.csv`: what
    can only be meant for this agent or this picture comes before what `belt.png` would share. Where `formats` are
    named, only the endings that those have.
    """
    stem = picture_name.rpartition(".")[0] or picture_name
    json_names = (f"{stem}.annotations.json", f"{picture_name}.json", f"{stem}.json")
    is_json, suffixes = _endings(tuple(formats))
    names = [stem + suffix for suffix in suffixes]
    return (*json_names, *names) if is_json else tuple(names)


def sister_names(picture_name: str, formats: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names to look for in a folder that holds nothing but sidecars."""
    stem = picture_name.rpartition(".")[0] or picture_name
    is_json, suffixes = _endings(tuple(formats))
    return (*(stem + suffix for suffix in suffixes), *((f"{stem}.json",) if is_json else ()))


@lru_cache(maxsize=64)
def _endings(formats: tuple[str, ...]) -> tuple[bool, tuple[str, ...]]:
    """Tell whether JSON is looked for, and which other endings are."""
    wanted = [known for known in FORMATS if not formats or known.name in formats]
    texts = {known.suffix for known in wanted if isinstance(known, TextFormat)}
    return any(isinstance(known, JsonFormat) for known in wanted), tuple(
        suffix for suffix in (".txt", ".xml", ".csv") if suffix in texts
    )


def can_be_shared(formats: Sequence[str]) -> bool:
    """Tell whether any of these formats (all, where none is named) has files with many pictures."""
    return any(known.excerpts is not None for known in FORMATS if not formats or known.name in formats)


def is_sidecar(name: str) -> bool:
    """Tell whether a file may be some picture's sidecar, by its name alone."""
    return name.endswith(_SUFFIXES)


def sister_of(folder: str) -> str | None:
    """Return the folder of labels that belongs to one of images: the last part called `images` becomes `labels`."""
    parts = folder.split("/")
    for place in reversed(range(len(parts))):
        if parts[place] == IMAGES:
            return "/".join((*parts[:place], LABELS, *parts[place + 1 :]))
    return None


def stems_of(sidecar: str, outer: str = "") -> Iterator[str]:
    """Yield what pictures may be called, without their ending, that a sidecar belongs to.

    Names are relative to the watched folder; `outer` is the path from there to its sister folder, where it has one.
    """
    bare = next((sidecar.removesuffix(suffix) for suffix in _SUFFIXES if sidecar.endswith(suffix)), sidecar)
    if outer and bare.startswith(f"{outer}/"):
        bare = bare.removeprefix(f"{outer}/")
    yield bare.removesuffix(".annotations")
    parts = bare.split("/")
    for place in reversed(range(len(parts) - 1)):
        if parts[place] == LABELS:
            yield "/".join((*parts[:place], *parts[place + 1 :]))
            yield "/".join((*parts[:place], IMAGES, *parts[place + 1 :]))
