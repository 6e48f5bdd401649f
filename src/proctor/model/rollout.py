"""The staged whole: where a rollout stands, and the log that it is read from."""

from __future__ import annotations

import enum

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from proctor.model.run import Holder


class RolloutState(enum.StrEnum):
    """Where a rollout stands."""

    PLANNED = "planned"
    APPLYING = "applying"
    SOAKING = "soaking"
    GATED = "gated"
    RAMPING = "ramping"
    ACTIVE = "active"
    """Readers see the new data, or all stages are through where there is no flag."""
    HELD = "held"
    """A person must decide."""
    ROLLED_BACK = "rolled_back"

    @property
    def ended(self) -> bool:
        """Whether nothing follows any more."""
        return self in (RolloutState.ACTIVE, RolloutState.ROLLED_BACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One thing that happened in a rollout, for good. `data` is JSON."""

    kind: str
    at: datetime
    who: str
    data: Mapping[str, Any] = field(default_factory=dict)
    number: int = 0
    """Its place from 1 up, given by the ledger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A rollout's row in the ledger."""

    id: str
    name: str
    env: str
    state: RolloutState
    number: int
    """Of its last entry."""
    epoch: int
    """Rises with every process that takes it."""
    holder: Holder | None
    beat: datetime
    """When its process was last heard of, by that machine's clock."""
    created: datetime


__all__ = ["LogEntry", "Rollout", "RolloutState"]
