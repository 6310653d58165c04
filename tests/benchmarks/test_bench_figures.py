from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))

import backlog  # noqa: E402 (needs the path)
import marks  # noqa: E402 (likewise)
import parts  # noqa: E402 (likewise)
from contest import percentile  # noqa: E402 (likewise)
from measuring import Measured  # noqa: E402 (likewise)
from regressions import regressions  # noqa: E402 (likewise)
from report import AGENT, BARE, BEGIN, CLIENT, CURL, END, RATIOS, markdown, placed, ratios, summary, told  # noqa: E402 (likewise)

from agent.clock import SystemClock  # noqa: E402 (likewise)
from agent.spool.budget import Limits  # noqa: E402 (likewise)
from agent.spool.spool import Spool  # noqa: E402 (likewise)

SPEED = f"pictures/s, {AGENT} / {CURL}, 200KB"
COST = next(ratio.name for ratio in RATIOS if ratio.over[0] == CLIENT and ratio.key == "200KB")
OTHERS = next(ratio.name for ratio in RATIOS if ratio.over == (BARE, CURL))
LIMITS = Limits(10**12, 0)


def measured() -> Measured:
    """Return two rounds of two contestants; the machine was half as fast in the second."""
    found = Measured()
    rounds = {CURL: (1000.0, 500.0), AGENT: (400.0, 200.0)}
    found.rounds["200KB"] = {
        name: [{"pictures_s": speed, "cpu_s_1000": 1.0} for speed in speeds] for name, speeds in rounds.items()
    }
    found.titles["200KB"], found.ceilings["200KB"] = "three pictures", 3000.0
    found.missing |= {"rclone copy (S3)": "not installed: rclone", "inotifywait + curl": "not installed: inotifywait"}
    found.absent["200KB"] = ["rclone copy (S3)"]
    return found


def test_ratios_are_taken_round_by_round() -> None:
    """Whatever slowed the machine down slowed both, so the ratio has no spread."""
    assert ratios(measured())[SPEED] == (0.4, 0.4, 0.4)


def test_a_report_names_what_could_not_run() -> None:
    """A row with the reason, in place of a peer that silently is not there."""
    text = "\n".join(markdown(summary(measured())))
    assert "| rclone copy (S3) | not installed: rclone |" in text
    assert "inotifywait" not in text  # it had no part in this
    assert "| the agent | 300 (200..400) |" in text


@pytest.mark.parametrize(
    ("name", "now", "worse"),
    [
        (SPEED, (0.30, 0.28, 0.33), True),
        (SPEED, (0.36, 0.30, 0.41), False),  # its best round is as good as the worst one that was kept
        (SPEED, (0.90, 0.80, 0.99), False),
        (SPEED, (0.39, 0.39, 0.39), False),  # too little to speak of
        (COST, (0.60, 0.50, 0.70), True),
        (COST, (0.30, 0.20, 0.31), False),
        (OTHERS, (0.60, 0.50, 0.70), False),  # not the agent's
    ],
)
def test_only_what_is_worse_beyond_noise_is_a_regression(
    name: str, now: tuple[float, float, float], *, worse: bool
) -> None:
    """Pictures a second get worse downwards, processor time upwards, and both have a spread."""
    then = dict.fromkeys((SPEED, COST, OTHERS), (0.41, 0.40, 0.45))
    assert bool(regressions(then, {name: now}, lambda: {name: now})) is worse


def test_what_is_worse_once_is_noise() -> None:
    """Only what is worse when measured once more is told, and where nothing is, nothing is measured again."""
    then = dict.fromkeys((SPEED, COST), (0.41, 0.40, 0.45))
    good, bad = (0.41, 0.40, 0.45), {SPEED: (0.30, 0.28, 0.33), COST: (0.60, 0.50, 0.70)}
    again = iter([{SPEED: good, COST: bad[COST]}])
    told = regressions(then, bad, lambda: next(again))
    assert [line.partition(":")[0] for line in told] == [COST]
    assert regressions(then, {SPEED: good, COST: good}, lambda: next(again)) == []


def test_marks_are_held_against_what_was_measured() -> None:
    """Those without a figure are left out; a difference needs both of its figures."""
    kept = summary(measured()) | {"inside": {"idle: memory, MB": 44.0, "1,000,000 waiting: memory, MB": 60.0}}
    text = marks.block(kept)
    assert "| pictures/s over curl --parallel, 200 KB | at least 0.5 | 0.4 | no |" in text
    assert "| idle: memory, MB | at most 45 | 44 | yes |" in text
    assert "waiting" not in text


def test_every_mark_that_is_a_ratio_names_one_there_is() -> None:
    """A mark whose figure is called otherwise would never be missed."""
    known = {ratio.name for ratio in RATIOS}
    assert {mark.at[1] for mark in marks.MARKS if mark.at[0] == "ratios"} <= known


def test_a_report_takes_the_place_of_the_last_one() -> None:
    """What stands around it stays."""
    page = placed(placed(f"above\n\n{BEGIN}\n{END}\n\nbelow\n", "first"), "second")
    assert page == f"above\n\n{BEGIN}\n\nsecond\n\n{END}\n\nbelow\n"
    assert (BENCHMARKS.parent / "docs/performance.md").read_text(encoding="utf-8").count(BEGIN) == 1


def test_the_worst_of_a_hundred_is_not_their_99th_percentile() -> None:
    """One in a hundred may be worse; of few it is the worst one."""
    assert percentile([float(number) for number in range(1, 101)], 99) == 99
    assert percentile([3.0, 1.0, 2.0], 99) == 3
    assert percentile([3.0, 1.0, 2.0], 50) == 2


def test_figures_have_three_digits() -> None:
    """More would be noise."""
    assert [told(value) for value in (12345.6, 99.96, 0.04321, 0)] == ["12,346", "100", "0.0432", "0"]


def test_a_backlog_that_was_made_up_is_one_that_the_agent_delivers(tmp_path: Path) -> None:
    """Each of its items has a file with its bytes, and the ledger counts them all."""
    backlog.fill(tmp_path / "spool", b"\xff\xd8\xff a picture", 1500)
    with Spool(tmp_path / "spool", LIMITS, clock=SystemClock(), owner=True) as spool:
        seen = set()
        while (item := spool.outbox.claim()) is not None:
            assert item.path.read_bytes() == b"\xff\xd8\xff a picture"
            seen.add(item.filename)
        assert len(seen) == 1500
        assert spool.accounts()["bench"].waiting == 1500


def test_the_spools_own_times_are_of_pictures_that_went_through(tmp_path: Path) -> None:
    """Put and delivered, each of them; nothing waits behind it."""
    found = parts.spooling(tmp_path, b"\xff\xd8\xff", 5)
    assert set(found) == {f"{what} a picture, ms, {share}" for what in ("put", "deliver") for share in ("p50", "p99")}
    assert all(value > 0 for value in found.values())
    with Spool(tmp_path, LIMITS, clock=SystemClock(), owner=True) as spool:
        assert spool.outbox.empty()
