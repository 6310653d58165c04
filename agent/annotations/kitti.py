"""KITTI text files: TAO's with 15 columns, or 16 with a score, and DeepStream's, which may have an id.

    label truncated occluded alpha left top right bottom height width length x y z rotation_y [score]
    label [id] 0.0 0 0.0 left top right bottom 0.0 0.0 0.0 0.0 0.0 0.0 0.0 confidence

Pixels of the stream: `box_size` says its size where the picture has another. A label may have blanks, so a line is
read from its end; which columns are there is told from the two before `alpha`: a share (or -1) and a whole number.
Where a confidence ends the line and digits alone end the label, those are a track id, unless `classes` has the label
with them. `DontCare` marks a region, not an object. A confidence below 0 (DeepStream's -0.1) is one that is not known.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agent.annotations.boxes import FAR_OUT
from agent.annotations.numbers import Word, is_number
from agent.annotations.sheet import score
from agent.annotations.yolo import lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.annotations.sheet import Sheet
    from agent.annotations.sidecar import Sidecar
    from agent.frame import Labels

_NAMES = ("truncated", "occluded", "alpha", "left", "top", "right", "bottom")
_BARE = 14  # columns behind the label, without a score
_WHOLE = re.compile(r"-?[0-9]")
_ID = re.compile(r"[0-9]{1,20}")
_NOT_KNOWN = "DontCare"


def signs(sidecar: Sidecar) -> str:
    """Return what tells this format from others."""
    first = next((line for line in sidecar.text[:8192].splitlines() if line.strip()), "").split()
    columns = _columns(first)
    if not columns or (first[0].isdecimal() and not _has_pixels(first[-columns:])):
        return ""  # a polygon of shares, behind a class index
    return "lines of a label and 14 or more numbers"


def read(sidecar: Sidecar, sheet: Sheet) -> Labels:
    """Return what a KITTI file says; an empty one says that nothing was found."""
    for text, number in lines(sidecar).items():
        _enter(sidecar, number, text.split(), sheet)
    return sheet.labels()


def _enter(sidecar: Sidecar, number: int, words: Sequence[str], sheet: Sheet) -> None:
    columns = _columns(words)
    if not columns:
        raise sidecar.bad(
            f"line {number}", f"{len(words)} columns, of which the last are not KITTI's", remedy=_EXPECTED
        )
    label, values = words[:-columns], words[-columns:]
    scored = columns > _BARE
    name = Word(sidecar, number, "label", _label(label, sidecar.classes, scored=scored)).text()
    if name == _NOT_KNOWN:
        return
    box = [Word(sidecar, number, field, value) for field, value in zip(_NAMES, values[: len(_NAMES)], strict=True)]
    confidence = Word(sidecar, number, "confidence", values[-1])
    known = scored and confidence.number() >= 0
    sheet.add(name, sheet.corners(*box[3:]), score(confidence) if known else None)


_EXPECTED = "Expected: label truncated occluded alpha left top right bottom, seven more, and perhaps a score."


def _columns(words: Sequence[str]) -> int:
    """Return how many columns stand behind the label; 0 where it is no line of this format."""
    for columns in (_BARE + 1, _BARE):
        values = words[-columns:]
        if len(words) > columns and _is_head(values[0], values[1]):
            return columns
    return 0


def _has_pixels(values: Sequence[str]) -> bool:
    return any(is_number(value) and float(value) > FAR_OUT for value in values[3 : len(_NAMES)])


def _is_head(truncated: str, occluded: str) -> bool:
    return (
        is_number(truncated)
        and (0 <= float(truncated) <= 1 or float(truncated) == -1)
        and bool(_WHOLE.fullmatch(occluded))
    )


def _label(words: Sequence[str], classes: Sequence[str], *, scored: bool) -> str:
    whole = " ".join(words)
    has_id = scored and len(words) > 1 and _ID.fullmatch(words[-1]) and whole not in classes
    return " ".join(words[:-1]) if has_id else whole
