"""What a store is told: how to open a run, to write, to undo and to behave."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from proctor.model import (
    Holder,
    Key,
    Span,
    Spec,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a run is opened with."""

    spec: Spec
    run: str
    """A new run's id, or the one to take over."""
    env: str
    span: Span
    digest: str
    """JSON of the digests that were approved, by part (code, params, schema, …)."""
    holder: Holder
    lease_for: timedelta
    resume: bool = False
    dead: bool = False
    """The caller knows that the former holder's process is gone: do not wait for its lease."""
    accept: tuple[str, ...] = ()
    """Parts of the digest that may differ from the run's, on record."""
    last: Key | None = None
    """The last key of the target set, from the survey."""
    expected: int | None = None
    """Eligible rows at the start, from the survey; kept on the run."""
    estimated: bool = False
    """They were not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of one apply."""

    code: str
    """Digest of the code that computed the values."""
    attempts: int = 3
    """How often a row is read and computed again before it counts as conflicted."""
    lease_for: timedelta = timedelta(seconds=30)
    """For how long the chunk of moved rows is leased."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How a store behaves on somebody's production database."""

    application: str = "proctor"
    connections: int = 2
    """The most connections that work at once; claims and heartbeats may take one more."""
    lock_timeout: timedelta = timedelta(seconds=5)
    statement_timeout: timedelta = timedelta(seconds=30)
    idle_timeout: timedelta = timedelta(seconds=20)
    """After how long idle in a transaction the server ends the connection.

    Less than `statement_timeout`: a worker that froze inside a transaction holds its locks until
    then, and whoever cancels or takes over its run must be able to wait for that.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoTerms:
    """The terms of undoing one chunk."""

    span: Span = field(default_factory=Span)
    since: datetime | None = None
    dry_run: bool = False
    touched: bool = False
    """Whether the rows that a called service wrote are to be undone, too."""

    @property
    def whole(self) -> bool:
        """Whether everything that the run wrote is to be undone."""
        return self.span.whole and self.since is None
