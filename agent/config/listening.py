"""Where a page may listen, as `page.listen` says it."""

from __future__ import annotations

import re
from ipaddress import ip_address

_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]/]+):(?P<port>[0-9]{1,5})")
HIGHEST_PORT = 65_535


def place(listen: str) -> tuple[str, int] | str:
    """Read an address and port, or the path of a socket; raises ValueError for what is neither."""
    if listen.startswith("/"):
        return listen
    found = _PLACE.fullmatch(listen)
    if found is None or int(found["port"]) > HIGHEST_PORT:
        raise ValueError('must be an address with a port, such as "127.0.0.1:8585", or the path of a Unix socket')
    return found["host"].strip("[]"), int(found["port"])


def is_loopback(host: str) -> bool:
    """Tell whether only this machine reaches an address; a name counts only where it is localhost."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
