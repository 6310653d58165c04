"""What becomes of a picture before it is sent: nothing, where its own bytes will do, else a JPEG made in the child."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from agent.errors import BadPicture
from agent.media import EXTENSIONS, JPEG
from agent.pictures.inspect import NotWhole, PictureLimits, inspect
from agent.pictures.location import without_location
from agent.pictures.orientation import UPRIGHT
from agent.pictures.tape import opened, pieces
from agent.pictures.transform import Recipe

if TYPE_CHECKING:
    from agent.pictures.inspect import Picture
    from agent.pictures.transform import Transform


# What is passed on was never limited by pixels; what is decoded is limited by the child's own limits.
_ANY_FRAME = PictureLimits(max_bytes=10**9, max_pixels=10**9)


FORMATS = 16  # sizes and orientations of which one remembers what is done to them: a camera has one or two


class Darkroom(Protocol):
    """What decodes and encodes pictures, in a process of its own."""

    def verify(self, source: bytes | int) -> None:
        """Raise `BadPicture` where the picture does not decode."""
        ...

    def convert(self, source: bytes | int, *, quality: int, transform: Transform) -> bytes:
        """Return the picture as a JPEG, with everything done to it that the transform says."""
        ...


@dataclass(frozen=True, slots=True)
class Encoding:
    """How pictures are encoded; with `passthrough` an acceptable one is sent byte for byte.

    With `strip_gps` that holds for its pixels, and where it was taken is left out.
    """

    quality: int = 90
    max_side: int = 0
    passthrough: bool = True
    strip_gps: bool = False


class Developer:
    """Makes of one source's pictures what is sent of them."""

    def __init__(self, darkroom: Darkroom, encoding: Encoding, recipe: Recipe) -> None:
        self._darkroom = darkroom
        self._encoding = encoding
        self._recipe = recipe
        self._transform_of = lru_cache(maxsize=FORMATS)(self._decide)

    def transform(self, picture: Picture) -> Transform | None:
        """Return what is to be done to a picture and its boxes; None where its own bytes will do.

        Those keep their pixels as they are stored, and what EXIF says of their orientation goes with them.
        """
        return self._transform_of(picture.width, picture.height, picture.orientation, picture.media_type)

    def _decide(self, width: int, height: int, orientation: int, media_type: str) -> Transform | None:
        transform = self._recipe.for_picture(width, height, orientation)
        as_it_is = media_type in EXTENSIONS and self._encoding.passthrough and transform.keeps_pixels
        return None if as_it_is else transform

    def develop(self, source: bytes | int, picture: Picture, transform: Transform | None) -> bytes | None:
        """Return what is sent of a picture, None where that is the picture itself; raises as `PictureChild.convert`.

        `transform` is what was said of it; what is encoded anew has no EXIF, and tells no place.
        """
        if transform is not None:
            return self._darkroom.convert(source, quality=self._encoding.quality, transform=transform)
        if not self._encoding.strip_gps:
            return None
        with opened(source) as descriptor:
            return without_location(descriptor, picture.size, picture.media_type)

    def shown(self, descriptor: int, picture: Picture) -> tuple[bytes, Picture]:
        """Return a file's picture as it is sent, but always as a JPEG, and what that is: an annotator looks at it."""
        transform = self.transform(picture)
        if transform is None and picture.media_type != JPEG:
            if picture.orientation != UPRIGHT:
                raise BadPicture("it is turned by EXIF, sent so, and no JPEG: an annotator cannot be shown it")
            transform = Recipe().for_picture(picture.width, picture.height)
        data = self.develop(descriptor, picture, transform)
        if transform is not None:
            width, height = transform.size
            picture = picture._replace(media_type=JPEG, width=width, height=height, orientation=UPRIGHT)
        return b"".join(pieces(descriptor, 0, picture.size)) if data is None else data, picture

    def develop_frame(self, jpeg: bytes) -> bytes:
        """Return what is sent of a frame that is a JPEG already; raises `BadPicture` where it is no whole one, too."""
        with opened(jpeg) as descriptor:
            try:
                picture = inspect(descriptor, _ANY_FRAME)
                return self.develop(descriptor, picture, self.transform(picture)) or jpeg
            except NotWhole as error:  # there is no more to come
                raise BadPicture(str(error)) from error
