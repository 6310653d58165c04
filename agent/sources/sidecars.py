"""Where a picture's sidecar lies: beside it, in a sister folder of labels, or as a part of a file for all pictures.

Beside the picture it is looked for each time, unless nothing in its folder can be a sidecar, see `BareFolders`. Whether
the folder has a sister, and a file for all, is looked up at most twice a second, and when an event tells of it:
thousands of pictures in a folder pay for that once.
"""

from __future__ import annotations

import os
import zlib
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.annotations.pairing import LABELS, can_be_shared, sidecar_names, sister_names, sister_of
from agent.annotations.read import MAX_SIDECAR_BYTES
from agent.errors import Wait
from agent.sources.bare import BareFolders
from agent.sources.listing import sighting, sighting_of
from agent.sources.opening import Vanished, open_below
from agent.sources.settle import Sighting
from agent.sources.shared import SharedFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.annotations.plan import AnnotationPlan
    from agent.clock import Clock
    from agent.errors import BadSidecar
    from agent.sources.shared import SharedFile

LOOKED_UP_S = 0.5
FOLDERS = 256
SPENT = 4096  # pictures whose last sidecar is remembered
_NONE: AbstractContextManager[None] = nullcontext()


@dataclass(frozen=True, slots=True)
class SidecarFile:
    """An open sidecar with its content; `name` is relative to the watched folder, and may lead to its sister.

    The part of a file for all pictures has no descriptor: `whole` is that file, `data` what it says of the picture, or
    `error` what is wrong with it.
    """

    name: str
    data: bytes
    sighting: Sighting
    descriptor: int | None = None
    whole: Path | None = None
    error: BadSidecar | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder with sidecars: `root` is what they are opened beneath, `below` the way to it, `shown` its name."""

    root: Path
    below: str
    shown: str


@dataclass(frozen=True, slots=True)
class _Folder:
    """What a folder of pictures has of sisters and of files for all."""

    until: float
    sisters: tuple[_Place, ...]
    shared: tuple[SharedFile, ...]


class Sidecars:
    """Finds the sidecars of one watched directory's pictures."""

    def __init__(self, root: Path, plan: AnnotationPlan, clock: Clock) -> None:
        self._root = root
        self._text = str(root)  # joined by hand: a Path a look is half of what a scan costs
        self._plan = plan
        self._clock = clock
        self._beside = _Place(root, "", "")
        self._shares = bool(plan.shared) and can_be_shared(plan.formats)
        self._files = SharedFiles(plan)
        self._folders: dict[str, _Folder] = {}
        self._bare = BareFolders(root, clock)
        self._spent: dict[str, Sighting] = {}
        sister = sister_of(str(root))
        self.sister = None if sister is None else Path(sister)
        """The folder of labels that belongs to the watched one, where that is one of images."""
        self.outer = "" if sister is None else os.path.relpath(sister, root)

    def look(self, picture: str) -> Sighting | None:
        """Return what the sidecar of a picture stands for now; None where it has none."""
        candidates, shared = self._candidates(picture)
        for place, name in candidates:
            path = f"{place.root}/{place.below}{name}"
            if _is_there(path) and (found := sighting_of(path)) not in (None, self._spent.get(picture)):
                return found
        part = self._part(picture, shared)
        return None if part is None else part.sighting

    def open(self, picture: str) -> AbstractContextManager[SidecarFile | None]:
        """Open the sidecar that counts for a picture, or yield None where there is none.

        Its sighting is of after the reading: where that is the one that has settled, the content is of then, too.
        """
        candidates, shared = self._candidates(picture)
        return self._opened(picture, candidates, shared) if candidates or shared else _NONE

    @contextmanager
    def _opened(
        self, picture: str, candidates: Sequence[tuple[_Place, str]], shared: Sequence[SharedFile]
    ) -> Iterator[SidecarFile | None]:
        with ExitStack() as stack:
            for place, name in candidates:
                path = f"{place.root}/{place.below}{name}"
                # Most pictures have none or one of these: a look costs a third of a refused opening.
                if not _is_there(path):
                    continue
                try:
                    descriptor, status = stack.enter_context(open_below(place.root, f"{place.below}{name}"))
                except Vanished:
                    continue
                data, seen = _read(path, descriptor, status.st_size)
                if seen == self._spent.get(picture):
                    continue
                yield SidecarFile(f"{place.shown}{name}", data, seen, descriptor)
                return
            yield self._part(picture, shared)

    def spend(self, picture: str, seen: Sighting) -> None:
        """Remember the sidecar that went with a picture: as it is, it says nothing of what comes under that name next.

        The new picture of a program that rewrites `latest.jpg` and `latest.txt` in turn would else get the old boxes.
        """
        self._spent.pop(picture, None)
        self._spent[picture] = seen
        if len(self._spent) > SPENT:
            del self._spent[next(iter(self._spent))]

    def is_shared(self, name: str) -> bool:
        """Tell whether a file is one for all pictures in its folder, by its name."""
        return self._shares and name.rpartition("/")[2] in self._plan.shared

    def heard(self, name: str) -> None:
        """Look again where an event told of a sidecar."""
        if self.is_shared(name):
            self._folders.pop(name.rpartition("/")[0], None)
        elif f"/{LABELS}/" in f"/{name}":
            self._folders.clear()

    def _candidates(self, picture: str) -> tuple[Sequence[tuple[_Place, str]], Sequence[SharedFile]]:
        """Return the places and names of what would be this picture's own sidecar, and the files for all."""
        folder, slash, last = picture.rpartition("/")
        found: list[tuple[_Place, str]] = []
        if not self._bare.has(folder):
            place = _Place(self._root, f"{folder}{slash}", f"{folder}{slash}") if folder else self._beside
            found += [(place, name) for name in sidecar_names(last, self._plan.formats)]
        known = self._folder(folder)
        for sister in known.sisters:
            found += [(sister, name) for name in sister_names(last, self._plan.formats)]
        return found, known.shared

    def _part(self, picture: str, shared: Sequence[SharedFile]) -> SidecarFile | None:
        """Return what a file for all pictures says of this one."""
        last = picture.rpartition("/")[2]
        for file in shared:
            whole = self._root / file.name
            if file.error is not None:
                return SidecarFile(file.name, b"", file.sighting, whole=whole, error=file.error)
            data = file.excerpt(last)
            if data is not None:
                # The file may grow with every picture: this one's part is what has to rest.
                seen = Sighting(file.sighting.inode, len(data), zlib.crc32(data))
                return SidecarFile(file.name, data, seen, whole=whole)
        return None

    def _folder(self, folder: str) -> _Folder:
        now = self._clock.boot()
        known = self._folders.get(folder)
        if known is None or known.until <= now:
            if len(self._folders) >= FOLDERS:
                self._folders.clear()
            known = _Folder(now + LOOKED_UP_S, tuple(self._sisters(folder)), tuple(self._shared(folder)))
            self._folders[folder] = known
        return known

    def _sisters(self, folder: str) -> Iterator[_Place]:
        prefix = f"{folder}/" if folder else ""
        if os.path.isdir(f"{self._text}/{prefix}{LABELS}"):  # noqa: PTH112 (a Path costs as much as the look)
            yield _Place(self._root, f"{prefix}{LABELS}/", f"{prefix}{LABELS}/")
        inner = sister_of(folder)
        if inner is not None:
            if os.path.isdir(f"{self._text}/{inner}"):  # noqa: PTH112
                yield _Place(self._root, f"{inner}/", f"{inner}/")
        elif self.sister is not None and os.path.isdir(f"{self.sister}/{prefix}"):  # noqa: PTH112
            yield _Place(self.sister, prefix, f"{self.outer}/{prefix}")

    def _shared(self, folder: str) -> Iterator[SharedFile]:
        for last in self._plan.shared if self._shares else ():
            name = f"{folder}/{last}" if folder else last
            if _is_there(f"{self._text}/{name}"):
                found = self._files.look(self._root / name, self._root, name)
                if found is not None:
                    yield found


def _is_there(path: str) -> bool:
    """Tell whether a name is taken; unlike `lstat` and `lexists` this costs no exception where it is not."""
    return os.access(path, os.F_OK, follow_symlinks=False)


def _read(path: str, descriptor: int, size: int) -> tuple[bytes, Sighting]:
    try:
        # One byte more than it had: what has grown since is another state of it.
        return os.pread(descriptor, min(size, MAX_SIDECAR_BYTES) + 1, 0), sighting(os.fstat(descriptor))
    except OSError as error:
        raise Wait(f"cannot read {path}: {error.strerror}", remedy="Check its disk.") from error
