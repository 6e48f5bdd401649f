"""The user's data as the engine sees it: one database, with the progress of runs on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

from proctor.model import (
    Applied,
    ChunkRecord,
    Health,
    Issue,
    Journalled,
    Key,
    Lease,
    Page,
    Run,
    RunState,
    Scalar,
    Settled,
    Shape,
    Span,
    Spec,
    Survey,
    TouchedUnit,
    Tuning,
    Undone,
    Unit,
    Untouched,
)
from proctor.ports.terms import Opening, Terms, UndoTerms

Permit: TypeAlias = Callable[[], Awaitable[None]]
"""Waits until a write may begin."""


async def granted() -> None:
    """At once."""


class Surveying(Protocol):
    """What is there? Read-only: nothing of these writes, not even Proctor's tables."""

    async def inspect(self, spec: Spec) -> Shape:
        """Check the spec against the schema.

        Raises TargetError, Denied or Unreachable, each with what to do: unknown table, column
        or key; a key that is not unique or can be null, whose collation is not deterministic,
        or (SQLite) of mixed types; a fill that is generated or in the key; broken SQL.
        """

    async def survey(self, spec: Spec, span: Span, *, exact: bool = True) -> Survey:
        """Count rows and eligible rows of the span and find its bounds.

        Without `exact` the counts may be the planner's estimates, so that a run on a big table
        begins at once; the bounds are always exact. With it they are estimates only where no
        statement of ours can count them in time; `Survey.estimated` says so either way.
        """

    async def lacking(self, spec: Spec) -> tuple[str, ...]:
        """Filled columns that are null in any row of the whole target, eligible or not.

        Fields inside a JSON column are left out. TooSlow where that cannot be seen in time.
        """

    async def sample(
        self, spec: Spec, count: int, *, span: Span, seed: int | None = None, latest: bool = False
    ) -> Page:
        """Eligible rows: the first `count` in key order, a seeded random lot, or the latest.

        With `span.keys` exactly those rows, eligible or not. With `spec.sql` each row also
        holds what the expression for FIELD gives, as text, under the name `= FIELD`.
        """

    async def read_keys(self, spec: Spec, keys: Sequence[Key]) -> Page:
        """These rows as they stand, eligible or not; keys not found are in `gone`."""

    async def unfit(self, spec: Spec, settled: Settled) -> Mapping[int, str]:
        """Rows of a settled page that could not even be sent, by position in it, with the reason.

        What only the server itself refuses, by a constraint or a trigger, is not known before
        it is asked to write.
        """

    def parse_key(self, spec: Spec, text: str) -> Key:
        """A key as a person types it (parts separated by commas); UsageError if it cannot be."""

    async def health(self) -> Health:
        """The throttle's food: cheap, a few times a second at most."""

    async def measure(self, sql: str) -> float:
        """The one number of a user's SELECT, in a short read-only transaction.

        Raises TargetError where it does not give exactly one number.
        """

    async def figures(
        self,
        sql: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        within: timedelta | None = None,
        params: Sequence[tuple[str, Scalar]] = (),
    ) -> Mapping[str, int]:
        """One SELECT of one row of named whole numbers, in a short read-only transaction.

        `:since` and `:until` stand for these moments: on Postgres timestamptz, on SQLite text in
        UTC as its own functions write it, `2026-11-29 10:00:00.000000`. `params` are the values of
        other names. TooSlow after `within`, or the statement time-out where that is left out.
        Raises TargetError where it gives no row or several, or a column is null, no whole
        number, unnamed or there twice; and where the statement could write.
        """


class Working(Protocol):
    """Run the backfill: all state of a run lives in the target, moved by these."""

    @property
    def reads_beside(self) -> bool:
        """Whether a page is read beside a write, and neither waits for the other.

        Such reading needs no turn at the target. It is done in this process, a row at a time:
        it may not be under way while Python computes.
        """

    async def open(self, opening: Opening) -> Run:
        """Start a run, or take an existing one over, in one transaction.

        Makes or upgrades Proctor's tables. With `opening.resume` that run goes on under a new
        epoch and every chunk that its former holder had claimed is open again under a higher
        fence (waiting for an apply in flight). Raises RunActive where another run occupies
        the target and one of the fills, or where the run to resume has a live holder.
        """

    async def claim(
        self, run: Run, spec: Spec, worker: str, *, count: int, rows: int, lease_for: timedelta
    ) -> list[Lease]:
        """Up to `count` chunks: open or expired ones first, then new ones of `rows` keys.

        Commits each fence before it returns. An empty list means that nothing can be claimed
        now (done, or others hold the rest). Raises Fenced when `run.epoch` is not the latest
        or the run's state is not running.
        """

    async def read(
        self, spec: Spec, lease: Lease, *, answered: Callable[[], None] | None = None
    ) -> Page:
        """The eligible rows of a chunk with their versions, in a short read-only transaction.

        `answered` is called once the target has no more to do for it, perhaps before the page
        is made of the answer.
        """

    async def prepare(self, spec: Spec, settled: Settled) -> Settled:
        """Do ahead what `apply` would else do while it holds a connection, such as encoding.

        The same page, perhaps with `ready` set. Nothing is written, and `apply` needs it not.
        """

    async def apply(self, spec: Spec, lease: Lease, settled: Settled, terms: Terms) -> Applied:
        """Write, in one transaction that first takes the chunk under its fence.

        Rows whose version no longer stands are leased again as a new chunk, or counted as
        conflicted when `lease.chunk.attempt >= terms.attempts`. Rows that the server refuses
        are found by bisection and counted as failed. A row whose images would not change is
        not written and counted as unchanged. Raises Fenced, Busy, TooSlow, ConnectionLost,
        InDoubt.
        """

    async def apply_sql(
        self, spec: Spec, lease: Lease, terms: Terms, *, permit: Permit = granted
    ) -> Applied:
        """The same for `sql=`: read, compute and write inside the server.

        `permit` is waited for before anything is locked, and behind what can be done ahead of
        that. What it raises passes through, and nothing is written.
        """

    async def reclaim(self, lease: Lease, lease_for: timedelta) -> Lease | None:
        """Settle doubt: claim again under a new fence, which waits for the transaction in doubt.

        None means that it had committed (the chunk is applied); else the new lease.
        """

    async def split(self, lease: Lease, page: Page | None) -> None:
        """Cut a chunk that was too slow into two open ones, in one transaction."""

    async def release(self, leases: Sequence[Lease]) -> None:
        """Hand unworked chunks back."""

    async def beat(self, run: Run, workers: Sequence[str], lease_for: timedelta) -> Run:
        """Heartbeat: keep the run and the leases of these workers; the run as it stands now.

        Raises Fenced when the epoch has moved on.
        """

    async def sweep(self, run: Run, spec: Spec, number: int, rows: int) -> int:
        """Make open chunks of the eligible keys that this run has not settled; how many keys.

        Rows in any bucket are settled, also those that were gone; conflicted ones are not.
        """

    async def move(
        self,
        run: str,
        then: RunState,
        *,
        among: Sequence[RunState],
        reason: str = "",
        epoch: int | None = None,
    ) -> Run:
        """Change a run's state if it is among the given ones; else IllegalMove.

        Entering cancelling, rolling_back, succeeded or failed closes every chunk that is
        claimed (waiting for an apply in flight) so that no write can follow.
        """

    async def tune(self, run: str, tuning: Tuning) -> Run:
        """Change a run's knobs; the holder sees it at its next beat."""

    async def tally(self, run: Run, spec: Spec) -> Mapping[str, int]:
        """Rows of the target set still eligible, by reason, kept on the run and returned.

        Reasons: skipped, refused, failed, conflicted, unchanged, gone (and back again), and
        "arrived" for rows that this run never read. Kept under the holder's epoch alone: for a
        process whose run was taken over it is returned, and not kept.
        """


class Undoing(Protocol):
    """Take it back, or see that it holds, from the target alone."""

    async def undo(
        self, run: Run, number: int, terms: UndoTerms, *, permit: Permit = granted
    ) -> Undone:
        """Undo one applied chunk in one transaction, marking it undone; idempotent.

        With `terms.dry_run` in a read-only transaction, saying what it would do. Rows that a
        part (`not terms.whole`) had to leave alone stay in the journal and can be asked for
        again; undoing the whole run settles every row of it. The answer is about this call alone:
        what undoing the chunk has come to is kept on its row in the same transaction, for
        `chunks` and `left_alone`, so that no crash and no lost reply takes it away. `permit` is
        as with `apply_sql`.
        """

    async def left_alone(self, run: str) -> Mapping[int, Sequence[Issue]]:
        """By chunk, the rows that undoing it left alone, as they were found last, and why."""

    async def verify(self, run: Run, number: int) -> Undone:
        """Compare what one chunk wrote with what stands: restored = holds, changed, gone."""

    async def written_keys(self, run: Run, number: int) -> list[Key]:
        """The keys that one chunk wrote and that are not undone or pruned, in key order."""

    def undo_script(self, run: Run, numbers: Sequence[int]) -> AsyncIterator[str]:
        """SQL that undoes these chunks without Proctor, with verification queries."""

    async def prune(
        self,
        *,
        older_than: datetime | None = None,
        run: str | None = None,
        keys: Sequence[Key] = (),
    ) -> int:
        """Forget before- and after-images; how many rows can then no longer be undone."""


class Touching(Protocol):
    """Rows that a called service writes, in an undo journal of their own."""

    async def note_before(self, spec: Spec, lease: Lease, page: Page, /) -> int:
        """Keep the rows that `spec.touches` names for the page's unit as they stand now.

        Committed when it returns, under the lease's fence. A unit that the run has noted already
        keeps what was noted first: a resume calls again what may have been called before.
        Answers how often what was written for that unit was taken back, in whatever run.
        Raises Fenced; TargetError where the condition covers too many rows, or two of one key.
        """

    async def note_after(self, spec: Spec, lease: Lease, page: Page, /) -> int:
        """Look at them again, and keep what differs; how many rows. Raises Fenced."""

    async def touched(self, run: str, /) -> list[TouchedUnit]:
        """What a run's services wrote, unit by unit, as they were called."""

    async def untouch(self, run: Run, unit: Key, terms: UndoTerms, /) -> Untouched:
        """Take back what services wrote for one unit, in one transaction; idempotent.

        A row that was inserted is deleted if it still is what was seen after the call and nothing
        refers to it; one that was changed gets its columns back if it still is; one that was
        deleted is inserted if there is none of its key. What stood already as before is left as
        it is; all else is left alone and told. As with `undo` a part keeps what it left alone.
        """

    async def forget_touched(
        self,
        run: str,
        /,
        *,
        units: Sequence[Key] = (),
        table: str | None = None,
        keys: Sequence[tuple[str, ...]] = (),
    ) -> int:
        """Forget images of rows that services wrote; how many can then no longer be undone.

        All of the run, or those of `units`; or rows of one touched `table`, all or those of
        `keys`: each as many texts as its key has columns.
        """

    def untouch_script(self, run: Run, /) -> AsyncIterator[str]:
        """SQL that does the same without Proctor, with verification queries."""


class Watching(Protocol):
    """What the target remembers of runs."""

    async def runs(self, *, backfill: str | None = None) -> list[Run]:
        """Runs with their books, newest first; empty where Proctor has no tables yet."""

    async def run(self, run: str) -> Run:
        """One run by its id or an unambiguous beginning of it; UsageError if there is none."""

    async def spec_of(self, run: str) -> Spec:
        """The spec as it was when the run began: rollback needs no code of the author."""

    async def chunks(self, run: str) -> list[ChunkRecord]:
        """Every chunk of a run in order of number."""

    async def issues(self, run: str, *, limit: int | None = None) -> list[Issue]:
        """Rows that were read and not written, with reasons; conflicted ones only while so."""

    async def units(self, run: str) -> list[Unit]:
        """Every unit of a run's grid as it stands now, in its order; empty for rows.

        Units that no attempt was made at are pending, and those in a claimed chunk of the run are
        being processed.
        """

    async def journalled(self, run: Run, number: int, count: int) -> list[Journalled]:
        """Up to `count` rows of one chunk's journal, spread over it, undone or not.

        For people to look at: it reads this one chunk's journal and at most these rows.
        """


class Store(Surveying, Working, Undoing, Touching, Watching, Protocol):
    """The user's data, with the progress of runs on it."""

    async def aclose(self) -> None:
        """Give every connection back."""
