from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "docs/prometheus-alerts.yml"
CASES = Path(__file__).with_name("alerts.test.yml")


def alerts() -> list[str]:
    """Return the names of all alerts."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule["alert"] for group in groups for rule in group["rules"]]


def test_every_alert_is_told_of_and_tried() -> None:
    """The how-to has each in its table; the cases let each be silent once and fire once."""
    page = (ROOT / "docs/how-to/prometheus.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(Acusight\w+)`", page)) == set(alerts())
    silent, firing, _ = yaml.safe_load(CASES.read_text(encoding="utf-8"))["tests"]
    assert [one["alertname"] for one in silent["alert_rule_test"]] == alerts()
    samples = firing["promql_expr_test"][0]["exp_samples"]
    assert [sample["labels"] for sample in samples] == [f'{{alertname="{name}"}}' for name in alerts()]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("words", [("check", "rules", str(RULES)), ("test", "rules", str(CASES))])
def test_promtool_is_content(words: tuple[str, ...]) -> None:
    """Each alert fires at what it is for, and none at an agent that works."""
    ended = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
