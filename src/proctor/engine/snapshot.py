"""The read model: the values that every face shows, and nothing else shows anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from proctor.model import (
    Account,
    Bucket,
    Checked,
    ChunkRecord,
    Foresight,
    Issue,
    Key,
    Run,
    Shape,
    Signal,
    Span,
    Survey,
    TouchedBooks,
    Undone,
    Unit,
    Untouched,
)
from proctor.ports import UndoTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A forecast that admits what it does not know: low and high of a range."""

    low: timedelta
    high: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A run at one moment. `rate` is rows read a second over the last half minute."""

    run: Run
    at: datetime
    expected: int | None
    """Eligible rows when the run began; None where that is not known."""
    elapsed: timedelta
    """Time worked: without that in which it was paused, or dead."""
    rate: float | None = None
    eta: Estimate | None = None
    chunks_applied: int = 0
    """By this process, or of the run where one run was asked for."""
    chunk_rows: int | None = None
    """Keys a new chunk is cut to at this moment."""
    workers: int | None = None
    throttle: tuple[Signal, ...] = ()
    throttle_reason: str = ""
    """Why the run waits at this moment, with numbers; empty when it does not."""
    chunks_undone: int = 0
    """Of the run, where one run was asked for."""
    units: UnitsSeen | None = None
    """Of its grid, where one run was asked for and its rows are units."""
    touched: TouchedBooks = field(default_factory=TouchedBooks)
    """What called services wrote, where one run was asked for."""
    silent_for: timedelta | None = None
    """Since the last heartbeat of an active run, by this machine's clock."""
    paid: tuple[Account, ...] = ()
    """What it has asked of providers, one by one."""
    paid_unknown: str = ""
    """Why that cannot be told; empty where it can."""
    paid_waits: tuple[str, ...] = ()
    """What keeps its questions waiting at this moment, by provider."""
    lease_left: timedelta | None = None
    """After how much more silence another process may take an active run over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undoing:
    """A rollback at one moment, in the process that carries it."""

    undone: Undone
    """The books so far, with the rows that were pruned."""
    chunks_undone: int
    chunks: int
    throttle: tuple[Signal, ...] = ()
    throttle_reason: str = ""
    """Why it waits at this moment, with numbers; empty when it does not."""
    stopping: str = ""
    """Why no further chunk is begun; empty while it goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """One row as a dry run shows it. Sensitive fields are masked already.

    `before` and `after` hold the written fields as text, None for null.
    """

    key: Key
    bucket: str
    before: Mapping[str, str | None]
    after: Mapping[str, str | None]
    inputs: Mapping[str, str | None] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What a dry run found: the rows asked for, and how they would end."""

    backfill: str
    env: str
    previews: tuple[Preview, ...]
    counts: Mapping[str, int]
    per_row: timedelta | None
    """The usual time of the author's function for one row; None where there is no function."""
    existing: int
    """How many of the rows to write stand in the target already: the others are inserted."""
    warnings: tuple[str, ...] = ()
    """Why fewer rows are shown than were asked for: the time was up, or nobody may pay."""
    unasked: int = 0
    """Rows that were not computed, for their function asks a provider and nobody may pay."""
    paid: Foresight | None = None
    """What the rows were asked and took; None without `--paid-sample`."""
    checks: tuple[Checked, ...] = ()
    """What each ready check says of the rows shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueGroup:
    """Rows that were not written for the same cause: the first of them, and the first keys."""

    bucket: Bucket
    what: str
    """What their reasons have in common; empty where there is none."""
    count: int
    example: Issue
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwritten:
    """Every row that a run read and did not write, except those that already held the value."""

    run: Run
    issues: tuple[Issue, ...]
    groups: tuple[IssueGroup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """Of the keys that `--keys` gave, those without a row, and those whose row needs nothing."""

    given: int
    not_found: int
    not_eligible: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The reviewable forecast of a run. `parts` are the digests that an approval covers."""

    backfill: str
    version: str
    env: str
    target: str
    fills: tuple[str, ...]
    made: datetime
    digest: str
    parts: Mapping[str, str]
    files: Mapping[str, str]
    """Digest of each first-party file and distribution behind the code part, to name a change."""
    facts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What is behind other parts, in words."""
    params: Mapping[str, Any]
    span: Span
    shape: Shape
    survey: Survey
    chunks: int
    chunk_rows: int
    duration: Estimate
    wal_bytes: int | None
    dead_tuples: int | None
    sample: tuple[Preview, ...]
    warnings: tuple[str, ...] = ()
    throttle: tuple[Signal, ...] = ()
    source: str = ""
    """Where the rows come from; empty where that is the target."""
    missed: Missed | None = None
    """None where no keys were given."""
    paid: Foresight | None = None
    """What its paid answers will take; None without `--paid-sample`."""
    checks: tuple[Checked, ...] = ()
    """What each ready check says of the sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of `doctor`: what was looked at, whether it is well, and what to do."""

    subject: str
    ok: bool
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What `verify` saw: rows that still hold what was written, and those recomputed."""

    run: Run
    held: Undone
    recomputed: int
    different: tuple[Issue, ...]
    verdict: str
    """pass, fail or inconclusive."""
    reason: str
    touched: Undone | None = None
    """Rows of called services, where the backfill declares any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """How a rollback ended."""

    run: Run
    undone: Undone
    chunks: int
    dry_run: bool
    elapsed: timedelta
    terms: UndoTerms = field(default_factory=UndoTerms)
    """Which rows it was about."""
    pruned: int = 0
    """How many of the blocked rows had their undo data pruned."""
    interrupted: bool = False
    """Somebody said stop before the last chunk: the same command goes on."""
    untouched: Untouched = field(default_factory=Untouched)
    """What undoing the rows of called services came to, or would."""
    touched: TouchedBooks = field(default_factory=TouchedBooks)
    """What called services wrote and is not undone."""

    @property
    def keys_missed(self) -> int:
        """Of the keys that were given, those that had nothing left to be undone."""
        given = len(self.terms.span.keys)
        found = self.undone.written - self.pruned
        return max(0, given - found) if given and not self.interrupted else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a plan foresaw of a run's paid answers: what was left to pay after its sample."""

    made: datetime
    sample: int
    """Rows that it had made paid calls for."""
    rows: int
    calls: int
    usd: Decimal
    usd_low: Decimal
    usd_high: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitsSeen:
    """The units of a grid as they stand, masked where they are sensitive."""

    units: tuple[Unit, ...]
    states: Mapping[str, int]
    """How many stand in each state, of those in which any does."""
    totals: Mapping[str, float]
    """The author's numbers, each summed over all units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that the report of a run shows, in every format."""

    run: Run
    made: datetime
    expected: int | None
    elapsed: timedelta
    """Time worked: without that in which it was paused, or dead."""
    success_rate: float | None
    """Share of rows read that ended written or unchanged; None when nothing was read."""
    rows_per_second: float | None
    chunks: tuple[ChunkRecord, ...]
    issues: tuple[Issue, ...]
    issues_total: int
    issues_by_reason: Mapping[str, int]
    rates: tuple[tuple[datetime, float], ...]
    """Rows a second over time, at most a few hundred points."""
    throttle: tuple[tuple[datetime, str], ...]
    """When and why the run waited."""
    sample: tuple[Preview, ...]
    actions: tuple[tuple[datetime, str, str, str], ...]
    """What operators did: when, who, what, before and after."""
    next_steps: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    rollback: Undone | None = None
    missed: Missed | None = None
    """None where no keys were given."""
    paid: tuple[Account, ...] = ()
    """What it has asked of providers, one by one."""
    paid_unknown: str = ""
    """Why that cannot be told; empty where it can."""
    planned: Planned | None = None
    """What was foreseen of it; None where no plan had a paid sample."""
    units: UnitsSeen | None = None
    """None where the rows are rows."""
    touched: TouchedBooks = field(default_factory=TouchedBooks)
    """What called services wrote, where the backfill declares that."""
    noted: Mapping[str, int] = field(default_factory=dict)
    """What came of questions to providers beside plain answers, and of how many."""


__all__ = [
    "DryRun",
    "Estimate",
    "Finding",
    "IssueGroup",
    "Missed",
    "Plan",
    "Planned",
    "Preview",
    "Report",
    "Rollback",
    "Snapshot",
    "Undoing",
    "UnitsSeen",
    "Unwritten",
    "Verification",
]
