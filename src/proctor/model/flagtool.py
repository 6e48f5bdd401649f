"""Where a feature flag is kept, kind by kind: what proctor.toml says, with its variables filled in.

Fields that may hold a secret are not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagSettings:
    """What every kind has: its section's name, and the flag's key in its tool.

    verify_s: for how long a write may take to be read back; timeout_s: for how long one question
    may take.
    """

    name: str
    flag: str
    verify_s: float = 10.0
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlFlag(FlagSettings):
    """A row of a table, with a version that every write raises.

    With a `cohort_table` only readers in it are let in; `subjects` is a SELECT of those who may be.
    """

    url: str = field(repr=False)
    table: str = "flags"
    key_column: str = "key"
    percent_column: str = "percent"
    version_column: str = "version"
    audit_table: str = ""
    cohort_table: str = ""
    subjects: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvFileFlag(FlagSettings):
    """A variable of an env file, which is on or off; applications read it when they start."""

    path: Path
    on: str = "true"
    off: str = "false"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagdFlag(FlagSettings):
    """A flag of a flagd file of JSON. only_filled: an attribute that readers must have."""

    path: Path
    only_filled: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnleashFlag(FlagSettings):
    """A flag of an Unleash server; `client_token` is what applications ask with."""

    url: str = field(repr=False)
    token: str = field(repr=False)
    environment: str
    client_token: str = field(default="", repr=False)
    project: str = "default"
    stickiness: str = "userId"
    only_filled: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellFlag(FlagSettings):
    """Commands as lists of words; no shell reads them."""

    write: tuple[str, ...] = field(repr=False)
    read: tuple[str, ...] = field(repr=False)
    observe: tuple[str, ...] = field(default=(), repr=False)
    cwd: Path
    percent: bool = True
    needs_redeploy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagRequest:
    """One request: texts may hold `{flag}`, `{percent}`, `{on}`, `{reason}` and `{once}`."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Any = field(default=None, repr=False)
    pick: str = ""
    """A JSON path to the percent in what is answered; for reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFlag(FlagSettings):
    """Two requests: one writes, one reads."""

    write: FlagRequest
    read: FlagRequest
    percent: bool = True
    needs_redeploy: bool = False


Vendor = Literal["launchdarkly", "growthbook", "configcat", "railway", "vercel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorFlag(FlagSettings):
    """A vendor's own API; `of` are the names by which it finds the flag."""

    vendor: Vendor
    url: str = field(repr=False)
    token: str = field(repr=False)
    of: Mapping[str, str] = field(default_factory=dict)


AnyFlag = SqlFlag | EnvFileFlag | FlagdFlag | UnleashFlag | ShellFlag | HttpFlag | VendorFlag


__all__ = [
    "AnyFlag",
    "EnvFileFlag",
    "FlagRequest",
    "FlagSettings",
    "FlagdFlag",
    "HttpFlag",
    "ShellFlag",
    "SqlFlag",
    "UnleashFlag",
    "VendorFlag",
]
