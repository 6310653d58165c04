"""Which entry of a file with many pictures is a picture's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.annotations.document import Field
    from agent.annotations.sidecar import Sidecar

# What a file with many pictures says of each of them, as a small document of the same format.
Excerpts: TypeAlias = "dict[str, Any]"


def last_part(path: str) -> str:
    """Return the file name at the end of a path or an address, of whatever system."""
    plain = unquote(path.rpartition("?d=")[2]) if "://" in path or "?d=" in path or "%" in path else path
    return plain.replace("\\", "/").rpartition("/")[2]


def fits(named: str, picture: str) -> bool:
    """Tell whether an entry is that of a picture: by its file name, or by that without its ending."""
    last = last_part(named)
    return last in (picture, picture.rpartition(".")[0] or picture)


def the_one(sidecar: Sidecar, named: Sequence[tuple[str, Field]]) -> Field:
    """Return the picture's entry; the only one counts also where it goes by another name.

    Raises `BadSidecar` where there are several others: whose boxes they are must not be guessed.
    """
    for name, entry in named:
        if fits(name, sidecar.picture):
            return entry
    if len(named) == 1:
        return named[0][1]
    raise sidecar.bad("", f"holds {len(named)} pictures, and none is named {sidecar.picture}")
