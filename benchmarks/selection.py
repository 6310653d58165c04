"""What the choice costs: a frame at 1080p on a camera's path, and a picture of a folder with sidecars.

    python benchmarks/selection.py [--frames 200] [--count 500] [--rounds 3]

The camera's figure is milliseconds of one core for the small copy, the look and the comparison with a full bank; the
JPEG that a skipped frame saves stands beside it. The folder's is CPU milliseconds a picture of 1280 x 720 and 200 KB
of a whole run with its children, from the files to a sink's answers, a run of one picture taken off; below it what
OpenCV alone takes to decode that picture to an eighth of its size. Percentages are of the run with sidecars. Medians;
ratios carry.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from opponent import Sink
from peer import KEY

from agent.selection.bank import Bank
from agent.selection.choice import Choice, Past
from agent.selection.facts import Facts
from agent.selection.plan import SelectPlan

SIZE = 200_000
RULES = (
    'select = {max_per_hour = 100000, rule = [{name = "people", classes = ["person"], keep = "always"}, '
    '{name = "unsure", confidence_between = [0.3, 0.6]}, {name = "none", classes = ["cat"], keep = "no"}]}'
)
BASE = "with sidecars"
VARIANTS = {
    "without sidecars": (False, ""),
    BASE: (True, ""),
    "and rules, caps": (True, RULES),
    "and `dark`": (True, RULES.replace("max_per_hour", "dark = 0.1, max_per_hour")),
    "and `change`": (True, RULES.replace("max_per_hour", "change = 0.0000001, max_per_hour")),
    "and all three": (
        True,
        RULES.replace("max_per_hour", "blur = 0.001, dark = 0.1, change = 0.0000001, max_per_hour"),
    ),
}
SIDECAR = (
    '{"annotations": [{"class_value": "car", "geometry": [0.5, 0.5, 0.2, 0.2], "confidence": 0.9}, '
    '{"class_value": "bus", "geometry": [0.2, 0.3, 0.1, 0.1], "confidence": 0.5}]}'
)


def camera(frames: int) -> tuple[float, float]:
    """Return the milliseconds that a choice takes at 1080p, and those that a JPEG takes."""
    import cv2  # noqa: PLC0415 (only here)
    import numpy as np  # noqa: PLC0415

    from agent.selection.looks import look_at  # noqa: PLC0415

    cv2.setNumThreads(1)
    chance = np.random.default_rng(1)
    films = []
    for _ in range(12):
        coarse = chance.integers(0, 255, (60, 107, 3), dtype=np.uint8)
        films.append(cv2.resize(coarse, (1920, 1080), interpolation=cv2.INTER_CUBIC))
    plan = SelectPlan("bench", change=0.02, blur=0.001, dark=1, max_per_hour=10**6)
    choice, now = Choice(plan, Past(Bank(plan.bank))), datetime(2026, 3, 14, tzinfo=UTC)
    chosen, encoded = [], []
    for number in range(frames):
        pixels = films[number % len(films)]
        began = time.perf_counter()
        facts = Facts(now + timedelta(seconds=number), look=look_at(pixels))
        verdict = choice.decide(facts)
        assert verdict is not None
        choice.settle(facts, verdict)
        chosen.append(time.perf_counter() - began)
        began = time.perf_counter()
        cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
        encoded.append(time.perf_counter() - began)
    return 1000 * statistics.median(chosen), 1000 * statistics.median(encoded)


def photograph(seed: int = 0) -> Any:  # noqa: ANN401 (a NumPy array)
    """Return a JPEG of 1280 x 720 and 200 KB, with structures of some sizes and a sensor's noise."""
    import cv2  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    chance = np.random.default_rng(seed)
    coarse = chance.integers(0, 255, (90, 160, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (1280, 720), interpolation=cv2.INTER_CUBIC)
    pixels = np.clip(smooth + chance.normal(0, 6, (720, 1280, 1)), 0, 255).astype(np.uint8)
    sizes = (cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for quality in range(95, 30, -1))
    return next(jpeg for jpeg in sizes if len(jpeg) <= SIZE)


def photographs(folder: Path, count: int) -> None:
    """Write such pictures, each numbered in a comment segment; of twelve scenes, more than are compared with."""
    folder.mkdir(parents=True)
    scenes = [photograph(seed).tobytes() for seed in range(12)]
    for number in range(count):
        jpeg = scenes[number % len(scenes)]
        note = f"{number:08d}".encode()
        (folder / f"p{number:06d}.jpg").write_bytes(
            jpeg[:2] + b"\xff\xfe" + (len(note) + 2).to_bytes(2, "big") + note + jpeg[2:]
        )


def bare() -> float:
    """Return the CPU milliseconds that OpenCV takes to decode the picture to an eighth of its size, and no more."""
    import cv2  # noqa: PLC0415

    cv2.setNumThreads(1)
    jpeg, began = photograph(), time.process_time()
    for _ in range(200):
        cv2.imdecode(jpeg, cv2.IMREAD_REDUCED_GRAYSCALE_8)
    return 1000 * (time.process_time() - began) / 200


def folder(sink: Sink, pictures: Path, count: int, work: Path, select: str) -> float:
    """Return the CPU seconds of a run that takes a folder and sends all of it."""
    spool = work / "spool"
    shutil.rmtree(spool, ignore_errors=True)
    config = work / "config.toml"
    config.write_text(
        f'[server]\nurl = "{sink.url}"\ndevice_key = "{KEY}"\n[[watch]]\npath = "{pictures}"\nsettle_s = 0.0\n'
        f'sidecar_wait_s = 0.0\n{select}\n[spool]\ndir = "{spool}"\n[log]\nlevel = "warning"\n'
    )
    config.chmod(0o600)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "agent", "-c", str(config), "run", "--once"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if (came := sink.figures()["count"]) != count:
        raise SystemExit(f"the sink got {came} pictures, not {count}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def folders(count: int, rounds: int) -> dict[str, float]:
    """Return CPU milliseconds a picture, by variant; the variants take turns, since the machine's pace changes."""
    work = Path(tempfile.mkdtemp(prefix="bench-", dir=os.environ.get("BENCH_DIR")))
    sink = Sink(0.0)
    try:
        for name, number in (("few", 1), ("many", count + 1)):
            photographs(work / name / "plain", number)
            shutil.copytree(work / name / "plain", work / name / "paired")
            for path in list((work / name / "paired").iterdir()):
                path.with_suffix(".json").write_text(SIDECAR)
        found: dict[str, list[float]] = {name: [] for name in VARIANTS}
        for _ in range(rounds):
            for name, (sidecars, select) in VARIANTS.items():
                kind = "paired" if sidecars else "plain"
                start = folder(sink, work / "few" / kind, 1, work, select)
                spent = folder(sink, work / "many" / kind, count + 1, work, select)
                found[name].append(1000 * (spent - start) / count)
        return {name: statistics.median(values) for name, values in found.items()}
    finally:
        sink.close()
        shutil.rmtree(work)


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    choice, jpeg = camera(options.frames)
    print(f"camera, 1080p: choice {choice:.2f} ms a frame, JPEG {jpeg:.2f} ms")
    rows = folders(options.count, options.rounds)
    for name, spent in rows.items():
        print(f"folder, {name:20} {spent:6.2f} ms a picture  {100 * (spent / rows[BASE] - 1):+6.1f} %")
    print(f"an eighth of it, by OpenCV alone {bare():6.2f} ms")


if __name__ == "__main__":
    main()
