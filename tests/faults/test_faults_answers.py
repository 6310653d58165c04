from __future__ import annotations

from typing import TYPE_CHECKING

from flaky_proxy import ALL, HALF, LOST, MUTE, FlakyProxy
from house_rig import House, arrive, photograph, until

if TYPE_CHECKING:
    from pathlib import Path

STORED = {LOST.name, HALF.name, MUTE.name}  # the platform has the picture, the agent does not know


def test_i3_a_lost_answer_costs_no_picture_and_makes_none_twice(tmp_path: Path) -> None:
    """Whatever cuts an upload, and with the agent killed at that moment, each picture arrives once, byte for byte."""
    with House(tmp_path) as house, FlakyProxy(lambda: house.sandbox.port) as proxy:
        house.configure(server={"url": proxy.url}, upload={"timeout_s": 1, "workers": 2})
        digests: list[str] = []
        for number, mischief in enumerate(ALL):
            agent = house.run()
            house.settled(len(digests))  # else it may be one that the platform has already that is spoiled again
            proxy.arm(mischief)
            digests += [arrive(house.watched / f"{number}-{n}.jpg", photograph(10 * number + n)) for n in range(3)]
            until(lambda name=mischief.name: proxy.fired[name], said=agent.tail)  # type: ignore[misc]
            agent.kill()
        house.once()
        results = house.check(digests)
        assert all(proxy.fired[mischief.name] == 1 for mischief in ALL)
        assert results["duplicate"] >= len(STORED)


def test_i3_an_agent_that_lives_on_says_that_the_outcome_was_unknown(tmp_path: Path) -> None:
    """It sends the same bytes again, and the receipt says that the platform had them already, and why it was asked."""
    with House(tmp_path) as house, FlakyProxy(lambda: house.sandbox.port) as proxy:
        house.configure(server={"url": proxy.url}, upload={"timeout_s": 1, "workers": 1})
        agent = house.run()
        digests: list[str] = []
        for number, mischief in enumerate((LOST, MUTE)):
            proxy.arm(mischief)
            digests.append(arrive(house.watched / f"{number}.jpg", photograph(number)))
            house.settled(number + 1)
        agent.stop()
        assert house.check(digests) == {"duplicate": 2}
        told = house.rows("SELECT outcome_unknown, attempts FROM receipt")
        assert told == [{"outcome_unknown": 1, "attempts": 1}] * 2
