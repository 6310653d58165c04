"""From the bytes of a sidecar to labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.annotations import native, yolo
from agent.annotations.sidecar import Sidecar
from agent.errors import BadSidecar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.frame import Labels

# Room for the formats that hold the picture once more, as base64.
MAX_SIDECAR_BYTES = 8_000_000

_READERS = {".json": native.read, ".txt": yolo.read}


def read_sidecar(name: str, data: bytes, *, classes: Sequence[str], width: int, height: int) -> Labels:
    """Return what a sidecar says of a picture of `width` x `height` pixels (as stored, before any orientation).

    `name` is for messages and tells the format; `classes` are names by index, for formats that have numbers only.
    Boxes are cut to the picture, and what is outside of it is dropped and counted. Raises `BadSidecar`, naming
    file, line and field, for everything else; hand in one byte more than `MAX_SIDECAR_BYTES` of a longer file.
    """
    if len(data) > MAX_SIDECAR_BYTES:
        raise BadSidecar(f"{name}: larger than {MAX_SIDECAR_BYTES} bytes")
    reader = next((read for suffix, read in _READERS.items() if name.endswith(suffix)), None)
    if reader is None:
        raise BadSidecar(f"{name}: of no known format", remedy=f"Known are {', '.join(_READERS)}.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadSidecar(f"{name}, line {line}: no UTF-8 text") from None
    return reader(Sidecar(name, text, classes, width, height))
