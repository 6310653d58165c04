"""Sizes in bytes, as people write them."""

from __future__ import annotations

import re

_UNITS = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([A-Za-z]{0,3})")


def size_in_bytes(value: object) -> object:
    """Turn `"4 GB"` or `"2 GiB"` into bytes; anything but a string is left to the next check."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None or match[2].lower() not in _UNITS:
        raise ValueError('must be a number of bytes, or a size such as "500 MB", "4 GB" or "2 GiB"')
    number, unit = match[1], _UNITS[match[2].lower()]
    return int(float(number) * unit) if "." in number else int(number) * unit
