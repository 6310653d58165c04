"""What the platform accepts in an upload, as pure checks."""

from __future__ import annotations

import hmac
import json
import re
import secrets
from typing import Any

from agent.errors import AgentError
from agent.media import JPEG, PNG

MAX_BODY_BYTES = 50_000_000
MAX_FILENAME = 255
_MAGIC = {b"\xff\xd8\xff": JPEG, b"\x89PNG\r\n\x1a\n": PNG}
MAGIC_BYTES = max(map(len, _MAGIC))
_TEXTS = ("model_id", "model_version", "source", "timestamp")
_KEY = re.compile(r"adk_[0-9a-fA-F]+")
_TOKEN = re.compile(r"apt_[0-9a-fA-F]+")
_SECRET_TAIL = 16


class Refusal(AgentError):
    """The platform takes this request for nothing; `status`, `code` and the text are what it answers."""

    def __init__(self, what: str, status: int = 400, code: str | None = None) -> None:
        super().__init__(what)
        self.status = status
        self.code = code


class Keys:
    """The device keys that the sandbox takes: the one it was given (else any well-formed one), and those it issued."""

    def __init__(self, given: str | None) -> None:
        self._given = given
        self._issued: dict[str, str] = {}
        self._spent: set[str] = set()

    def accepts(self, key: str) -> bool:
        """Tell whether a request with this key is let in."""
        if self._given is None:
            return is_key(key)
        return any(hmac.compare_digest(key.encode(), known.encode()) for known in (self._given, *self._issued.values()))

    def takes(self, token: str) -> bool:
        """Tell whether a provisioning token is well-formed and unspent."""
        return _TOKEN.fullmatch(token) is not None and token not in self._spent

    def knows(self, device_id: str) -> bool:
        """Tell whether a device has been provisioned already."""
        return device_id in self._issued

    def issue(self, token: str, device_id: str) -> str:
        """Spend the token and return the device's new key, accepted until the sandbox ends."""
        self._spent.add(token)
        self._issued[device_id] = "adk_" + secrets.token_hex(16)
        return self._issued[device_id]


def is_key(text: str) -> bool:
    """Tell whether a text has the form of a device key."""
    return _KEY.fullmatch(text) is not None


def key_suffix(key: str) -> str:
    """Return the last four characters of a key, or nothing of one so short that they would give it away."""
    return key[-4:] if len(key) >= _SECRET_TAIL else ""


def media_type_of(head: bytes) -> str:
    """Return the media type that the first bytes of a picture say; Refusal where it is neither JPEG nor PNG."""
    for magic, media_type in _MAGIC.items():
        if head.startswith(magic):
            return media_type
    raise Refusal("image is neither JPEG nor PNG")


def metadata_of(text: str) -> dict[str, Any]:
    """Return the metadata that a form field holds; Refusal names the key that is wrong. Unknown keys are fine."""
    value = json_object(text, "metadata")
    for key in _TEXTS:
        if not isinstance(value.get(key), str | None):
            raise Refusal(f"metadata.{key} is not a string")
    annotations = value.get("annotations", [])
    if not isinstance(annotations, list):
        raise Refusal("metadata.annotations is not a list")
    for index, annotation in enumerate(annotations):
        _check_annotation(annotation, f"metadata.annotations[{index}]")
    return value


def json_object(text: str | bytes, name: str) -> dict[str, Any]:
    """Return the JSON object that a text holds; Refusal calls it `name` where it holds none."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{name} is not JSON") from error
    if not isinstance(value, dict):
        raise Refusal(f"{name} is not a JSON object")
    return value


def _check_annotation(annotation: object, where: str) -> None:
    if not isinstance(annotation, dict):
        raise Refusal(f"{where} is not an object")
    if not isinstance(annotation.get("class_value"), str) or not annotation["class_value"]:
        raise Refusal(f"{where}.class_value is not a class name")
    if annotation.get("type") != "bbox":
        raise Refusal(f"{where}.type is not bbox")
    geometry = annotation.get("geometry")
    if not isinstance(geometry, list) or len(geometry) != len("xywh") or not all(map(_is_share, geometry)):
        raise Refusal(f"{where}.geometry is not four numbers from 0 to 1")
    if "confidence" in annotation and not _is_share(annotation["confidence"]):
        raise Refusal(f"{where}.confidence is not a number from 0 to 1")


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
