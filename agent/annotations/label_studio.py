"""Label Studio: tasks with predictions, in percent of the picture.

    [{"data": {"image": "/data/upload/1/belt.jpg"}, "predictions": [{"model_version": "v7", "score": 0.9, "result": [
      {"type": "rectanglelabels", "original_width": 640, "original_height": 480,
       "value": {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "rectanglelabels": ["dent"]}}]}]}]

The last of the predictions counts; a task without any gives the last annotation that was not cancelled. `x` and `y` are
the corner that was the upper left one before the rotation, which turns clockwise about it: a turned box becomes the box
around it, as do polygons and ellipses. Brush strokes and key points have no box. The score is the region's own, else
the prediction's. Of a `result` list alone the model is not known.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from agent.annotations.lookup import last_part, the_one
from agent.annotations.sheet import score
from agent.frame import Model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.annotations.document import Field
    from agent.annotations.lookup import Excerpts
    from agent.annotations.sheet import Sheet
    from agent.frame import Labels

_PERCENT = 100.0
# Label Studio puts eight digits of its own before the name of a file that was uploaded.
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")
_FAR_OUT = 2.0


def signs(root: Field) -> str:
    """Return what tells this format from others."""
    task = root.first() if isinstance(root.value, list) else root
    if task is None or not isinstance(task.value, dict):
        return ""
    if task.has("result"):
        return "`result`"
    for key in ("predictions", "annotations"):
        found = task.get(key)
        first = None if found is None else found.first()
        if first is not None and first.has("result"):
            return f"`{key}` with `result`"
    return "tasks with `data`" if task.has("data") and (task.has("predictions") or task.has("annotations")) else ""


def read(root: Field, sheet: Sheet) -> Labels:
    """Return what a task says of the picture."""
    tasks = list(root.entries()) if isinstance(root.value, list) else [root]
    if not tasks:
        raise sheet.sidecar.bad("", "has no tasks")
    task = the_one(sheet.sidecar, [(_picture(task), task) for task in tasks])
    said = _said(task)
    if said is None:
        raise sheet.sidecar.bad(task.path, "has neither predictions nor annotations")
    version, overall = said.get("model_version"), said.get("score")
    for region in said.need("result").items():
        _enter(region, overall, sheet)
    return sheet.labels(Model(None, None if version is None or version.value == "" else version.text()))


def excerpts(root: Field) -> Excerpts:
    """Return the task of each picture that something is known of."""
    tasks = root.entries() if isinstance(root.value, list) else iter((root,))
    return {_picture(task): task.value for task in tasks if _said(task) is not None}


def _picture(task: Field) -> str:
    """Return the file name of a task's picture, which may stand under any key of its data."""
    data = task.get("data")
    texts: Iterator[Field] = iter(()) if data is None else (field for _, field in data.members())
    found = next((field.value for field in texts if isinstance(field.value, str) and "." in field.value), "")
    return _UPLOADED.sub("", last_part(found), count=1)


def _said(task: Field) -> Field | None:
    if task.has("result"):
        return task
    for key in ("predictions", "annotations"):
        found = task.get(key)
        entries = [] if found is None else list(found.items())
        kept = [entry for entry in entries if not _is_cancelled(entry)]
        if kept:
            return kept[-1]
    return None


def _is_cancelled(entry: Field) -> bool:
    flag = entry.get("was_cancelled")
    return flag is not None and flag.value is True


def _enter(region: Field, overall: Field | None, sheet: Sheet) -> None:
    if region.has("from_id") or not region.has("value"):
        return  # a relation between two regions
    value = region.need("value")
    own = region.get("score")
    confidence = score(overall if own is None else own)
    name = _label(value)
    if name is None:
        sheet.skip()
    elif value.has("points"):
        points = [list(point.items()) for point in value.need("points").items()]
        if any(len(point) != 2 for point in points):  # noqa: PLR2004 (x and y)
            value.need("points").fail("must be a list of [x, y]")
        sheet.add_shape(name, [_share(x) for x, _ in points], [_share(y) for _, y in points], confidence)
    elif value.has("width") and value.has("height"):
        _enter_box(region, value, name, confidence, sheet)
    elif value.has("radiusX"):
        x, y, across, down = (_share(value.need(key)) for key in ("x", "y", "radiusX", "radiusY"))
        sheet.add_shape(name, [x - across, x + across], [y - down, y + down], confidence)
    else:
        sheet.skip()


def _enter_box(region: Field, value: Field, name: str, confidence: float | None, sheet: Sheet) -> None:
    x, y, width, height = (_share(value.need(key)) for key in ("x", "y", "width", "height"))
    turned = value.get("rotation")
    degrees = 0.0 if turned is None else turned.number()
    if degrees % 360 == 0:
        sheet.add(name, (x + width / 2, y + height / 2, width, height), confidence)
        return
    # The angle is one of pixels, so it depends on the picture's proportions.
    ratio = _ratio(region, sheet)
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = [(across, down) for across in (0.0, width * ratio) for down in (0.0, height)]
    xs = [x + (across * cosine - down * sine) / ratio for across, down in corners]
    ys = [y + across * sine + down * cosine for across, down in corners]
    sheet.add_shape(name, xs, ys, confidence)


def _ratio(region: Field, sheet: Sheet) -> float:
    width, height = region.get("original_width"), region.get("original_height")
    if width is None or height is None or min(width.number(), height.number()) <= 0:
        return sheet.width / sheet.height
    return width.number() / height.number()


def _share(field: Field) -> float:
    share = field.number() / _PERCENT
    if not -_FAR_OUT <= share <= _FAR_OUT:
        field.fail("must be percent of the picture, 0..100")
    return share


def _label(value: Field) -> str | None:
    """Return the first label of a region, whatever tool drew it; None for what has none."""
    for key, field in value.members():
        if key.endswith("labels") and field.first() is not None:
            return next(field.items()).text()
    return None
