"""The server's address: what may be written, and where plain HTTP is no risk."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_NEAR = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
        "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip
_VISIBLE_ASCII = re.compile(r"[!-~]+")


def check_url(url: str, *, allow_plain_http: bool) -> None:
    """Raise ValueError with a sentence unless the device key may be sent to `url`.

    The messages never repeat the URL: it may hold a password, which is one of the things refused.
    """
    parts = _split(url)
    if parts.scheme not in {"http", "https"}:
        raise ValueError("must start with https:// (or http:// for a server on the local network)")
    if not parts.hostname:
        raise ValueError("names no host; write it like https://HOST/api")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or password; the device key alone identifies this device")
    if "?" in url or "#" in url:
        raise ValueError("must not have a query (?) or a fragment (#); write it like https://HOST/api")
    if parts.scheme == "http" and not (allow_plain_http or is_near(parts.hostname)):
        raise ValueError(
            "would send the device key unencrypted to a public host; "
            "use https://, or set allow_plain_http = true if you accept that"
        )


def is_near(host: str) -> bool:
    """Tell whether `host` is this machine or its own network, judged by its text alone.

    That is: loopback, link-local and private addresses (RFC 1918, fc00::/7), `localhost`, and `.local` names, which
    are answered on the link by definition (RFC 6762). Other names could resolve to anywhere.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        name = host.rstrip(".").lower()
        return name == "localhost" or name.endswith((".localhost", ".local"))
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in _NEAR)


def _split(url: str) -> SplitResult:
    if not _VISIBLE_ASCII.fullmatch(url):
        raise ValueError("must not be empty or hold spaces, control or non-ASCII characters")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("is no valid URL; write it like https://HOST:PORT/api") from None
    return parts
