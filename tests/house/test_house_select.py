"""A choice from the configuration to the platform, through the real daemon."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from house_rig import House, arrive, photograph, video

if TYPE_CHECKING:
    from pathlib import Path


def test_i2_what_is_not_worth_the_link_is_a_number(tmp_path: Path) -> None:
    """Of a folder and a video only what is new arrives; the rest is counted, told, and none of it was captured."""
    with House(tmp_path) as house:
        video(house.root / "belt.avi", 6)
        camera = {"name": "belt", "source": str(house.root / "belt.avi"), "interval_s": 0, "select": {"max_per_day": 2}}
        rule = {"name": "cats", "classes": ["cat"], "keep": "no"}
        house.configure(watch=[{}], camera=[camera], select={"change": 0.02, "rule": [rule]})
        data = photograph(1)
        # Two that settle at the same moment: which of them is looked at first is chance.
        twins = {arrive(house.watched / "a.jpg", data), arrive(house.watched / "b.jpg", data + b"the same again")}
        boxes = {"annotations": [{"class_value": "cat", "geometry": [0.5, 0.5, 0.1, 0.1]}]}
        (house.watched / "c.json").write_text(json.dumps(boxes))
        arrive(house.watched / "c.jpg", photograph(2))
        house.once()
        status = json.loads(house.call("status", "--json").stdout)["sources"]
        assert (status["captures"]["captured"], status["captures"]["skipped"]) == (1, {"cats": 1, "change": 1})
        assert status["belt"]["captured"] + sum(status["belt"]["skipped"].values()) == 6
        assert status["belt"]["captured"] <= 2
        assert "not worth the link: 1 cats, 1 change" in house.call("status").stdout
        assert len(list(house.watched.glob("*.jpg"))) == 3
        house.once()
        assert json.loads(house.call("status", "--json").stdout)["sources"] == status
        assert len(twins & {path.stem for path in (house.sandbox.folder / "images").iterdir()}) == 1
