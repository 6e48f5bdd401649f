"""What a command was asked for, as typed: the words that the faces hand to the app."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from proctor.engine.kit import Stop
from proctor.engine.part import Part
from proctor.model import Reparse


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What `run` was asked to do, as typed."""

    params: Mapping[str, str] = field(default_factory=dict)
    part: Part = field(default_factory=Part)
    plan: Path | None = None
    workers: int | None = None
    processes: int = 1
    until: str | None = None
    wait: bool = True
    """Whether a daily quota that is used up may be waited for."""
    accept: tuple[str, ...] = ()
    restart: bool = False
    resume: str | None = None
    confirmed: bool = False
    reparse: Reparse = Reparse.NO
    retry_failures_of: str | None = None
    stop: Stop = field(default_factory=Stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackOptions:
    """What `rollback` was asked to undo, as typed."""

    dry_run: bool = False
    part: Part = field(default_factory=Part)
    since: datetime | None = None
    confirmed: bool = False
    plan: Path | None = None
    """What a dry run wrote, and somebody approved."""
    touched: bool = False
    """Whether the rows that a called service wrote are to be undone, too."""
    stop: Stop = field(default_factory=Stop)
