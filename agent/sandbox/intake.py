"""What a request brings in: its bounded body, and the parts of an upload."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from starlette.datastructures import UploadFile
from starlette.requests import Request

from agent.sandbox.contract import MAX_BODY_BYTES, MAX_FILENAME, Refusal, json_object, metadata_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.datastructures import FormData
    from starlette.types import Message

READ_DEADLINE_S = 120.0
MAX_JSON_BYTES = 1_000_000
_PARTS = {"image", "metadata"}
_MORE_PARTS_THAN_ARE_RIGHT = 4


class Parts(NamedTuple):
    """A well-formed upload: the open picture, its name, and the metadata (None where there is none)."""

    picture: IO[bytes]
    size: int
    filename: str
    metadata: dict[str, Any] | None


@asynccontextmanager
async def parts(request: Request) -> AsyncIterator[Parts]:
    """Read an upload, a large picture into a temporary file; Refusal where it breaks the contract."""
    bounded = limited(request, MAX_BODY_BYTES)
    most = _MORE_PARTS_THAN_ARE_RIGHT
    try:
        async with asyncio.timeout(READ_DEADLINE_S):
            form = await bounded.form(max_files=most, max_fields=most)
    except TimeoutError as error:
        raise Refusal("The upload took too long", 408) from error
    try:
        yield _parts(form)
    finally:
        await form.close()


async def body_of(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request consists of; Refusal where it is something else."""
    return json_object(await limited(request, MAX_JSON_BYTES).body(), "the body")


def limited(request: Request, limit: int) -> Request:
    """Return the same request, refused (413) as soon as its body reaches the limit in bytes."""
    left = limit

    async def receive() -> Message:
        nonlocal left
        message = await request.receive()
        left -= len(message.get("body", b""))
        if left <= 0:
            raise Refusal(f"The request is not under {limit} bytes", 413)
        return message

    return Request(request.scope, receive)


def _parts(form: FormData) -> Parts:
    names = [name for name, _ in form.multi_items()]
    if unknown := set(names) - _PARTS:
        raise Refusal(f"unknown part {min(unknown)!a}")
    if len(names) != len(set(names)):
        raise Refusal("a part is there twice")
    image, metadata = form.get("image"), form.get("metadata")
    if not isinstance(image, UploadFile):
        raise Refusal("image is missing, or no file part of a multipart form")
    if isinstance(metadata, UploadFile):
        raise Refusal("metadata is a file; it has to be a plain field")
    if not image.filename or len(image.filename) > MAX_FILENAME:
        raise Refusal(f"image has no filename of 1 to {MAX_FILENAME} characters")
    return Parts(image.file, image.size or 0, image.filename, None if metadata is None else metadata_of(metadata))
