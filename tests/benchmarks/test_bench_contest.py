from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import backlog  # noqa: E402 (needs the path)
import shares  # noqa: E402 (likewise)
from agents import Agent, AgentDaemon  # noqa: E402 (likewise)
from contest import Arena, Work  # noqa: E402 (likewise)
from opponent import Authority, Sink  # noqa: E402 (likewise)
from peers import BATCH, WATCHING, BareClient, CurlParallel  # noqa: E402 (likewise)
from pictures import make_pictures  # noqa: E402 (likewise)
from usage import Failed, calls_in  # noqa: E402 (likewise)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peer import Job, Peer

COUNT = 3
SIZE = 20_000


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """Return three small pictures to send."""
    folder = tmp_path_factory.mktemp("bench") / "pictures"
    return Work(folder, make_pictures(folder, COUNT, SIZE), SIZE, workers=2)


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """Return a sink without a delay; what a start costs is not measured."""
    with Sink() as sink:
        yield Arena(sink, tmp_path_factory.mktemp("arena"), starts=0)


def name_of(peer: Peer) -> str:
    """Return a peer's name, for a test's."""
    return peer.name


def present(peer: Peer) -> Peer:
    """Skip a test whose peer cannot run here."""
    if reason := peer.missing():
        pytest.skip(reason)
    return peer


class Careless(BareClient):
    """Sends all but the last byte of each picture."""

    def command(self, job: Job) -> list[str]:
        """Spoil copies, and send those."""
        spoilt = job.work / "spoilt"
        spoilt.mkdir()
        for path in job.folder.iterdir():
            (spoilt / path.name).write_bytes(path.read_bytes()[:-1])
        command = super().command(job)
        return [str(spoilt) if word == str(job.folder) else word for word in command]


class Forgetful(BareClient):
    """Sends all pictures but one."""

    def command(self, job: Job) -> list[str]:
        """Leave one out."""
        fewer = job.work / "fewer"
        fewer.mkdir()
        for path in sorted(job.folder.iterdir())[1:]:
            (fewer / path.name).hardlink_to(path)
        command = super().command(job)
        return [str(fewer) if word == str(job.folder) else word for word in command]


def test_pictures_are_distinct_and_of_the_size_asked_for(work: Work) -> None:
    """Sizes of other programs' pictures would make ratios of nothing, and equal ones count once."""
    assert {path.stat().st_size for path in work.folder.iterdir()} == {SIZE}
    assert len(set(work.digests.values())) == COUNT


@pytest.mark.parametrize("peer", BATCH, ids=name_of)
def test_every_peer_delivers_a_folder_whole(arena: Arena, work: Work, peer: Peer) -> None:
    """Each picture comes once, with its bytes, or the run fails."""
    figures = arena.batch(present(peer), work)
    assert figures["pictures_s"] > 0
    assert figures["peak_mb"] < 200


@pytest.mark.parametrize("peer", WATCHING, ids=name_of)
def test_every_watching_peer_delivers_what_comes(arena: Arena, work: Work, peer: Peer) -> None:
    """Each file that is brought while it runs comes, after it was in place."""
    figures = arena.arrivals(present(peer), work, per_second=20)
    assert 0 < figures["sent_p50_ms"] <= figures["sent_p99_ms"]


@pytest.mark.parametrize("peer", [CurlParallel(), Agent()], ids=name_of)
def test_over_tls_as_well(work: Work, tmp_path: Path, peer: Peer) -> None:
    """The authority is made up, and trusted by those who were told of it."""
    with Sink(authority=Authority.made(tmp_path)) as sink:
        arena = Arena(sink, tmp_path, starts=0)
        assert arena.batch(present(peer), work)["pictures_s"] > 0


@pytest.mark.parametrize(("peer", "reason"), [(Careless(), "none of those sent"), (Forgetful(), "1 never came")])
def test_a_picture_that_is_changed_or_missing_is_a_failure(arena: Arena, work: Work, peer: Peer, reason: str) -> None:
    """No figure comes of it: speed without the pictures is none."""
    with pytest.raises(Failed, match=reason):
        arena.batch(peer, work)


@pytest.mark.parametrize("peer", [Agent(), AgentDaemon()], ids=name_of)
def test_the_agent_loses_nothing_where_it_is_killed(work: Work, tmp_path: Path, peer: Peer) -> None:
    """It may send again what was under way, or answered a moment before: receipts wait for each other."""
    with Sink(delay_s=0.05) as sink:
        came = Arena(sink, tmp_path, starts=0).killed(peer, work, per_second=10)
    assert came["lost"] == 0
    assert came["twice"] <= 2 * work.workers


def test_a_start_with_a_backlog_is_timed_by_its_own_first_upload(work: Work, tmp_path: Path) -> None:
    """Not by one that the daemon before had under way when it was killed, and that is answered only now."""
    picture = next(work.folder.iterdir()).read_bytes()
    with Sink(delay_s=0.2) as sink:
        arena = Arena(sink, tmp_path, starts=0)
        found = [backlog.restart(arena, picture, 50) for _ in range(2)]
    assert all(0 < one["first_s"] < 20 for one in found)
    assert all(5 < one["rss_mb"] <= one["peak_mb"] < 200 for one in found)


def test_system_calls_are_read_from_the_table_of_strace(tmp_path: Path) -> None:
    """With and without a column of errors; the sum is no call."""
    table = tmp_path / "calls"
    table.write_text(
        "% time     seconds  usecs/call     calls    errors syscall\n"
        "------ ----------- ----------- --------- --------- ----------------\n"
        " 80.00    0.000400         100         4           fdatasync\n"
        " 20.00    0.000100          50         2         1 fsync\n"
        "------ ----------- ----------- --------- --------- ----------------\n"
        "100.00    0.000500          83         6         1 total\n"
    )
    assert calls_in(table) == {"fdatasync": 4, "fsync": 2}


def test_each_part_of_the_agent_has_its_share(arena: Arena, tmp_path: Path) -> None:
    """What a picture costs is told apart by threads and children, and none of the parts is forgotten."""
    work = Work(tmp_path / "many", make_pictures(tmp_path / "many", 150, SIZE), SIZE, workers=2)
    found = shares.shares(arena, work)
    assert len(found) == len(shares.SHARES) + 1
    for part, text in shares.SHARES.items():
        assert found[f"CPU of a picture, ms: {text}"] > 0, part
