"""The stages of a rollout, as its author told them."""

from __future__ import annotations

import enum

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from proctor.model.metric import Metric


class ProbeKind(enum.StrEnum):
    """How a probe asks."""

    CLEAN_GIT = "clean_git"
    VARIABLES = "variables"
    HTTP = "http"
    SQL = "sql"
    PYTHON = "python"
    COMMAND = "command"
    FLAG = "flag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One question with an answer that a person can read, asked before and after.

    `of` is what the kind asks: names, a URL, SQL, words of a command, a flag. `expect` picks the
    part of an HTTP answer (a JSONPath) that must be true. `compare` gets both answers and says
    True, False or why not.
    """

    name: str
    kind: ProbeKind
    of: tuple[str, ...] = ()
    expect: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    call: Callable[[], Any] | None = None
    compare: Callable[[Any, Any], Any] | None = None
    timeout: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Milestone:
    """A place in a run at which a sample is audited: so many rows written, or a share of them."""

    rows: int | None = None
    share: float | None = None
    sample: int = 300
    confidence: float = 0.95
    by: str = ""

    @property
    def name(self) -> str:
        """As it is called in the log and when its sample is drawn."""
        return f"{self.rows:,} rows" if self.rows is not None else f"{(self.share or 0) * 100:g}%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Precheck:
    """Nothing begins before every probe says yes."""

    name: str
    probes: tuple[Probe, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Apply:
    """Run a backfill, by exactly one worker that is kept alive.

    The stage is over when its run has ended well, or earlier when `until` holds of its coverage
    (an expression over `result`); the worker then goes on beside the stages that follow.
    """

    name: str
    backfill: str
    params: Mapping[str, str] = field(default_factory=dict)
    workers: int | None = None
    processes: int = 1
    milestones: tuple[Milestone, ...] = ()
    until: str = ""
    restarts: int = 5
    """How often in a row a worker that died without progress is started again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditStage:
    """Judge a recorded sample of what the run of a backfill wrote."""

    name: str
    backfill: str
    milestone: Milestone


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """Look again and again for a while, read-only; longer where it is still open, up to a bound.

    `seen` is the part of a metric's looks that must have been made: a soak that was blind for
    more of its time is open, however good the rest was.
    """

    name: str
    metrics: tuple[Metric, ...]
    duration: timedelta
    most: timedelta
    seen: float = 0.5
    report: str = ""
    """A Markdown file of what was seen and what it came to."""

    @property
    def endings(self) -> int:
        """How often it may end: twice where it can be extended."""
        return 2 if self.most > self.duration else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Ask until all hold at once, or until the deadline: then it is not passed."""

    name: str
    metrics: tuple[Metric, ...]
    within: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """A person looks and decides."""

    name: str
    look: tuple[str, ...] = ()
    """What to look at: files and commands."""
    approvals: int = 1
    self_review: bool = False
    """Whether whoever started the rollout may approve."""
    expires: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Activate:
    """Let readers in, step by step, and look at each step before the next."""

    name: str
    flag: str
    steps: tuple[int, ...] = (5, 25, 50, 100)
    hold: timedelta = timedelta(minutes=30)
    metrics: tuple[Metric, ...] = ()
    probes: tuple[Probe, ...] = ()
    subjects: int = 10_000
    """Synthetic readers that are asked after each step."""
    tolerance: float = 0.02
    """By how much their share may differ from the step's."""
    confirm: bool = False
    """Whether a person is asked before each step after the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Write down what was applied, under names of the team's.

    `{backfill}`, `{run}`, `{rollout}` and `{date}` (the day on which the rollout began) may
    stand in them.
    """

    name: str
    log: str = ""
    """JSON, for each backfill."""
    execution: str = ""
    """Text: everything that happened, a line each."""
    summary: str = ""
    """Markdown: all backfills in one."""
    undo: str = ""
    """SQL that takes the rows back without Proctor, with queries that verify it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthStage:
    """Find what still lacks its fill since a date, and write a plan for it."""

    name: str
    backfill: str
    since: str = ""
    report: str = ""
    plan: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A function of the author's: called with the rollout so far; what it returns is kept."""

    name: str
    call: Callable[..., Any]


Stage = Precheck | Apply | AuditStage | Files | Soak | Gate | Halt | Activate | HealthStage | Step


class OnFail(enum.StrEnum):
    """What is taken back by itself where a check says fail after readers were let in."""

    FLAG = "flag"
    PAUSE = "pause"
    """The flag, then the run is paused."""
    ROWS = "rows"
    """And then the rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """What is appended to a Markdown file at every interval, whatever stage it is."""

    file: str
    every: timedelta = timedelta(minutes=15)
    latest: int = 500
    metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlan:
    """A rollout as its author told it."""

    name: str
    doc: str
    stages: tuple[Stage, ...]
    monitor: Monitor | None
    on_fail: OnFail
    within: timedelta | None
    """How long the whole may take; then it ends with a report."""
    module: str
    file: str


__all__ = [
    "Activate",
    "Apply",
    "AuditStage",
    "Files",
    "Gate",
    "Halt",
    "HealthStage",
    "Milestone",
    "Monitor",
    "OnFail",
    "Precheck",
    "Probe",
    "ProbeKind",
    "RolloutPlan",
    "Soak",
    "Stage",
    "Step",
]
