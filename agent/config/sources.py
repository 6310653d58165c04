"""The settings of what pictures come from: watched folders and cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, WithJsonSchema, field_validator

from agent.config.annotations import (
    BoxSize,
    BoxSpace,
    Classes,
    Formats,
    OnBadSidecar,
    Shapes,
    SharedNames,
    box_size_field,
    box_space_field,
    classes_field,
    formats_field,
    min_confidence_field,
    on_bad_sidecar_field,
    shapes_field,
    shared_sidecars_field,
)
from agent.config.fields import FilePath, Name, Pixels, Priority, Seconds, Section, Timeout, WhenFull, Word
from agent.config.framing import Crop, Masks, crop_field, mask_field
from agent.config.selection import SelectSettings, priority_field, select_field
from agent.sources.grammar import parse_source

# A camera's number is written as one, and kept as a word.
Opened = Annotated[
    Word, WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, {"type": "integer", "minimum": 0}]})
]


def _folder_name(fields: dict[str, Any]) -> str:
    return Path(fields["path"]).name


class WatchSettings(Section):
    """A folder whose pictures are uploaded."""

    path: FilePath = Field(description="The folder to watch.")
    name: Name = Field(
        default_factory=_folder_name,
        validate_default=True,
        description="The source's name, unique among all sources, part of file names; by default the folder's.",
    )
    recursive: bool = Field(default=False, description="Also watch the folders below.")
    patterns: tuple[Word, ...] = Field(
        default=("*.jpg", "*.jpeg", "*.png", "*.webp", "*.bmp", "*.tif", "*.tiff"),
        min_length=1,
        description="Which file names are pictures, without regard to upper and lower case.",
    )
    annotations: Formats = formats_field()
    classes: Classes = classes_field()
    box_space: BoxSpace = box_space_field()
    box_size: BoxSize = box_size_field()
    min_confidence: float = min_confidence_field()
    shapes: Shapes = shapes_field()
    on_bad_sidecar: OnBadSidecar = on_bad_sidecar_field()
    shared_sidecars: SharedNames = shared_sidecars_field()
    crop: Crop = crop_field()
    mask: Masks = mask_field()
    annotate: bool = Field(
        default=True, description="Have [annotator] look at pictures without a sidecar, where one is set up."
    )
    settle_s: Seconds = Field(
        default=1.0, description="How long a file must stay unchanged before it counts as written, in seconds."
    )
    sidecar_wait_s: Seconds = Field(
        default=2.0, description="How long a picture waits for the sidecar with its annotations, in seconds."
    )
    rescan_s: Timeout = Field(default=30.0, description="Time between two full scans of the folder, in seconds.")
    verify: Literal["structure", "decode"] = Field(
        default="structure",
        description='How a picture is checked: "structure" reads its markers and checksums, "decode" also decodes it.',
    )
    after_delivery: Literal["keep", "delete", "move"] = Field(
        default="keep", description='What becomes of a file once its picture is delivered: "keep", "delete" or "move".'
    )
    move_to: FilePath | None = Field(
        default=None,
        validate_default=True,
        description='Where delivered files go with after_delivery = "move": a folder that is not watched itself.',
    )
    when_full: WhenFull = Field(
        default="pause",
        description='What gives way when the spool is full: "pause" leaves files where they are until there is room, '
        '"thin" drops waiting pictures evenly over time, "oldest" or "newest" drops that end. Files always stay.',
    )

    priority: Priority = priority_field()
    select: SelectSettings = select_field()

    @field_validator("move_to")
    @classmethod
    def _check_move_to(cls, folder: Path | None, info: ValidationInfo) -> Path | None:
        if folder is None and info.data.get("after_delivery") == "move":
            raise ValueError('is needed with after_delivery = "move"; name a folder that is not watched')
        return folder


def _plays_a_file(source: str) -> bool:
    try:
        return not parse_source(source).live
    except ValueError:
        return False  # refused elsewhere, by a sentence of its own


def _when_full(fields: dict[str, Any]) -> WhenFull:
    return "pause" if _plays_a_file(fields.get("source", "")) else "thin"


class CameraSettings(Section):
    """A camera, a stream, a video file, or a program that writes JPEGs."""

    name: Name = Field(description="The source's name, unique among all sources, part of file names.")
    # A camera's URL may hold a password: kept out of the `repr`.
    source: Opened = Field(
        repr=False,
        coerce_numbers_to_str=True,
        description="What to open: 0, /dev/…, rtsp://…, http://…, a video file or glob, gst:PIPELINE or cmd:PROGRAM.",
    )
    interval_s: Seconds | None = Field(
        default=None,
        description="Time between two pictures, in seconds; 0 takes every frame; 1.0 where fps is not set either.",
    )
    fps: float | None = Field(
        default=None, gt=0, le=1000, description="Pictures per second; set either this or interval_s."
    )
    width: Pixels | None = Field(default=None, description="Frame width to ask the camera for, in pixels.")
    height: Pixels | None = Field(default=None, description="Frame height to ask the camera for, in pixels.")
    fourcc: str | None = Field(
        default=None,
        pattern=r"^[ -~]{4}$",
        description='Pixel format to ask the camera for, four characters such as "MJPG".',
    )
    crop: Crop = crop_field()
    mask: Masks = mask_field()
    annotate: bool = Field(default=True, description="Have [annotator] look at the pictures, where one is set up.")
    open_timeout_s: Timeout = Field(default=10.0, description="Longest wait for the camera to open, in seconds.")
    stall_timeout_s: Timeout = Field(
        default=10.0, description="Silence after which the camera is reopened, in seconds."
    )
    when_full: WhenFull = Field(
        default_factory=_when_full,
        description='What gives way when the spool is full: "thin" drops waiting pictures evenly over time, "oldest" '
        'or "newest" drops that end, "pause" takes none. A live camera is thinned by default; a video file pauses.',
    )

    priority: Priority = priority_field()
    select: SelectSettings = select_field()

    @field_validator("when_full")
    @classmethod
    def _check_when_full(cls, when_full: WhenFull, info: ValidationInfo) -> WhenFull:
        if when_full != "pause" and _plays_a_file(info.data.get("source", "")):
            raise ValueError('must be "pause" for a video file, which loses nothing by waiting; leave it out')
        return when_full

    @field_validator("fps")
    @classmethod
    def _check_fps(cls, fps: float | None, info: ValidationInfo) -> float | None:
        if fps is not None and info.data.get("interval_s") is not None:
            raise ValueError("says the same as interval_s; keep one of the two")
        return fps
