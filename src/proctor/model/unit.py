"""A unit of work that is no row: what its grid's database remembers of it."""

from __future__ import annotations

import enum

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from proctor.model.key import Key

Emitted: TypeAlias = tuple[Key, tuple[Any, ...]]
"""One row that a unit produced: its key in the target, and the values of `Spec.writes`."""


class UnitState(enum.StrEnum):
    """Where a unit stands; only the last two are final."""

    PENDING = "pending"
    PROCESSING = "processing"
    RETRY = "retry"
    """Its last attempt failed or was refused, and it has attempts left: the next run takes it."""
    COMPLETED = "completed"
    FAILED = "failed"
    """It has used up its attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitNote:
    """What one attempt at a unit has to say beside its answer.

    `metrics` are the author's own numbers and words, JSON-safe.
    """

    started: datetime
    metrics: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One unit of a grid, as it stands.

    `completed` is there in a final state only, and never before `started`, which is the begin
    of its latest attempt. `reason` says why an attempt failed, was refused or skipped.
    """

    key: Key
    state: UnitState
    attempts: int = 0
    run: str = ""
    """The run that it was last tried in."""
    version: str = ""
    """The backfill's version then: another one does the unit anew."""
    started: datetime | None = None
    completed: datetime | None = None
    emitted: int = 0
    """Rows that it wrote."""
    metrics: Mapping[str, Any] = field(default_factory=dict, repr=False)
    reason: str = ""
