"""Pascal VOC: XML with pixel corners.

    <annotation><size><width>640</width><height>480</height></size>
      <object><name>dent</name><bndbox><xmin>12</xmin><ymin>40</ymin><xmax>88</xmax><ymax>210</ymax></bndbox></object>
    </annotation>

Read event by event, so nothing is held but what is looked for. A document type is refused, and with it entities:
they can name other files, and grow a kilobyte into gigabytes. A `polygon` without a `bndbox` and a turned `robndbox`
become the box around them; the parts of an object are not objects.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn
from xml.parsers import expat

from agent.annotations.numbers import Word

if TYPE_CHECKING:
    from agent.annotations.sheet import Sheet
    from agent.annotations.sidecar import Sidecar
    from agent.frame import Labels

_DEEPEST = 16
_LONGEST_TEXT = 2000
_BOX = ("xmin", "ymin", "xmax", "ymax")
_TURNED = ("cx", "cy", "w", "h", "angle")
_SIZE = (("annotation", "size", "width"), ("annotation", "size", "height"))
_OBJECT = ("annotation", "object")


@dataclass(slots=True)
class _Object:
    """What was read of one object: its line, and the words of its parts by their path."""

    line: int
    words: dict[tuple[str, ...], Word] = field(default_factory=dict)
    points: dict[str, Word] = field(default_factory=dict)


def signs(sidecar: Sidecar) -> str:
    """Return what tells this format from others."""
    return "XML with `annotation`" if "<annotation" in sidecar.text[:4096] else ""


def read(sidecar: Sidecar, sheet: Sheet) -> Labels:
    """Return what a VOC file says."""
    parser = _Parser(sidecar)
    parser.run()
    size = [parser.size.get(path) for path in _SIZE]
    if size[0] is not None and size[1] is not None:
        sheet.declare(size[0], size[1])
    for found in parser.objects:
        _enter(found, sidecar, sheet)
    return sheet.labels()


def _enter(found: _Object, sidecar: Sidecar, sheet: Sheet) -> None:
    name = found.words.get(("name",))
    if name is None:
        raise sidecar.bad(f"line {found.line}, object.name", "is missing")
    if ("bndbox", "xmin") in found.words:
        left, top, right, bottom = (_needed(found, sidecar, "bndbox", part) for part in _BOX)
        sheet.add(name.text(), sheet.corners(left, top, right, bottom))
    elif ("robndbox", "cx") in found.words:
        xs, ys = _turned([_needed(found, sidecar, "robndbox", part).number() for part in _TURNED])
        sheet.add_shape(name.text(), [x / sheet.width for x in xs], [y / sheet.height for y in ys])
    elif found.points:
        xs = [sheet.across(word) for part, word in found.points.items() if part.startswith("x")]
        ys = [sheet.down(word) for part, word in found.points.items() if part.startswith("y")]
        sheet.add_shape(name.text(), xs, ys)
    else:
        raise sidecar.bad(f"line {found.line}, object.bndbox", "is missing")


def _needed(found: _Object, sidecar: Sidecar, box: str, part: str) -> Word:
    word = found.words.get((box, part))
    if word is None:
        raise sidecar.bad(f"line {found.line}, object.{box}.{part}", "is missing")
    return word


def _turned(sides: list[float]) -> tuple[list[float], list[float]]:
    """Return the corners of a box that is turned about its centre."""
    x, y, width, height, angle = sides
    cosine, sine = math.cos(angle), math.sin(angle)
    corners = [(dx * width / 2, dy * height / 2) for dx in (-1, 1) for dy in (-1, 1)]
    return [x + dx * cosine - dy * sine for dx, dy in corners], [y + dx * sine + dy * cosine for dx, dy in corners]


class _Parser:
    """Collects the size and the objects."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar
        self._path: list[str] = []
        self._text: list[str] = []
        self.size: dict[tuple[str, ...], Word] = {}
        self.objects: list[_Object] = []
        self._expat = expat.ParserCreate()
        self._expat.buffer_text = True
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._characters
        self._expat.StartDoctypeDeclHandler = self._refuse
        self._expat.EntityDeclHandler = self._refuse

    def run(self) -> None:
        """Read the whole file."""
        try:
            self._expat.Parse(self._sidecar.data, True)
        except expat.ExpatError as error:
            what = expat.ErrorString(error.code)
            raise self._sidecar.bad(f"line {error.lineno}, column {error.offset + 1}", f"no XML ({what})") from None
        except (ValueError, LookupError):
            raise self._sidecar.bad("line 1", "in an encoding that cannot be read") from None

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        if not self._path and name != _OBJECT[0]:
            self._fail(f"expected <annotation>, not <{name[:40]}>")
        self._path.append(name)
        if len(self._path) > _DEEPEST:
            self._fail("nested too deeply")
        self._text.clear()
        if tuple(self._path) == _OBJECT:
            self.objects.append(_Object(self._expat.CurrentLineNumber))
            self._sidecar.check_count(len(self.objects))

    def _end(self, name: str) -> None:
        path = tuple(self._path)
        self._path.pop()
        text = "".join(self._text).strip()
        self._text.clear()
        place = ".".join(path[1:])
        word = Word(self._sidecar, self._expat.CurrentLineNumber, place, text)
        if path in _SIZE:
            self.size[path] = word
        elif path[:2] == _OBJECT and len(path) > len(_OBJECT) and self.objects:
            self._keep(self.objects[-1], path[2:], name, word)

    def _keep(self, found: _Object, path: tuple[str, ...], name: str, word: Word) -> None:
        if path[0] in ("bndbox", "robndbox") or path == ("name",):
            found.words.setdefault(path, word)
        elif path[0] == "polygon" and len(path) > 1:
            self._sidecar.check_count(len(found.points))
            # x1, y1, x2 … as Roboflow writes them, or <pt><x/><y/></pt> as LabelMe does.
            found.points[name if name not in ("x", "y") else f"{name}{len(found.points)}"] = word

    def _characters(self, text: str) -> None:
        if len(self._text) < _LONGEST_TEXT:
            self._text.append(text[:_LONGEST_TEXT])

    def _refuse(self, *_: object) -> NoReturn:
        self._fail("a document type or an entity is refused")

    def _fail(self, what: str) -> NoReturn:
        raise self._sidecar.bad(f"line {self._expat.CurrentLineNumber}", what)
