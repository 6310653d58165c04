"""The formats that are known: how each is recognised, and which reader it has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from agent.annotations import (
    coco,
    deepstack,
    edge_impulse,
    fiftyone,
    frigate,
    hugging_face,
    kitti,
    label_studio,
    labelme,
    native,
    roboflow,
    supervision,
    ultralytics,
    voc,
    yolo,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.annotations.document import Field
    from agent.annotations.lookup import Excerpts
    from agent.annotations.sheet import Sheet
    from agent.annotations.sidecar import Sidecar
    from agent.frame import Labels


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """A format in JSON: `signs` says what tells it from others, nothing where it is another one.

    `excerpts` takes a file with many pictures apart, where the format has such files.
    """

    name: str
    signs: Callable[[Field], str]
    read: Callable[[Field, Sheet], Labels]
    excerpts: Callable[[Field], Excerpts] | None = None


@dataclass(frozen=True, slots=True)
class TextFormat:
    """A format in another syntax: `lines`, `csv` or `xml`."""

    name: str
    syntax: str
    signs: Callable[[Sidecar], str]
    read: Callable[[Sidecar, Sheet], Labels]
    suffix: str
    excerpts: Callable[[Sidecar], Excerpts] | None = None


Format: TypeAlias = JsonFormat | TextFormat

# In the order in which they are asked: what has a name of its own comes before what goes by its parts.
FORMATS: tuple[Format, ...] = (
    JsonFormat("coco", coco.signs, coco.read, coco.excerpts),
    JsonFormat("labelme", labelme.signs, labelme.read),
    JsonFormat("edge-impulse", edge_impulse.signs, edge_impulse.read, edge_impulse.excerpts),
    JsonFormat("frigate", frigate.signs, frigate.read),
    JsonFormat("label-studio", label_studio.signs, label_studio.read, label_studio.excerpts),
    JsonFormat("native", native.signs, native.read),
    JsonFormat("roboflow", roboflow.signs, roboflow.read),
    JsonFormat("deepstack", deepstack.signs, deepstack.read),
    JsonFormat("supervision", supervision.signs, supervision.read, supervision.excerpts),
    JsonFormat("coco-results", coco.signs_of_results, coco.read_results, coco.excerpts_of_results),
    JsonFormat("fiftyone", fiftyone.signs, fiftyone.read, fiftyone.excerpts),
    JsonFormat("hugging-face", hugging_face.signs, hugging_face.read),
    JsonFormat("ultralytics", ultralytics.signs, ultralytics.read),
    TextFormat("voc", "xml", voc.signs, voc.read, ".xml"),
    TextFormat(
        "supervision", "csv", supervision.signs_of_csv, supervision.read_csv, ".csv", supervision.excerpts_of_csv
    ),
    TextFormat("kitti", "lines", kitti.signs, kitti.read, ".txt"),
    TextFormat("yolo", "lines", yolo.signs, yolo.read, ".txt"),
)
NAMES = tuple(sorted({known.name for known in FORMATS}))
