"""The settings of `[page]`: where the status page listens, and who may see it."""

from __future__ import annotations

import re
from ipaddress import ip_address

from pydantic import Field, field_validator

from agent.config.fields import FilePath, Section, Timeout

_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]/]+):(?P<port>[0-9]{1,5})")
HIGHEST_PORT = 65_535


class PageSettings(Section):
    """Where `acusight-agent page` is seen, and by whom."""

    listen: str = Field(
        default="127.0.0.1:8585",
        description='Address and port, or the path of a Unix socket ("/run/…"); beyond loopback only with a '
        "token_file.",
    )
    token_file: FilePath | None = Field(
        default=None,
        description="A file with the password that the page asks for, 16 characters or more, readable by its owner "
        "only; any user name goes with it.",
    )
    idle_s: Timeout = Field(
        default=300.0,
        description="Time without a visitor after which a page that systemd started ends itself, in seconds.",
    )

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, listen: str) -> str:
        place(listen)
        return listen


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
