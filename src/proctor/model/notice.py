"""What people are told without asking: how grave it is, where it goes, and what raises an alert."""

from __future__ import annotations

import enum

from dataclasses import dataclass
from datetime import timedelta


class Severity(enum.StrEnum):
    """How grave an event is, for whoever may be woken by it."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """Rises with the severity."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareAlert:
    """A share of two numbers that units record, and below which it is too small."""

    name: str
    of: str
    among: str
    below: float
    min_samples: int
    """Nothing is said of fewer: `among` counted over all units of the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRules:
    """From which numbers on a run raises an alert; None never."""

    failed: int | None = None
    """More rows or units than these have failed."""
    stuck_after: timedelta | None = None
    """A chunk, or a unit, is being worked on for longer."""
    coverage: float | None = None
    """A smaller share of the eligible rows is done when the run has ended."""
    shares: tuple[ShareAlert, ...] = ()

    @property
    def any(self) -> bool:
        """Whether there is anything to look at."""
        return self != AlertRules()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceSeen:
    """A place for notices, as far as it is known without sending anything there."""

    name: str
    kind: str
    """The service, such as slack or mailto."""
    severity: Severity
    events: tuple[str, ...]
    wrong: str = ""
    """Why nothing can be sent there; empty where nothing speaks against it."""
    fix: str = ""


__all__ = ["AlertRules", "PlaceSeen", "Severity", "ShareAlert"]
