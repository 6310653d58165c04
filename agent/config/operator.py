"""The settings of `[checkin]` and `[models]`: what the platform hears of this device, and what it may ask of it."""

from __future__ import annotations

from pydantic import Field

from agent.config.fields import Bytes, FilePath, Section, Timeout


class CheckinSettings(Section):
    """How the platform hears how this device is."""

    enabled: bool = Field(
        default=True,
        description="Tell the platform how this device is; about 1 kB each time, apart from uploads and their budgets.",
    )
    interval_s: float = Field(
        default=30.0,
        ge=1,
        le=86_400,
        description="Time between two check-ins, in seconds; a random part of it, at most a fifth, is left out.",
    )
    heartbeat: bool = Field(
        default=False, description="Also send the heartbeat of the platform's own agent (POST /core/agent/checkin)."
    )


class ModelsSettings(Section):
    """Models that the platform deploys to this device."""

    accept: bool = Field(
        default=False,
        description="Download a model that the platform deploys, try it, and use it for the annotator cv2dnn.",
    )
    dir: FilePath | None = Field(default=None, description="Where models are kept; by default in the spool's folder.")
    max_bytes: Bytes = Field(default=500_000_000, gt=0, description="Largest model to download, in bytes.")
    timeout_s: Timeout = Field(
        default=600.0,
        description="Longest time for one piece of a download, in seconds; what came is kept and resumed.",
    )
