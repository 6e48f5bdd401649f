"""From what proctor.toml says of a flag to a flag; what it needs is imported when used."""

from __future__ import annotations

from collections.abc import Callable

from proctor.adapters.flags.tool import Tool
from proctor.adapters.flags.verified import VerifiedFlag
from proctor.model import (
    AnyFlag,
    EnvFileFlag,
    FlagdFlag,
    HttpFlag,
    ShellFlag,
    SqlFlag,
    UnleashFlag,
)


def open_flag(
    settings: AnyFlag, *, rollout: str = "", redact: Callable[[str], str] = str
) -> VerifiedFlag:
    """A flag that can be read and written; nothing is asked yet.

    rollout: an id that commands are told; redact: takes secrets out of what a tool says.
    Raises ConfigError where a library is missing, or an address is none.
    """
    return VerifiedFlag(_tool(settings, rollout, redact), settings)


def _tool(settings: AnyFlag, rollout: str, redact: Callable[[str], str]) -> Tool:
    if isinstance(settings, SqlFlag | EnvFileFlag | FlagdFlag):
        return _kept_here(settings)
    if isinstance(settings, ShellFlag):
        from proctor.adapters.flags.shell import ShellTool

        return ShellTool(settings, rollout=rollout, redact=redact)
    if isinstance(settings, UnleashFlag):
        from proctor.adapters.flags.unleash import UnleashTool

        return UnleashTool(settings, redact=redact)
    if isinstance(settings, HttpFlag):
        from proctor.adapters.flags.http import HttpTool

        return HttpTool(settings, redact=redact)
    from proctor.adapters.flags.vendors import VendorTool

    return VendorTool(settings, redact=redact)


def _kept_here(settings: SqlFlag | EnvFileFlag | FlagdFlag) -> Tool:
    if isinstance(settings, SqlFlag):
        from proctor.adapters.flags.sql import SqlTool

        return SqlTool(settings)
    if isinstance(settings, EnvFileFlag):
        from proctor.adapters.flags.env_file import EnvFileTool

        return EnvFileTool(settings)
    from proctor.adapters.flags.flagd import FlagdTool

    return FlagdTool(settings)


__all__ = ["open_flag"]
