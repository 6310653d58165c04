"""What can become of a file whose turn has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.sources.settle import Sighting
    from agent.spool.records import Staged


@dataclass(frozen=True, slots=True)
class Taken:
    """The picture is staged; it has to be committed."""

    staged: Staged


@dataclass(frozen=True, slots=True)
class Old:
    """These bytes were captured before."""


@dataclass(frozen=True, slots=True)
class Forgone:
    """It is on record as dropped: for want of room where its source gives up the newest, or by the annotator's rule."""


@dataclass(frozen=True, slots=True)
class Crowded:
    """Too many wait for the annotator: a later walk finds it again, see `wants_more`."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """It is not worth the link; that has to be committed."""


@dataclass(frozen=True, slots=True)
class Gone:
    """There is no such file any more."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The file is another one than was seen."""

    now: Sighting


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The file is no whole picture yet."""

    reason: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """This one file cannot be taken now: it is unreadable, or changes all the time."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unpaired:
    """The picture is ready, but its sidecar is not: there is none yet, or it still grows.

    For ever where an annotator has yet to look at it: what that says comes with `annotated`.
    """

    until: float


@dataclass(frozen=True, slots=True)
class Unfit:
    """Nothing to send."""

    reason: str


Outcome = Taken | Skipped | Old | Forgone | Crowded | Gone | Changed | Unfinished | Withheld | Unpaired | Unfit
