"""The way to the platform: its name, its certificate, the clocks of both, and what it says of this device."""

from __future__ import annotations

import shlex
import socket
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent.clock import is_plausible
from agent.doctor.finding import Finding, ok, problem, skipped, warning
from agent.platform.answers import Meaning, Verdict
from agent.platform.dialing import dial

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.doctor.guide import Section
    from agent.errors import LinkFault
    from agent.platform.answers import Answer

SOON_DAYS = 14
OFF_S = 5.0
"""A clock that is off by more labels pictures so wrongly that a line's events cannot be matched to them."""
VERY_OFF_S = 300.0
SET_CLOCK = "sudo timedatectl set-ntp true"


@dataclass(frozen=True, slots=True)
class Reach:
    """What one visit to the platform brought; `offset_s` is how far this device's clock is behind the server's."""

    url: str
    addresses: tuple[str, ...] = ()
    dns_error: str = ""
    tls_version: str = ""
    certificate_ends: datetime | None = None
    fault: LinkFault | None = None
    verdict: Verdict | None = None
    offset_s: float | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    synchronised: bool | None = None

    @property
    def host(self) -> str:
        """Return the server's name."""
        return urlsplit(self.url).hostname or ""


def findings(reach: Reach) -> Iterator[Finding]:
    """Judge the way, from the name to the answer."""
    yield _name(reach)
    yield _certificate(reach)
    yield _clock(reach)
    yield _device(reach)


def _name(reach: Reach) -> Finding:
    if reach.dns_error:
        return problem(
            "dns",
            f"the server's name was not found: {reach.host} ({reach.dns_error})",
            "No name server answers, or server.url has a mistyped name.",
            f"getent hosts {shlex.quote(reach.host)}",
            "the-servers-name-was-not-found",
        )
    return ok("dns", f"{reach.host} is {', '.join(reach.addresses[:3])}")


def _certificate(reach: Reach) -> Finding:
    fault = reach.fault
    if not reach.url.lower().startswith("https:"):
        return skipped("tls", "the server is spoken to in plain http, as server.url says")
    if fault is not None and fault.kind == "tls":
        if "clock" in fault.what:
            return problem("tls", fault.what, fault.remedy, SET_CLOCK, "the-clock-is-not-set")
        host = f"{reach.host}:{urlsplit(reach.url).port or 443}"
        look = f"openssl s_client -connect {shlex.quote(host)} -servername {shlex.quote(reach.host)} </dev/null"
        return problem("tls", fault.what, fault.remedy, look, "tls-failed")
    if fault is not None or reach.certificate_ends is None:
        return skipped("tls", "the server was not reached")
    days = (reach.certificate_ends - reach.now).days
    what = f"{reach.tls_version}, the certificate is valid for {days} more days"
    if days < SOON_DAYS:
        return warning(
            "tls",
            f"the server's certificate ends in {days} days, on {reach.certificate_ends:%Y-%m-%d}",
            "Then nothing is delivered until the server has a new one; whoever runs it has to see to that.",
            "acusight-agent doctor",
            "the-certificate-ends-soon",
        )
    return ok("tls", what)


def _clock(reach: Reach) -> Finding:
    if not is_plausible(reach.now):
        what = f"the clock is wrong: it says {reach.now:%Y-%m-%d %H:%M}"
        return problem("clock", what, "TLS fails, and pictures get wrong times.", SET_CLOCK, "the-clock-is-not-set")
    if reach.offset_s is not None and abs(reach.offset_s) > OFF_S:
        way = "behind" if reach.offset_s > 0 else "ahead of"
        what = f"the clock is {abs(reach.offset_s):.0f} s {way} the server's"
        judge = problem if abs(reach.offset_s) > VERY_OFF_S else warning
        return judge("clock", what, "Capture times are wrong by as much.", SET_CLOCK, "the-clock-is-not-set")
    if reach.synchronised is False:
        what = "no time service keeps the clock"
        return warning("clock", what, "It will drift, by seconds a day.", SET_CLOCK, "the-clock-is-not-set")
    if reach.offset_s is None:
        return skipped("clock", "the server told no time to compare with")
    return ok("clock", f"within {OFF_S:g} s of the server's")


_DEVICE: dict[Meaning, tuple[str, str, Section]] = {
    Meaning.DENIED: (
        "The platform does not take pictures under this key; they are kept.",
        "acusight-agent provision --help",
        "the-key-is-refused",
    ),
    Meaning.WRONG_URL: (
        "server.url leads somewhere else: with /api at its end, or without?",
        "acusight-agent config show",
        "server-url-is-wrong",
    ),
    Meaning.UNPROVEN: (
        "Something else than the platform answers: a login page of the network, or a proxy.",
        "curl --silent --show-error --head {url}",
        "somebody-else-answers",
    ),
}
_ELSEWHERE: tuple[str, str, Section] = (
    "The server or the way to it is at fault, not this device; pictures wait on the disk, none is lost.",
    "curl --silent --show-error --head {url}",
    "the-server-does-not-answer",
)


def _device(reach: Reach) -> Finding:
    url = shlex.quote(reach.url)
    if reach.fault is not None:
        why, command, section = _ELSEWHERE
        if reach.fault.kind in {"dns", "tls"}:
            return skipped("device", f"the platform was not asked ({reach.fault.what})")
        return problem("device", reach.fault.what, why, command.format(url=url), section)
    if reach.verdict is None:
        return skipped("device", "the platform was not asked: there is no device key to ask with")
    if reach.verdict.meaning is Meaning.DELIVERED:
        return ok("device", f"{reach.url} knows this device")
    if "is pending on the platform" in reach.verdict.reason:
        why = "Somebody has to approve it there; uploads begin by themselves then."
        return problem("device", reach.verdict.reason, why, "acusight-agent doctor", "the-device-is-pending")
    why, command, section = _DEVICE.get(reach.verdict.meaning, _ELSEWHERE)
    return problem("device", reach.verdict.reason, why, command.format(url=url), section)


def resolve(host: str, port: int) -> tuple[tuple[str, ...], str]:
    """Return the addresses of a name, or why there are none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return (), getattr(error, "strerror", None) or str(error)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found)), ""


def certificate(host: str, port: int, context: ssl.SSLContext, timeout_s: float) -> tuple[str, datetime | None]:
    """Return the TLS version and when the server's certificate ends; None where no handshake comes about."""
    try:
        with (
            dial(host, port, timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            ends = (secure.getpeercert() or {}).get("notAfter")
            version = secure.version() or "TLS"
    except OSError:
        return "", None
    return version, datetime.fromtimestamp(ssl.cert_time_to_seconds(str(ends)), UTC) if ends else None


def offset_s(answer: Answer, before: datetime, after: datetime) -> float | None:
    """Return how far this device's clock is behind the `Date` of an answer that came between two moments."""
    try:
        date = parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return None
    # The header has whole seconds: on average it is half of one behind.
    return (date - before - (after - before) / 2).total_seconds() + 0.5 if date.tzinfo else None
