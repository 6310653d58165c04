"""Supervision's sinks: a row an object, as JSON or CSV.

    [{"x_min": 12.0, "y_min": 40.0, "x_max": 88.0, "y_max": 210.0, "class_id": 0, "confidence": 0.9, "tracker_id": "",
      "class_name": "dent"}]

    x_min,y_min,x_max,y_max,class_id,confidence,tracker_id,class_name
    12.0,40.0,88.0,210.0,0,0.9,,dent

Pixel corners; what is not known is an empty text. The rows of many pictures may share a file where a column of the
user's own names the picture: `image`, `image_name`, `image_path`, `file_name`, `filename`, `file` or `path`. A file
without any row has nothing found; one without a header was never written to, and says nothing.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from agent.annotations.document import MAX_VALUES
from agent.annotations.lookup import fits, last_part
from agent.annotations.numbers import Word
from agent.annotations.sheet import score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.annotations.document import Field
    from agent.annotations.lookup import Excerpts
    from agent.annotations.sheet import Figure, Sheet
    from agent.annotations.sidecar import Sidecar
    from agent.frame import Labels

_CORNERS = ("x_min", "y_min", "x_max", "y_max")
_IMAGES = ("image", "image_name", "image_path", "file_name", "filename", "file", "path")


def signs(root: Field) -> str:
    """Return what tells the JSON from other formats."""
    first = root.first()
    return "a list with `x_min`" if first is not None and all(map(first.has, _CORNERS)) else ""


def signs_of_csv(sidecar: Sidecar) -> str:
    """Return what tells the CSV from other formats."""
    header = sidecar.text[:4096].partition("\n")[0]
    return "a header with `x_min`" if all(name in header for name in _CORNERS) else ""


def read(root: Field, sheet: Sheet) -> Labels:
    """Return what a JSON sink wrote of the picture."""
    rows = [_Row(row.get, row.need) for row in root.entries()]
    return _read(rows, sheet)


def read_csv(sidecar: Sidecar, sheet: Sheet) -> Labels:
    """Return what a CSV sink wrote of the picture."""
    rows = [_Row(words.get, words.__getitem__) for _, words in _rows(sidecar)]
    return _read(rows, sheet)


def excerpts(root: Field) -> Excerpts:
    """Return the rows of each picture; empty where no column names one."""
    found: Excerpts = {}
    for row in root.entries():
        if name := _Row(row.get, row.need).picture():
            found.setdefault(last_part(name), []).append(row.value)
    return found


def excerpts_of_csv(sidecar: Sidecar) -> Excerpts:
    """Return the lines of each picture, below the header; empty where no column names one."""
    found: Excerpts = {}
    header = next(iter(csv.reader(io.StringIO(sidecar.text))), [])
    for values, words in _rows(sidecar):
        if name := _Row(words.get, words.__getitem__).picture():
            found.setdefault(last_part(name), [header]).append(values)
    return {name: _csv_text(rows) for name, rows in found.items()}


def _csv_text(rows: list[list[str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def _rows(sidecar: Sidecar) -> Iterator[tuple[list[str], dict[str, Word]]]:
    """Yield each row as it stands, and as words by the header's names."""
    if sidecar.text.count(",") + sidecar.text.count("\n") > MAX_VALUES:
        raise sidecar.bad("", f"more than {MAX_VALUES} values")
    reader = csv.reader(io.StringIO(sidecar.text), strict=True)
    try:
        header = next(reader, [])
        if not all(name in header for name in _CORNERS):
            raise sidecar.bad("line 1", "expected a header with x_min, y_min, x_max and y_max")
        for values in reader:
            line = reader.line_num
            if values and len(values) != len(header):
                raise sidecar.bad(f"line {line}", f"{len(values)} columns, the header has {len(header)}")
            if values:
                words = zip(header, values, strict=True)
                yield values, {name: Word(sidecar, line, name, value) for name, value in words}
    except csv.Error as error:
        raise sidecar.bad(f"line {reader.line_num}", f"no CSV ({error})") from None


class _Row:
    """One object: `get` finds a cell, `need` insists on it."""

    def __init__(self, get: Callable[[str], Figure | None], need: Callable[[str], Figure]) -> None:
        self._get = get
        self._need = need

    def picture(self) -> str:
        """Return the picture that the row names; empty where it names none."""
        named = next(filter(None, map(self.said, _IMAGES)), None)
        return "" if named is None else named.text()

    def said(self, name: str) -> Figure | None:
        """Return a cell that is there and not empty."""
        cell = self._get(name)
        return None if cell is None or cell.is_blank() else cell

    def enter(self, sheet: Sheet) -> None:
        """Enter the row's box."""
        named = self.said("class_name")
        name = sheet.class_name(self._need("class_id")) if named is None else named.text()
        left, top, right, bottom = map(self._need, _CORNERS)
        sheet.add(name, sheet.corners(left, top, right, bottom), score(self.said("confidence")))


def _read(rows: list[_Row], sheet: Sheet) -> Labels:
    sidecar = sheet.sidecar
    pictures = {name for row in rows if (name := row.picture())}
    if len(pictures) > 1:
        rows = [row for row in rows if fits(row.picture(), sidecar.picture)]
        if not rows:
            raise sidecar.bad("", f"holds {len(pictures)} pictures, and none is named {sidecar.picture}")
    for row in rows:
        row.enter(sheet)
    return sheet.labels()
