"""The settings of `[page]`: where the status page listens, and who may see it."""

from __future__ import annotations

from pydantic import Field, field_validator

from agent.config.fields import FilePath, Section, Timeout
from agent.config.listening import place


class PageSettings(Section):
    """Where `acusight-agent page` is seen, and by whom."""

    listen: str = Field(
        default="127.0.0.1:8585",
        description='Address and port, or the path of a Unix socket ("/run/…"); beyond loopback only with a '
        "token_file.",
    )
    token_file: FilePath | None = Field(
        default=None,
        description="A file with the password that the page asks for, 16 characters or more, readable by its owner "
        "only; any user name goes with it.",
    )
    idle_s: Timeout = Field(
        default=300.0,
        description="Time without a visitor after which a page that systemd started ends itself, in seconds.",
    )

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, listen: str) -> str:
        place(listen)
        return listen
