"""Provisioning: a token is swapped for the device key, which is proven before it takes the old one's place.

    unspent ──POST──▶ granted, written beside ──GET device/self──▶ proven ──rename──▶ in use

Each arrow may be cut: the next run finds what was written and goes on from there. A token is spent once and the key
shown once, so the key's place is made durable before the token leaves the device.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from agent import __version__
from agent.config.device_key import checked_key
from agent.errors import AgentError, Interrupted, LinkFault, Refused, TryLater, UsageError
from agent.platform import enrolment
from agent.platform.answers import Meaning, read_answer
from agent.platform.enrolment import Outcome, bases, places
from agent.platform.identity import Identity, read_identity

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from agent.clock import Clock
    from agent.config.key_file import KeyFile
    from agent.config.secret import Secret
    from agent.platform.client import Client
    from agent.platform.enrolment import Grant
    from agent.workers import Stop

FORBIDDEN = 403
TRIES = 4  # for a key that was made a moment ago, and may not be known everywhere yet
ASK_EVERY_S = (4.0, 8.0)
NEW_TOKEN = "Make a new token for this device on the platform."  # noqa: S105 (a sentence)
AGAIN = "It is kept: run the same command again, the token is not needed any more."


class KeyUnknown(Refused):
    """The platform does not know this key."""


@dataclass(frozen=True, slots=True)
class Proven:
    """A key that works: where the API is, and who the device is; `renewed` tells that it has just been put in place."""

    base: str
    identity: Identity
    renewed: bool = False


class Provisioner:
    """Leads one device from its token to a key in place.

    `dial` makes a client for a base URL and a key; `token` is asked for only where it is needed; `say` gets what a
    person should know meanwhile.
    """

    def __init__(
        self,
        keys: KeyFile,
        dial: Callable[[str, str], Client],
        *,
        token: Callable[[], str],
        inline: Secret | None,
        say: Callable[[str], None],
        stop: Stop,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._keys = keys
        self._dial = dial
        self._token = token
        self._inline = inline
        self._say = say
        self._stop = stop
        self._clock = clock
        self._rng = rng

    def run(self, url: str, device_id: str, name: str, *, renew: bool) -> Proven:
        """Return a key in place that works; one that works already is left alone unless `renew`."""
        old = self._inline or self._keys.current()
        if old is not None and not renew:
            try:
                return self._proven(bases(url), old)
            except KeyUnknown:
                self._say("the platform does not know this device's key any more: a new one is needed")
                old = None
        return self._earlier(url, old) or self._new(url, device_id, name, old)

    def await_approval(self, proven: Proven, *, seconds: float) -> Proven:
        """Wait until the device is approved; raises `Refused` where it is rejected, `TryLater` when time is up."""
        key = self._keys.current() or self._inline
        deadline = self._clock.boot() + seconds
        while proven.identity.status == "pending" and key is not None:
            if self._clock.boot() >= deadline:
                raise TryLater(
                    f"the device is still pending after {seconds:.0f} s",
                    remedy="Approve it; the agent waits for it too.",
                )
            if self._stop.wait(self._rng.uniform(*ASK_EVERY_S)):
                raise Interrupted("interrupted", remedy="The key is in place; the agent waits for the approval too.")
            with suppress(TryLater):
                now = self._proven([proven.base], key)
                proven = Proven(now.base, now.identity, renewed=proven.renewed)
        if proven.identity.status == "rejected":
            raise Refused(
                "this device was rejected on the platform", remedy="Approve it there; what it has captured is kept."
            )
        return proven

    def _earlier(self, url: str, old: Secret | None) -> Proven | None:
        """Go on with a key that an earlier run was given, and did not get to put in place."""
        key = self._keys.unproven()
        if key is None:
            return None
        self._say(f"going on with the key of an earlier run, in {self._keys.new}")
        try:
            return self._taken(self._proven(bases(url), key), old)
        except KeyUnknown:
            self._keys.set_aside()
            self._say(f"the platform does not know that key; it is kept in {self._keys.refused}")
            return None

    def _new(self, url: str, device_id: str, name: str, old: Secret | None) -> Proven:
        token = self._token()
        place, kept = self._keys.reserve(), False
        try:
            base, grant = self._granted(url, enrolment.request(token, device_id, name=name, version=__version__))
            kept = True  # whatever happens from here on: what was written is not taken away
            place.keep(grant.key)
        finally:
            place.close(used=kept)
        try:
            key = checked_key(grant.key)
        except ValueError:
            key = None
        if key is None:
            what = f"the platform gave a key of an unknown form; it is kept in {self._keys.new}"
            raise AgentError(
                what, remedy="Tell those who run the platform; this agent expects adk_ and hexadecimal digits."
            )
        patiently = Retrying(
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential(max=4),
            sleep=self._rest,
            retry=retry_if_exception_type(KeyUnknown),
            reraise=True,
        )
        return self._taken(patiently(self._proven, places(base, grant.api_endpoint), key), old)

    def _rest(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _granted(self, url: str, request: dict[str, object]) -> tuple[str, Grant]:
        missed: list[str] = []
        for base in bases(url):
            with self._dial(base, "") as client:
                try:
                    grant = enrolment.read_grant(client.tell(enrolment.PATH, request))
                except LinkFault as fault:
                    raise _unreachable(base, fault) from fault
            if grant.outcome is Outcome.GRANTED:
                return base, grant
            if grant.outcome is not Outcome.ELSEWHERE:
                raise _refusal(grant, str(request["device_info"]["device_id"]))  # type: ignore[index]  # made by enrolment
            missed.append(f"at {base}: {grant.said}")
        raise _elsewhere(missed)

    def _taken(self, proven: Proven, old: Secret | None) -> Proven:
        """Put a proven key in place, unless that would take away one that may deliver."""
        status = proven.identity.status
        if status == "rejected":
            raise Refused("this device was rejected on the platform", remedy=f"Approve it there. {AGAIN}")
        if status == "pending" and old is not None:
            raise TryLater(
                "the new key waits to be approved, and the old one stays in use until then",
                remedy=f"Approve the device on the platform. {AGAIN}",
            )
        self._keys.install()
        return Proven(proven.base, proven.identity, renewed=True)

    def _proven(self, candidates: Iterable[str], key: Secret) -> Proven:
        """Ask `GET /device/self` at each place until one answers; raises what the best of the others said."""
        troubles: list[AgentError] = []
        missed: list[str] = []
        silent: set[str] = set()
        for base in candidates:
            if urlsplit(base).netloc in silent:
                continue
            try:
                with self._dial(base, key.get_secret_value()) as client:
                    answer = client.identify()
            except LinkFault as fault:
                silent.add(urlsplit(base).netloc)
                troubles.append(TryLater(f"{base} cannot be reached: {fault}"))
                continue
            except UsageError as error:  # where the platform says that its API is, no key may go
                missed.append(f"at {base}: {error}")
                continue
            verdict = read_answer(answer, self._clock.wall())
            identity = read_identity(answer.body)
            if verdict.meaning is Meaning.DELIVERED and identity is not None:
                return Proven(base, identity)
            if verdict.meaning is Meaning.DENIED:
                raise _denied(answer.status, verdict.reason)
            if verdict.meaning in {Meaning.WRONG_URL, Meaning.UNPROVEN}:
                missed.append(f"at {base}: {verdict.reason}")
            else:
                troubles.append(TryLater(f"the key could not be tried: {verdict.reason}", remedy="Try again later."))
        raise troubles[0] if troubles else _elsewhere(missed)


def _denied(status: int, reason: str) -> Refused:
    if status == FORBIDDEN:
        return Refused(
            f"the platform refuses this device: {reason}", remedy=f"Look whether it is approved there. {AGAIN}"
        )
    return KeyUnknown(f"the platform does not know this key: {reason}", remedy=f"{NEW_TOKEN} {AGAIN}")


def _unreachable(base: str, fault: LinkFault) -> TryLater:
    if not fault.sent:
        return TryLater(f"{base} cannot be reached: {fault}")
    return TryLater(
        f"{base} gave no answer ({fault.what}), so whether the token was spent is not known",
        remedy=f"Run it again; where the token is refused then: {NEW_TOKEN[0].lower()}{NEW_TOKEN[1:]}",
    )


def _elsewhere(missed: list[str]) -> UsageError:
    remedy = "Check --url, and that no login page of the network stands in between; like https://HOST/api."
    return UsageError(f"the platform's API is not there ({'; '.join(missed)})", remedy=remedy)


def _refusal(grant: Grant, device_id: str) -> AgentError:
    match grant.outcome:
        case Outcome.TOKEN_EXPIRED:
            return Refused(f"the token has expired ({grant.said})", remedy=NEW_TOKEN)
        case Outcome.TOKEN_UNKNOWN:
            return Refused(f"the token is unknown or was used before ({grant.said})", remedy=NEW_TOKEN)
        case Outcome.DEVICE_EXISTS:
            return Refused(
                f"the platform has a device {device_id!r} already ({grant.said})",
                remedy="Give this one another --device-id, or delete that one on the platform first.",
            )
        case Outcome.LATER:
            return TryLater(f"the platform cannot provision now: {grant.said}", remedy="Try again later.")
    return UsageError(
        f"the platform does not accept the request ({grant.said})",
        remedy="Check --device-id, --name, and that the token is whole: apt_ and hexadecimal digits.",
    )
