"""Which format a sidecar has: told by what is in it, and by its name only where that says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.annotations.document import parse
from agent.annotations.formats import FORMATS, NAMES, JsonFormat, TextFormat
from agent.annotations.sheet import Sheet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.annotations.document import Field
    from agent.annotations.lookup import Excerpts
    from agent.annotations.sidecar import Sidecar
    from agent.frame import Labels

_SYNTAXES = {".json": "json", ".xml": "xml", ".csv": "csv", ".txt": "lines", ".labels": "json"}
_CONFIGURED = "it is the one that is configured"
# Several programs write a list of objects; where it is empty, they all mean the same.
_EMPTY_LIST = JsonFormat("ultralytics", lambda _: "", lambda _, sheet: sheet.labels(), lambda _: {})


@dataclass(frozen=True, slots=True)
class JsonContent:
    """A sidecar in JSON, with the format that it was found to have and what tells so."""

    format: JsonFormat
    root: Field
    sidecar: Sidecar
    reason: str

    def read(self) -> Labels:
        """Read what it says of its picture."""
        return self.format.read(self.root, Sheet(self.sidecar))

    def excerpts(self) -> Excerpts | None:
        """Take it apart by pictures; None where it is of one picture by its format."""
        return None if self.format.excerpts is None else self.format.excerpts(self.root)


@dataclass(frozen=True, slots=True)
class TextContent:
    """A sidecar in another syntax."""

    format: TextFormat
    sidecar: Sidecar
    reason: str

    def read(self) -> Labels:
        """Read what it says of its picture."""
        return self.format.read(self.sidecar, Sheet(self.sidecar))

    def excerpts(self) -> Excerpts | None:
        """Take it apart by pictures; None where it is of one picture by its format."""
        return None if self.format.excerpts is None else self.format.excerpts(self.sidecar)


def recognised(sidecar: Sidecar, names: Sequence[str]) -> JsonContent | TextContent:
    """Return a sidecar's content with its format, one of `names` where there are any; raise where it is none."""
    wanted = [known for known in FORMATS if not names or known.name in names]
    syntax = _syntax(sidecar)
    if syntax == "json":
        return _json(sidecar, [known for known in wanted if isinstance(known, JsonFormat)], names)
    texts = [known for known in wanted if isinstance(known, TextFormat) and known.syntax == syntax]
    for known in texts:
        reason = _CONFIGURED if len(names) == 1 else known.signs(sidecar)
        if reason:
            return TextContent(known, sidecar, reason)
    if len(texts) == 1:
        # Its own reader says best what is wrong with it.
        return TextContent(texts[0], sidecar, f"nothing else ends with {texts[0].suffix}")
    raise sidecar.bad("", _unknown(names), remedy=_known(names))


def _syntax(sidecar: Sidecar) -> str:
    """Return how a sidecar is written: `json`, `xml`, `csv` or `lines`."""
    head = sidecar.text[:4096].lstrip()
    if head[:1] in ("{", "["):
        return "json"
    if head[:1] == "<":
        return "xml"
    if "x_min" in head.partition("\n")[0]:
        return "csv"
    by_name = next((syntax for suffix, syntax in _SYNTAXES.items() if sidecar.name.endswith(suffix)), "")
    return by_name or ("lines" if head else "")


def _json(sidecar: Sidecar, wanted: Sequence[JsonFormat], names: Sequence[str]) -> JsonContent:
    root = parse(sidecar)
    if len(wanted) == 1:
        return JsonContent(wanted[0], root, sidecar, _CONFIGURED)
    for known in wanted:
        if reason := known.signs(root):
            return JsonContent(known, root, sidecar, reason)
    if root.value == [] and wanted:
        return JsonContent(_EMPTY_LIST, root, sidecar, "an empty list, which is the same in all formats that are lists")
    raise sidecar.bad("", _unknown(names), remedy=_known(names))


def _unknown(names: Sequence[str]) -> str:
    return "of none of the formats that are asked for" if names else "of no known format"


def _known(names: Sequence[str]) -> str:
    return f"Expected {', '.join(names)}." if names else f"Known are {', '.join(NAMES)}."
