"""What servers are asked, and where their answer lies: presets, and what a person says of any other. Pure."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from agent.annotators.plan import Shape
from agent.errors import Unanswered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What a language model is asked, and held to by its grammar.
PROMPT = (
    "List every object in the picture that is one of: {classes}. Give each its label and the corners of its box as "
    "fractions of the picture's width and height, from 0 to 1, origin at the top left."
)
ANY_CLASS = "any object that you can name"
OBJECTS = Shape(entries=("objects",), box=("x_min", "y_min", "x_max", "y_max"), form="corners", unit="fraction")
_NUMBERS = {name: {"type": "number"} for name in OBJECTS.box}
_SCHEMA = {
    "type": "object",
    "properties": {
        "objects": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"label": {"type": "string"}, **_NUMBERS},
                "required": ["label", *_NUMBERS],
            },
        }
    },
    "required": ["objects"],
}


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """One POST for a picture.

    `body` is `multipart` (the JPEG as the file `key`), `json` (as base64 in `key`, in a list where it is `listed`),
    `base64` or `jpeg`, nothing else. `members` are further form fields or members of the JSON. `within` is the key of
    the answer whose text is the JSON that counts.
    """

    url: str
    body: Literal["multipart", "json", "base64", "jpeg"] = "multipart"
    key: str = "image"
    members: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    listed: bool = False
    within: str = ""

    def payload(self, jpeg: bytes) -> tuple[str, bytes]:
        """Return the content type and the body of the request for a picture."""
        if self.body == "jpeg":
            return "image/jpeg", jpeg
        coded = base64.b64encode(jpeg)
        if self.body == "base64":
            return "application/x-www-form-urlencoded", coded
        if self.body == "json":
            text = coded.decode("ascii")
            member = {self.key: [text] if self.listed else text}
            return "application/json", json.dumps({**self.members, **member}).encode()
        return self._form(jpeg)

    def _form(self, jpeg: bytes) -> tuple[str, bytes]:
        # The digest of the picture cannot stand in the picture.
        boundary = hashlib.sha256(jpeg).hexdigest()[:40]
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{_text(value)}\r\n'.encode()
            for name, value in self.members.items()
        ]
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(self.key)}"; filename="picture.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n"
        )
        ended = f"\r\n--{boundary}--\r\n"
        return f"multipart/form-data; boundary={boundary}", b"".join([*parts, head.encode(), jpeg, ended.encode()])

    def answer(self, data: bytes) -> bytes:
        """Return the JSON that counts within an answer."""
        if not self.within:
            return data
        try:
            text = json.loads(data)[self.within]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Unanswered(f"its answer has no `{self.within}`", away=True) from None
        if not isinstance(text, str):
            raise Unanswered(f"`{self.within}` of its answer is no text", away=True)
        return text.encode("utf-8", "replace")


def language_model(model: str, prompt: str | None, classes: Sequence[str]) -> dict[str, Any]:
    """Return what a vision language model is asked beside the picture; the same picture gets the same answer."""
    asked = prompt or PROMPT.replace("{classes}", ", ".join(classes) or ANY_CLASS)
    return {"model": model, "prompt": asked, "stream": False, "format": _SCHEMA, "options": {"temperature": 0}}


def _quoted(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
