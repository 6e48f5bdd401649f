"""A run as its target records it, and what a store says of its own load."""

from __future__ import annotations

import enum
import math

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from proctor.model.key import Key
from proctor.model.spec import Span
from proctor.model.work import Chunk, Outcome, Undone


class RunState(enum.StrEnum):
    """Where a run stands; the legal moves are in core/lifecycle."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FAILED = "failed"
    SUCCEEDED = "succeeded"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"


class ChunkState(enum.StrEnum):
    """Where a chunk stands."""

    OPEN = "open"
    CLAIMED = "claimed"
    APPLIED = "applied"
    SPLIT = "split"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What an operator may change while a run goes on; None means: Proctor decides.

    chunk_rows: rows a chunk; workers: how many chunks at once; pause: after every chunk;
    rows_per_second: a ceiling for rows written by the whole run.
    """

    chunk_rows: int | None = None
    workers: int | None = None
    pause: timedelta | None = None
    rows_per_second: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that holds a run: enough to tell whether it still lives."""

    host: str
    pid: int
    started: str
    user: str

    def __str__(self) -> str:
        """As people read it."""
        return f"{self.user}@{self.host} (process {self.pid})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One execution of a backfill, as its target records it."""

    id: str
    backfill: str
    version: str
    env: str
    target: str
    fills: tuple[str, ...]
    state: RunState
    epoch: int
    """Rises whenever a process takes the run; an older epoch is granted no claim."""
    span: Span
    digest: str
    params: str
    created: datetime
    last: Key | None = None
    expected: int | None = None
    """Eligible rows when the run began."""
    estimated: bool = False
    """`expected` was not counted but guessed by the server."""
    started: datetime | None = None
    ended: datetime | None = None
    heartbeat: datetime | None = None
    holder: Holder | None = None
    tuning: Tuning = field(default_factory=Tuning)
    reason: str = ""
    """Why it is in its state, in words, where somebody or something asked."""
    outcome: Outcome = field(default_factory=Outcome)
    """Sum over its applied chunks, read together with the row."""
    interrupted: bool = False
    """Its state is active but nobody's heartbeat has been seen for a lease."""
    place: str = ""
    """The target as its database calls it, however the author spelled it."""
    writes: tuple[str, ...] = ()
    """The fills and the stamp."""
    still_eligible: Mapping[str, int] | None = None
    cursor: Key | None = None
    """The last key that was cut into a chunk of the first pass."""
    sweep: int = 0


def shared_fields(mine: Iterable[str], theirs: Iterable[str]) -> list[str]:
    """Those of `mine` that are, hold or lie inside one of `theirs`, as places in documents do."""
    others = [f"{field}." for field in theirs]
    return [
        field
        for field in mine
        if any(f"{field}.".startswith(o) or o.startswith(f"{field}.") for o in others)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRecord:
    """A chunk as the target remembers it: the material of reports and of rollback."""

    chunk: Chunk
    state: ChunkState
    fence: int
    worker: str
    outcome: Outcome
    code: str
    applied: datetime | None
    took: timedelta
    undone: bool = False
    has_undo: bool = True
    undo_rows: int | None = None
    """Rows whose images are kept; None where that was not noted."""
    taken_back: Undone = field(default_factory=Undone)
    """What undoing it has come to so far, without the list of rows that were left alone."""

    @property
    def turn(self) -> tuple[datetime, int]:
        """Sorts chunks as they were written: the first that was claimed may have been the last."""
        return self.applied or datetime.min.replace(tzinfo=UTC), self.chunk.number

    @property
    def forgotten(self) -> int:
        """Rows written that nobody can look at or undo any more: their images were pruned."""
        if self.state is not ChunkState.APPLIED:
            return 0
        settled, kept = self.taken_back.restored, self.undo_rows
        if self.undone:  # by a script of SQL where nothing says what it came to
            settled, kept = self.taken_back.written or self.outcome.written, 0
        elif kept is None:
            kept = self.outcome.written - settled if self.has_undo else 0
        return max(0, self.outcome.written - settled - kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One throttle signal: a number against the number at which Proctor would stop.

    `value` None means that the signal cannot be had here: it is shown as *not watched*.
    """

    name: str
    value: float | None
    limit: float
    unit: str = ""
    why: str = ""

    @property
    def load(self) -> float | None:
        """Share of the limit in use; 1.0 and more means stop; None if there is no number."""
        if self.value is None or math.isnan(self.value):
            return None
        if self.limit <= 0:
            return 1.0 if self.value >= self.limit else 0.0
        return self.value / self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a store says of itself at one moment, and how many runs share it."""

    at: datetime
    signals: tuple[Signal, ...]
    runs: int = 1
