"""What is measured over time, by which rules it is judged, and what was seen."""

from __future__ import annotations

import enum

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from proctor.model.checked import Ruling

FAILED = "failed."
"""What the figure of a class of error begins with."""
OTHER = "other"
"""Failed rows of no class that was named."""
Figures = Mapping[str, float]
"""What one look at a metric gave: numbers by name; a source of one number calls it `value`."""


class Direction(enum.StrEnum):
    """Which way a rate must not go."""

    DECREASE = "decrease"
    INCREASE = "increase"


class Mode(enum.StrEnum):
    """What a rate is compared with."""

    CONCURRENT = "concurrent"
    """Those who do not see the new data yet, in the same hours."""
    MATCHED_WINDOWS = "matched_windows"
    """The same hours of earlier days or weeks."""
    FIXED = "fixed"
    """A rate that somebody wrote down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlCounts:
    """One SELECT of one row of named whole numbers; `:since` and `:until` are moments in UTC."""

    sql: str

    @property
    def windowed(self) -> bool:
        """Whether it can be asked about another time than now."""
        return ":since" in self.sql


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpFigures:
    """Numbers of a web address that answers JSON, each picked by a JSONPath.

    `headers` and `url` may hold `${NAME}`, which is filled in from the environment when asked.
    """

    url: str = field(repr=False)
    pick: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusQuery:
    """An instant query whose answer is a scalar, or a vector of exactly one series."""

    url: str = field(repr=False)
    query: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonFigures:
    """A function of no arguments, async or not; a number, or numbers by name."""

    call: Callable[[], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """`eligible` (still to do), `done`, `total` and `share` of a backfill's rows.

    `exact` is 1 where all were counted. Of no rows there is no share: `total` is 0.
    """

    backfill: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """Books and calls of a backfill's latest run, and what they grew by since the last look.

    `read`, `written`, `failed` and the other buckets, `seconds` at work, `limited` (429s),
    `fallbacks`, `calls`, `usd`, which is `spent_usd` and `held_usd` (the most that calls without
    an end can cost) together; the same names with `_new` for the growth. `rate` is rows read a
    second since then, 0 where nobody worked. For each name in `errors` there is `failed.NAME`:
    failed rows of that class of error, 0 where there are none; `failed.other` are all the others.
    """

    backfill: str
    errors: tuple[str, ...] = ()
    """Classes of exceptions, and ready checks, whose rows are counted by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRows:
    """A backfill's ready checks over its latest rows.

    `rows` looked at; `failures` of checks of level error and critical, `critical` those of the
    last alone; `warnings` that failed; `unsure` where nothing could be told; `passed` is 1 for
    the verdict pass. A row that fails two checks counts twice.
    """

    backfill: str
    latest: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """A question with yes or no for an answer: `ok` is 1 or 0."""

    probe: str


SourceOfFigures = (
    SqlCounts
    | HttpFigures
    | PrometheusQuery
    | PythonFigures
    | Coverage
    | RunFigures
    | CheckedRows
    | ProbeAnswer
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What a metric's `events` of `total` are compared with, and how much worse they may be.

    allowed: the ratio of rates that is still accepted: 0.85 where a decrease is feared ("85 % of
    the baseline"), 1.15 where an increase is. Concurrent needs `control_events` and
    `control_total` beside them; matched windows are `windows` earlier ones, each `lag` apart;
    fixed is `rate`.
    """

    mode: Mode
    allowed: float
    direction: Direction = Direction.DECREASE
    confidence: float = 0.95
    windows: int = 8
    lag: timedelta = timedelta(days=7)
    rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number over time and the rules for it; the fields are those of Argo Rollouts' analysis.

    The grid of looks is fixed: `initial_delay` after the stage began and every `interval`. A
    condition is an expression over `result`. `failure_limit` -1 is none. Without a condition
    there has to be a baseline. `min_samples` is asked of the figure `total` (or `rows`).
    """

    name: str
    source: SourceOfFigures
    interval: timedelta = timedelta(minutes=5)
    count: int | None = None
    initial_delay: timedelta = timedelta(0)
    success_condition: str = ""
    failure_condition: str = ""
    failure_limit: int = 0
    inconclusive_limit: int = 0
    consecutive_error_limit: int = 4
    consecutive_success_limit: int = 0
    dry_run: bool = False
    critical: bool = False
    """Whether a fail steps back at once; else a person is asked."""
    min_samples: int = 1
    baseline: Baseline | None = None
    timeout: timedelta = timedelta(seconds=30)


class Phase(enum.StrEnum):
    """What one look came to."""

    SUCCESSFUL = "successful"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    """The question failed: nothing is known of the number."""
    MISSED = "missed"
    """Nobody looked in time: no process was there, or it was too slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One look at one metric, at its place on the grid. `told` says why in words."""

    metric: str
    slot: int
    at: datetime
    phase: Phase
    figures: Figures = field(default_factory=dict)
    told: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Pass, fail or inconclusive, with the reason in words and numbers."""

    ruling: Ruling
    reason: str


__all__ = [
    "FAILED",
    "OTHER",
    "Baseline",
    "CheckedRows",
    "Coverage",
    "Direction",
    "Figures",
    "HttpFigures",
    "Measurement",
    "Metric",
    "Mode",
    "Phase",
    "ProbeAnswer",
    "PrometheusQuery",
    "PythonFigures",
    "RunFigures",
    "SourceOfFigures",
    "SqlCounts",
    "Verdict",
]
