"""Whether a file is a whole, acceptable picture: told from its bytes, without decoding them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agent.buffers import Loan
from agent.errors import BadPicture
from agent.media import EXTENSIONS
from agent.pictures import foreign, jpeg, png
from agent.pictures.limits import PictureLimits
from agent.pictures.tape import NotWhole, Tape, steady

if TYPE_CHECKING:
    from agent.pictures.header import Header

__all__ = ["NotWhole", "Picture", "PictureLimits", "inspect"]

_WALKERS = {
    b"\xff\xd8\xff": jpeg.walk,
    b"\x89PNG\r\n\x1a\n": png.walk,
    b"RIFF": foreign.walk_webp,
    b"BM": foreign.walk_bmp,
    b"II*\0": foreign.walk_tiff,
    b"MM\0*": foreign.walk_tiff,
}
_LONGEST_MAGIC = max(map(len, _WALKERS))


class Picture(NamedTuple):
    """A whole picture: `width` and `height` in pixels as stored, `sha256` and `size` of all the file's bytes.

    `orientation` is EXIF's, 1 to 8; from 5 on the picture is shown with width and height swapped.
    """

    media_type: str
    width: int
    height: int
    sha256: str
    size: int
    orientation: int = 1

    @property
    def sendable(self) -> bool:
        """Tell whether the platform takes these bytes as they are; WebP, BMP and TIFF are converted first."""
        return self.media_type in EXTENSIONS


def inspect(descriptor: int, limits: PictureLimits) -> Picture:
    """Return what an open file holds, if that is a whole picture within the limits.

    One pass, at most two pieces of 256 KB in memory; the descriptor's position neither matters nor moves. Raises
    `NotWhole` for what may still be growing, `BadPicture` for what waiting will not mend, and `Wait` where the
    file cannot be read. The messages do not name the file: only the caller knows it.
    """
    with steady(descriptor) as size, Loan() as buffer:
        _check_size(size, limits.max_convert_bytes)
        tape = Tape(descriptor, size, buffer)
        header = _walk(tape)
        _check_pixels(header, limits)
        picture = Picture(header.media_type, header.width, header.height, tape.finish(), size, header.orientation)
        if picture.sendable:
            _check_size(size, limits.max_bytes)
        return picture


def _walk(tape: Tape) -> Header:
    head = tape.look(0, min(tape.size, _LONGEST_MAGIC))
    for magic, walk in _WALKERS.items():
        if head.startswith(magic):
            return walk(tape)
    if any(magic.startswith(head) for magic in _WALKERS):
        raise NotWhole("the file has hardly begun" if head else "the file is empty so far")
    raise BadPicture("it is no JPEG, PNG, WebP, BMP or TIFF", remedy="Leave such files out of the patterns.")


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise BadPicture(f"it has {size} bytes, more than the {most} that are accepted")


def _check_pixels(header: Header, limits: PictureLimits) -> None:
    size = f"its header says {header.width} x {header.height} pixels"
    if header.width <= 0 or header.height <= 0:
        raise BadPicture(size)
    if header.width * header.height > limits.max_pixels:
        raise BadPicture(f"{size}, more than the {limits.max_pixels} that are accepted")
