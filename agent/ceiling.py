"""How a child takes no more of the machine than it may, whatever it is given."""

from __future__ import annotations

import resource


def lower(kind: int, most: int) -> None:
    """Have this process refused what it asks for beyond `most`; a lower limit stays, since to raise it is refused."""
    present = resource.getrlimit(kind)[1]
    if present == resource.RLIM_INFINITY or most < present:
        resource.setrlimit(kind, (most, most))
