"""Who the platform takes this device for: what `GET /device/self` says. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from agent.platform.answers import json_object, shown

# What keeps a device from delivering, and after how many seconds to ask again: somebody is about to approve the one,
# and nobody the other.
UNAPPROVED = {"pending": 60.0, "rejected": 900.0}


@dataclass(frozen=True, slots=True)
class Identity:
    """The device as the platform knows it; what it does not tell is empty."""

    device_id: str = ""
    status: str = ""
    name: str = ""


def read_identity(body: bytes) -> Identity | None:
    """Return what the answer says of the device; None where it is no answer of the platform.

    `endpoint_id` is the same as `device_id`, and both may be numbers.
    """
    document = json_object(body)
    if document is None or document.get("success") is False:
        return None
    data = document.get("data")
    if not isinstance(data, dict):
        return Identity()
    return Identity(
        _text(data.get("device_id")) or _text(data.get("endpoint_id")),
        _text(data.get("status")),
        _text(data.get("name")),
    )


def _text(value: object) -> str:
    return shown(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else ""
