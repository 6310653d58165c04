"""The settings tree: every key of the configuration, its default, its unit and its limits.

Frozen, and closed at every level: what is not named here is an error. It reads nothing by itself; `load` merges
file and environment into it.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (pydantic reads the annotations)
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from agent.config.address import check_url
from agent.config.annotators import AnnotatorSettings
from agent.config.device_key import checked_key
from agent.config.fields import Bytes, FilePath, Seconds, SecretText, Section, Timeout, Word
from agent.config.operator import CheckinSettings, ModelsSettings
from agent.config.page import PageSettings
from agent.config.secret import Secret  # noqa: TC001 (pydantic reads the annotations)
from agent.config.selection import SelectSettings
from agent.config.sources import CameraSettings, WatchSettings  # noqa: TC001 (pydantic reads the annotations)
from agent.config.timetable import TimetableSettings, check_timetable


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
    device_key: SecretText | None = Field(
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
    def _check_key(cls, key: Secret | None) -> Secret | None:
        return None if key is None else checked_key(key.get_secret_value())


class ModelSettings(Section):
    """The model that made the annotations, sent where a sidecar names none."""

    id: Word | None = Field(default=None, description="The model's id on the platform.")
    version: Word | None = Field(default=None, description="The model's version.")


class EncodeSettings(Section):
    """How pictures are prepared for the platform."""

    quality: int = Field(default=90, ge=1, le=100, description="JPEG quality, 1 to 100.")
    max_side: int = Field(
        default=0, ge=0, le=65_535, description="Longest side of a picture, in pixels; 0 for no limit."
    )
    passthrough: bool = Field(default=True, description="Send what is an acceptable JPEG or PNG already byte for byte.")
    strip_gps: bool = Field(
        default=False,
        description="Take out of a picture's EXIF and XMP where it was taken; its pixels stay as they are.",
    )
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
    max_items: int = Field(default=1_000_000, gt=0, le=10**9, description="Most pictures that the spool may hold.")
    min_free_bytes: Bytes = Field(
        default=500_000_000, description="Free disk space that the spool leaves alone, in bytes."
    )
    min_free_inodes: int = Field(
        default=1000,
        ge=0,
        le=10**12,
        description="Free inodes that the spool leaves alone, where the file system has a fixed number of them.",
    )
    quarantine_max_items: int = Field(
        default=1000, gt=0, le=1_000_000, description="Most refused pictures to keep; beyond it the oldest is dropped."
    )


class UploadSettings(Section):
    """How pictures are sent."""

    workers: int = Field(
        default=2, ge=1, le=32, description="Most uploads at the same time; a slow server or link gets fewer."
    )
    order: Literal["oldest", "newest"] = Field(
        default="oldest", description='Which waiting picture goes first: "oldest" or "newest".'
    )
    fresh_share: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Share of the uploads that take the newest picture while a backlog drains; 0 for none.",
    )
    timeout_s: Timeout = Field(default=30.0, description="Longest silence of the server within an upload, in seconds.")
    start_jitter_s: Seconds = Field(
        default=5.0,
        description="Random wait of at most this before the first upload after a start, and after an outage for all "
        "but the probe, in seconds; keeps a fleet out of step.",
    )
    max_rate_bytes_s: Bytes = Field(default=0, description="Most to send, in bytes per second; 0 for no cap.")
    timetable: tuple[TimetableSettings, ...] = Field(
        default=(), description="Rates and pauses by weekday and hour; the first line that fits counts."
    )
    max_bytes_day: Bytes = Field(
        default=0, description="Most to send from midnight to midnight, local time, in bytes; 0 for no budget."
    )
    max_bytes_month: Bytes = Field(
        default=0, description="Most to send in a calendar month, in bytes; 0 for no budget."
    )
    grace_s: Seconds = Field(default=8.0, description="How long a stop waits for uploads under way, in seconds.")

    @field_validator("timetable")
    @classmethod
    def _check_timetable(cls, lines: tuple[TimetableSettings, ...]) -> tuple[TimetableSettings, ...]:
        check_timetable(lines)
        return lines


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
    annotator: AnnotatorSettings = Field(
        default=AnnotatorSettings(), description="What looks at pictures that come without a sidecar."
    )
    select: SelectSettings = Field(default=SelectSettings(), description="Which pictures are worth the link.")
    encode: EncodeSettings = Field(default=EncodeSettings(), description="How pictures are prepared.")
    spool: SpoolSettings = Field(default=SpoolSettings(), description="Where pictures wait for delivery.")
    upload: UploadSettings = Field(default=UploadSettings(), description="How pictures are sent.")
    checkin: CheckinSettings = Field(default=CheckinSettings(), description="How the platform hears of this device.")
    models: ModelsSettings = Field(default=ModelsSettings(), description="Models that the platform deploys.")
    page: PageSettings = Field(default=PageSettings(), description="The status page, a process of its own.")
    log: LogSettings = Field(default=LogSettings(), description="What is logged, and how.")
