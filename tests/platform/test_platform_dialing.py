from __future__ import annotations

import socket
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.platform import dialing
from agent.platform.dialing import MOST, STAGGER_S, Address, by_turns, dial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LONG_S = 5.0


class Place:
    """A port on loopback that takes connections, hangs, or refuses."""

    def __init__(self, ends: ExitStack, *, hangs: bool = False, refuses: bool = False) -> None:
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        ends.callback(self.listener.close)
        if refuses:
            self.listener.close()
            return
        self.listener.listen(0 if hangs else 16)
        if hangs:  # with its queue full the kernel answers nobody
            for _ in range(4):
                filler = ends.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(("127.0.0.1", self.port))

    @property
    def address(self) -> Address:
        """What a look-up would say of it."""
        return socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", self.port)

    def was_asked(self) -> bool:
        """Tell whether somebody has connected."""
        self.listener.setblocking(False)
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


def open_descriptors() -> int:
    """Count what this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    """Close what a test opened."""
    with ExitStack() as stack:
        yield stack


def said(*places: Place) -> Callable[..., Sequence[Address]]:
    """Return a look-up that names these places."""
    return lambda *_, **__: [place.address for place in places]


def test_the_first_address_is_taken_where_it_answers(ends: ExitStack) -> None:
    """The others are not troubled at all."""
    first, second = Place(ends), Place(ends)
    with closing(dial("h", 1, LONG_S, look_up=said(first, second))) as sock:
        assert sock.getpeername() == ("127.0.0.1", first.port)
        assert sock.gettimeout() == LONG_S
    time.sleep(0.01)
    assert not second.was_asked()


def test_an_address_that_does_not_answer_costs_a_quarter_of_a_second(ends: ExitStack) -> None:
    """A promised network that carries nothing does not hold up the one that works."""
    dead, alive = Place(ends, hangs=True), Place(ends)
    began = time.monotonic()
    with closing(dial("h", 1, LONG_S, look_up=said(dead, alive))) as sock:
        took = time.monotonic() - began
        assert sock.getpeername() == ("127.0.0.1", alive.port)
    assert STAGGER_S <= took < LONG_S / 2


def test_an_address_that_refuses_costs_nothing(ends: ExitStack) -> None:
    """Where one says no, the next is tried at once."""
    closed, alive = Place(ends, refuses=True), Place(ends)
    began = time.monotonic()
    with closing(dial("h", 1, LONG_S, look_up=said(closed, alive))) as sock:
        assert sock.getpeername() == ("127.0.0.1", alive.port)
    assert time.monotonic() - began < STAGGER_S


def test_a_late_answer_counts_while_others_are_tried(ends: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first attempt goes on behind the second: whichever is connected first is taken."""
    monkeypatch.setattr(dialing, "STAGGER_S", 0.0)
    slow, dead = Place(ends), Place(ends, hangs=True)
    with closing(dial("h", 1, LONG_S, look_up=said(dead, slow, dead))) as sock:
        assert sock.getpeername() == ("127.0.0.1", slow.port)


def test_all_attempts_share_one_deadline(ends: ExitStack) -> None:
    """A name with many dead addresses takes no longer than one."""
    dead = Place(ends, hangs=True)
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="no address answered in time"):
        dial("h", 1, 0.4, look_up=said(dead, dead, dead, dead))
    assert 0.4 <= time.monotonic() - began < LONG_S


def test_where_all_refuse_that_is_said(ends: ExitStack) -> None:
    """The error is what the last address said, by its own name."""
    closed = Place(ends, refuses=True)
    with pytest.raises(ConnectionRefusedError):
        dial("h", 1, LONG_S, look_up=said(closed, closed))


def test_a_family_that_the_kernel_does_not_know_is_passed_over(ends: ExitStack) -> None:
    """A device without IPv6 reaches a server that has both."""
    alive = Place(ends)
    unknown: Address = (socket.AF_IPX, socket.SOCK_STREAM, 0, "", ("::1", alive.port, 0, 0))
    with closing(dial("h", 1, LONG_S, look_up=lambda *_, **__: [unknown, alive.address])) as sock:
        assert sock.getpeername() == ("127.0.0.1", alive.port)
    with pytest.raises(OSError, match="not supported"):
        dial("h", 1, LONG_S, look_up=lambda *_, **__: [unknown])


def test_a_name_without_addresses_is_an_error() -> None:
    """However a resolver may come to say nothing."""
    with pytest.raises(OSError, match="no address"):
        dial("h", 1, LONG_S, look_up=lambda *_, **__: [])


def test_only_some_addresses_are_tried(ends: ExitStack) -> None:
    """A name with hundreds of them does not open hundreds of sockets."""
    closed, alive = Place(ends, refuses=True), Place(ends)
    with pytest.raises(ConnectionRefusedError):
        dial("h", 1, LONG_S, look_up=said(*[closed] * MOST, alive))


def test_what_lost_is_closed(ends: ExitStack) -> None:
    """Whatever the outcome, no descriptor stays behind but the winner's."""
    dead, closed, alive = Place(ends, hangs=True), Place(ends, refuses=True), Place(ends)
    before = open_descriptors()
    with closing(dial("h", 1, LONG_S, look_up=said(dead, closed, alive))):
        assert open_descriptors() == before + 1
    with pytest.raises(TimeoutError):
        dial("h", 1, 0.3, look_up=said(dead, dead))
    with pytest.raises(ConnectionRefusedError):
        dial("h", 1, 0.3, look_up=said(closed))
    assert open_descriptors() == before


def test_a_real_name_is_looked_up(ends: ExitStack) -> None:
    """`localhost` may be either family, or both; the listener has one of them."""
    listener = Place(ends)
    with closing(dial("localhost", listener.port, LONG_S)) as sock:
        assert sock.getpeername()[:2] == ("127.0.0.1", listener.port)


@given(st.lists(st.sampled_from([socket.AF_INET, socket.AF_INET6])))
def test_families_take_turns(families: list[int]) -> None:
    """All addresses are kept, each family in its order, and the first two are of both where there are both."""
    addresses: list[Address] = [(family, 1, 6, "", (str(number), 1)) for number, family in enumerate(families)]
    found = by_turns(addresses)
    assert sorted(found, key=addresses.index) == addresses
    for family in set(families):
        assert [one for one in found if one[0] == family] == [one for one in addresses if one[0] == family]
    if addresses:
        assert found[0] == addresses[0]
    if len(set(families)) > 1:
        assert found[0][0] != found[1][0]
