"""What the ledger keeps for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened: `noun.verb_past`, documented in docs/events.md."""

    name: str
    at: datetime
    run: str
    env: str
    who: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """What checking the chain found. `head` is the hash to note elsewhere."""

    events: int
    head: str
    broken_at: int | None = None
    """The number of the first event that does not fit; None if all do."""
    why: str = ""

    @property
    def intact(self) -> bool:
        """Whether nothing was changed, added, removed or reordered."""
        return self.broken_at is None
