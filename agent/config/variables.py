"""Environment variables as pydantic-settings decodes them; its only importer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from agent.config.environment import PREFIX
from agent.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping


class Variables(EnvSettingsSource):
    """The environment source, over the variables that it is given: their names in lower case, with the prefix."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(_Overridable)
        self.env_vars = variables


class _Overridable(Settings, BaseSettings):
    """The settings tree as pydantic-settings wants to see it; never made into an instance."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__")
