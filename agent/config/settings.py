"""The settings tree: every key of the configuration, its default, its unit and its limits.

Frozen, and closed at every level: what is not named here is an error. It reads nothing by itself; `load` merges
file and environment into it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from agent.config.address import check_url
from agent.config.device_key import checked_key
from agent.config.fields import Bytes, FilePath, Name, Pixels, Seconds, Section, Timeout, Word


class ServerSettings(Section):
    """Where the platform is, and how this device identifies itself."""

    # Declared before `url`, whose check reads it.
    allow_plain_http: bool = Field(
        default=False,
        description="Allow http:// to public hosts, which sends the device key unencrypted. Loopback, private and "
        "link-local addresses, localhost and .local names never need it.",
    )
    url: str = Field(
        default="https://acusight.io/api",
        validate_default=True,
        description="Base URL of the platform's API, used exactly as written; http or https.",
    )
    device_key: SecretStr | None = Field(
        default=None,
        description="The device key, adk_ and hexadecimal digits. The file must then be readable by its owner only.",
    )
    device_key_file: FilePath | None = Field(
        default=None,
        description="A file that holds the device key, readable by its owner only; used where device_key is not set.",
    )
    ca_file: FilePath | None = Field(
        default=None, description="PEM file of the authorities to trust, in place of the built-in ones."
    )
    client_cert_file: FilePath | None = Field(
        default=None, description="PEM file of this device's own certificate, for servers that ask for one."
    )
    client_key_file: FilePath | None = Field(
        default=None,
        validate_default=True,
        description="PEM file of its private key, without a passphrase, readable by its owner only; by default the "
        "key is in client_cert_file.",
    )
    connect_timeout_s: Timeout = Field(default=10.0, description="Longest wait for a connection, in seconds.")

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str, info: ValidationInfo) -> str:
        check_url(url, allow_plain_http=info.data.get("allow_plain_http", False))
        return url

    @field_validator("client_key_file")
    @classmethod
    def _check_client_key(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        if key is not None and info.data.get("client_cert_file") is None:
            raise ValueError("needs client_cert_file, the certificate that it belongs to")
        return key

    @field_validator("device_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None) -> SecretStr | None:
        return None if key is None else checked_key(key.get_secret_value())


class ModelSettings(Section):
    """The model that made the annotations, sent where a sidecar names none."""

    id: Word | None = Field(default=None, description="The model's id on the platform.")
    version: Word | None = Field(default=None, description="The model's version.")


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
    classes: tuple[Word, ...] = Field(
        default=(), description="Class names by index, for sidecars that hold numbers only."
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

    @field_validator("move_to")
    @classmethod
    def _check_move_to(cls, folder: Path | None, info: ValidationInfo) -> Path | None:
        if folder is None and info.data.get("after_delivery") == "move":
            raise ValueError('is needed with after_delivery = "move"; name a folder that is not watched')
        return folder


class CameraSettings(Section):
    """A camera, a stream, a video file, or a program that writes JPEGs."""

    name: Name = Field(description="The source's name, unique among all sources, part of file names.")
    # A camera's URL may hold a password: kept out of the `repr`.
    source: Word = Field(
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
    open_timeout_s: Timeout = Field(default=10.0, description="Longest wait for the camera to open, in seconds.")
    stall_timeout_s: Timeout = Field(
        default=10.0, description="Silence after which the camera is reopened, in seconds."
    )

    @field_validator("fps")
    @classmethod
    def _check_fps(cls, fps: float | None, info: ValidationInfo) -> float | None:
        if fps is not None and info.data.get("interval_s") is not None:
            raise ValueError("says the same as interval_s; keep one of the two")
        return fps

    @property
    def period_s(self) -> float:
        """The time between two pictures, whichever way it was written; 0 for every frame."""
        if self.fps is not None:
            return 1.0 / self.fps
        return 1.0 if self.interval_s is None else self.interval_s


class EncodeSettings(Section):
    """How pictures are prepared for the platform."""

    quality: int = Field(default=90, ge=1, le=100, description="JPEG quality, 1 to 100.")
    max_side: int = Field(
        default=0, ge=0, le=65_535, description="Longest side of a picture, in pixels; 0 for no limit."
    )
    passthrough: bool = Field(default=True, description="Send what is an acceptable JPEG or PNG already byte for byte.")
    # The platform takes 50 MB for the whole body; the rest is for the metadata.
    max_bytes: Bytes = Field(default=49_000_000, gt=0, le=49_900_000, description="Largest picture to send, in bytes.")
    max_pixels: int = Field(
        default=100_000_000, gt=0, le=10**10, description="Largest picture to accept, in pixels (width times height)."
    )


class SpoolSettings(Section):
    """Where pictures wait for delivery."""

    dir: FilePath | None = Field(
        default=None,
        description="The spool's folder; by default $STATE_DIRECTORY/spool, else acusight-agent/spool in the user's "
        "state folder.",
    )
    max_bytes: Bytes = Field(default=4_000_000_000, gt=0, description="Most that the spool may hold, in bytes.")
    min_free_bytes: Bytes = Field(
        default=500_000_000, description="Free disk space that the spool leaves alone, in bytes."
    )
    quarantine_max_items: int = Field(
        default=1000, gt=0, le=1_000_000, description="Most refused pictures to keep; beyond it the oldest is dropped."
    )


class UploadSettings(Section):
    """How pictures are sent."""

    workers: int = Field(default=2, ge=1, le=32, description="Uploads at the same time.")
    order: Literal["oldest", "newest"] = Field(
        default="oldest", description='Which waiting picture goes first: "oldest" or "newest".'
    )
    timeout_s: Timeout = Field(default=30.0, description="Longest silence of the server within an upload, in seconds.")
    start_jitter_s: Seconds = Field(
        default=5.0,
        description="Random wait of at most this before the first upload, in seconds; keeps a fleet out of step.",
    )
    max_rate_bytes_s: Bytes = Field(default=0, description="Most to send, in bytes per second; 0 for no cap.")
    grace_s: Seconds = Field(default=8.0, description="How long a stop waits for uploads under way, in seconds.")


class LogSettings(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description='The least important events to log: "debug", "info", "warning" or "error".'
    )
    format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description='"console" for people, "json" for programs; "auto" finds out, also for the systemd journal.',
    )


class Settings(Section):
    """The configuration of acusight-agent."""

    server: ServerSettings = Field(default=ServerSettings(), description="Where the platform is.")
    model: ModelSettings = Field(default=ModelSettings(), description="The model that made the annotations.")
    watch: tuple[WatchSettings, ...] = Field(default=(), description="Folders whose pictures are uploaded.")
    camera: tuple[CameraSettings, ...] = Field(default=(), description="Cameras, streams and video files.")
    encode: EncodeSettings = Field(default=EncodeSettings(), description="How pictures are prepared.")
    spool: SpoolSettings = Field(default=SpoolSettings(), description="Where pictures wait for delivery.")
    upload: UploadSettings = Field(default=UploadSettings(), description="How pictures are sent.")
    log: LogSettings = Field(default=LogSettings(), description="What is logged, and how.")
