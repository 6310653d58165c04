"""The picture child: decodes and re-encodes pictures, one request after another, for the daemon that started it.

The one place beside the cameras where `cv2` lives: a hostile picture takes down this process, not the daemon. Of the
agent it imports what is done to pixels, which the cameras' grabbers do in the same way, and little else.

    python -P -m agent.pictures.child IDLE_S CPU_S PARENT_PID

A request is a line of JSON with an open file's descriptor beside it: the picture's `size`, `width` and `height`, and an
`operation`. An answer is a line of JSON with the `size` of the bytes that follow it.

    decode                             check that the picture decodes, undamaged, to its header's size
    convert  quality, steps            carry out the steps of a `Transform`, and make it a JPEG
    shrink   quality, max_bytes        re-encode it as JPEG, smaller until it fits
    draw     steps, boxes              the same, with named boxes on it, as a PNG
    look     needs, crop, masks,       measure it as it is sent, for the limits in `needs`, of a JPEG decoded to an
             orientation               eighth of its size; the answer is JSON

Answers hold `error` where there is no result; `missing` instead where there is no cv2, `unread` where the file cannot
be read, `short` where it ends too early. An empty one comes first and says that the child is ready: should it die
before, no picture is to blame. It ends when its input ends, when nothing was asked for IDLE_S, and with its parent.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
from typing import TYPE_CHECKING, Any, TypeAlias

from agent.pictures.replying import confine, requests, say

MISSING = ""
try:
    import cv2
    import numpy as np

    from agent.pictures import pixels
    from agent.pictures.tiff import without_orientation
    from agent.pictures.transform import Recipe
    from agent.selection import looks
except ImportError as error:
    MISSING = str(error)

if TYPE_CHECKING:
    from collections.abc import Callable

# A numpy array; named for the type checker where there is no numpy either.
Pixels: TypeAlias = Any

# 100 million pixels need 300 MB as decoded, 900 MB on the way from 16 bits a channel; cv2 itself maps 400 MB.
MEMORY_BYTES = 1_500_000_000
_STDERR = 2
# Half as good before half as large: boxes and small objects suffer less.
_LADDER = ((1, 1.0), (1, 0.8), (1, 0.6), (2, 0.9), (2, 0.6), (4, 0.9), (4, 0.6), (8, 0.6))


class _Unusable(Exception):
    """There is no result; the message says why."""


def _decode(picture: bytes) -> Pixels:
    """Return 8-bit pixels, grey or BGR, as they are stored: turning them is for `Transform`, and done once."""
    stored = np.frombuffer(without_orientation(picture), np.uint8)
    try:
        image = cv2.imdecode(stored, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except (cv2.error, MemoryError) as error:
        raise _Unusable(f"it cannot be decoded ({_reason(error)})") from error
    if image is None:
        raise _Unusable("it cannot be decoded")
    return image


def _encode(image: Pixels, quality: int) -> bytes:
    try:
        done, jpeg = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, quality))
    except (cv2.error, MemoryError) as error:
        raise _Unusable(f"it cannot be made a JPEG ({_reason(error)})") from error
    if not done:
        raise _Unusable("it cannot be made a JPEG")
    return bytes(jpeg)


def _reason(error: Exception) -> str:
    return getattr(error, "err", "") or type(error).__name__


def _check_size(request: dict[str, Any], image: Pixels) -> None:
    height, width = image.shape[:2]
    if (width, height) != (request["width"], request["height"]):
        raise _Unusable(f"its header says {request['width']} x {request['height']}, its pixels {width} x {height}")


def _check_damage(_request: dict[str, Any], _image: Pixels) -> bytes:
    # libjpeg fills in what is missing, says so here, and cv2 returns it as success (opencv #28638).
    said = os.pread(_STDERR, 4096, 0)
    if b"premature end" in said:
        raise _Unusable("it is damaged: pixels are missing")
    return b""


def _convert(request: dict[str, Any], image: Pixels) -> bytes:
    try:
        prepared = pixels.prepared(image, request["steps"])
    except (cv2.error, MemoryError) as error:
        raise _Unusable(f"it cannot be prepared ({_reason(error)})") from error
    return _encode(prepared, request["quality"])


def _shrink(request: dict[str, Any], image: Pixels) -> bytes:
    height, width = image.shape[:2]
    for divisor, share in _LADDER:
        smaller = pixels.resized(image, (-(-width // divisor), -(-height // divisor)))
        jpeg = _encode(smaller, max(1, int(request["quality"] * share)))
        if len(jpeg) <= request["max_bytes"]:
            return jpeg
    raise _Unusable(f"it does not fit into {request['max_bytes']} bytes, even at an eighth of its side")


def _draw(request: dict[str, Any], image: Pixels) -> bytes:
    try:
        drawn = pixels.drawn(pixels.prepared(image, request["steps"]), request["boxes"])
        done, png = cv2.imencode(".png", drawn)
    except (cv2.error, MemoryError) as error:
        raise _Unusable(f"it cannot be drawn on ({_reason(error)})") from error
    if not done:
        raise _Unusable("it cannot be made a PNG")
    return bytes(png)


def _look(request: dict[str, Any], picture: bytes) -> bytes:
    """Measure a picture as it is sent, of a JPEG decoded only as far as that needs: 2 ms for 200 KB in place of 4."""
    needs, recipe = frozenset(request["needs"]), Recipe(request["crop"], request["masks"])
    sent = recipe.for_picture(request["width"], request["height"], request["orientation"])
    flag = looks.reduction(max(sent.size), needs) | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        grey = cv2.imdecode(np.frombuffer(without_orientation(picture), np.uint8), flag)
        if grey is not None:
            height, width = grey.shape[:2]
            steps = recipe.for_picture(width, height, sent.orientation).steps()
            framed = pixels.prepared(grey, steps) if recipe.crop or recipe.masks else grey
            return json.dumps(looks.look_at(framed, needs).as_json()).encode()
    except (cv2.error, MemoryError) as error:
        raise _Unusable(f"it cannot be looked at ({_reason(error)})") from error
    raise _Unusable("it cannot be decoded")


_OPERATIONS: dict[str, Callable[[dict[str, Any], Pixels], bytes]] = {
    "decode": _check_damage,
    "convert": _convert,
    "shrink": _shrink,
    "draw": _draw,
}


def _answer(request: dict[str, Any], descriptor: int) -> tuple[dict[str, Any], bytes]:
    if MISSING:
        return {"missing": MISSING}, b""
    os.ftruncate(_STDERR, 0)
    try:
        picture = _read(descriptor, request["size"])
        if len(picture) < request["size"]:
            return {"short": True}, b""
        if request["operation"] == "look":
            return {}, _look(request, picture)
        image = _decode(picture)
        _check_size(request, image)
        return {}, _OPERATIONS[request["operation"]](request, image)
    except OSError as error:
        return {"unread": error.strerror}, b""
    except _Unusable as verdict:
        return {"error": str(verdict)}, b""


def _read(descriptor: int, size: int) -> bytes:
    """Return the first bytes of a file, fewer where it has no more; its position belongs to somebody else."""
    picture = os.pread(descriptor, size, 0)
    while len(picture) < size and (more := os.pread(descriptor, size - len(picture), len(picture))):
        picture += more
    return picture


def _allow_cpu(seconds: int) -> None:
    """Grant the next request its time, as far as the machine does; the limit counts from the start of the process."""
    used, most = resource.getrusage(resource.RUSAGE_SELF), resource.getrlimit(resource.RLIMIT_CPU)[1]
    granted = int(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (granted if most == resource.RLIM_INFINITY else min(granted, most), most))


def main(idle_s: float, cpu_s: int, parent: int) -> None:
    """Answer requests on standard input until there are no more."""
    confine(parent, MEMORY_BYTES)
    if not MISSING:
        cv2.setNumThreads(1)
    answers = os.fdopen(os.dup(1), "wb")
    # What the libraries print must not get between the answers; it is kept for `_check_damage`.
    said = os.memfd_create("said")
    os.dup2(said, 1)
    os.dup2(said, _STDERR)
    say(answers, {}, b"")
    for request, descriptor in requests(socket.socket(fileno=0), idle_s):
        _allow_cpu(cpu_s)
        answer = _answer(request, descriptor)
        os.close(descriptor)
        say(answers, *answer)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
