"""Where the next marker of a JPEG lies: every picture that is taken in is searched for them to its end.

FF 00 is data, FF FF is filling, FF D0 to FF D7 keep decoders in step; every other FF opens a segment. As in decoders,
what lies between segments is passed over: webcams leave stray bytes there.
"""

from __future__ import annotations

import re

_FF = 0xFF
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_OPENS = bytes(_MARKER.fullmatch(bytes((0xFF, second))) is not None for second in range(256))
# Of what a camera makes at quality 90 every 600th byte is FF: from one to the next at a time takes half of what the
# expression takes, which looks at every byte. Where they are closer than this, the expression is the faster one.
_STEPS, _WORTH = 64, 300


def next_marker(data: bytes | bytearray, at: int, end: int) -> int:
    """Return where, from `at` on and before `end`, the second byte of the next marker is; -1 where there is none."""
    last = end - 1
    if at < last and data[at] == _FF and _OPENS[data[at + 1]]:
        return at + 1  # in a header one follows the other
    try:
        while True:
            begin = at
            for _ in range(_STEPS):
                at = data.index(_FF, at, last) + 1
                if _OPENS[data[at]]:
                    return at
            if at - begin < _STEPS * _WORTH:
                found = _MARKER.search(data, at, end)
                return -1 if found is None else found.end() - 1
    except ValueError:
        return -1
