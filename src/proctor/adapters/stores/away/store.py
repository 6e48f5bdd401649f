"""AwayStore: one ordinary store out of two databases, the data and the ledger's."""

from __future__ import annotations

import contextlib

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from proctor.adapters.stores import journal
from proctor.adapters.stores.away import chunks, leftover, runs, tables
from proctor.adapters.stores.away.data import Data
from proctor.adapters.stores.away.progress import Progress
from proctor.adapters.stores.away.settling import AwayBook, Settler
from proctor.adapters.stores.away.tables import RUNS
from proctor.adapters.stores.away.touching import NoTouching, refused
from proctor.errors import ConfigError, OperatorError, TargetError
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
    Settled,
    Shape,
    Span,
    Spec,
    Survey,
    Tuning,
    Undone,
    Unit,
)
from proctor.ports import Manners, Opening, Permit, Store, Terms, UndoTerms, granted

LOSES: Final = (
    "progress and undo data are kept in the ledger, not beside the data: a restore or a failover "
    "of the data that loses commits does not take them back, a lost ledger loses the undo, and "
    "only runs on this ledger keep out of each other's way (docs/ledger-mode.md)"
)
"""What every plan says in this mode."""


async def open_away(url: str, ledger: str, manners: Manners, *, env: str) -> Store:
    """A store whose progress is kept in the ledger's database.

    Raises ConfigError for databases that cannot be combined, Unreachable or Denied for one that
    does not let us in.
    """
    if url.partition(":")[0].partition("+")[0] == "sqlite":
        return await _sqlite(url, ledger, manners, env)
    from proctor.adapters.stores.away.postgres import PostgresData, name_of

    progress = await Progress.connect(ledger, f"{env} {name_of(url)}")
    return await _checked(AwayStore(PostgresData(url, manners), progress))


async def _sqlite(url: str, ledger: str, manners: Manners, env: str) -> Store:
    from proctor.adapters.stores.away.sqlite import SqliteData
    from proctor.adapters.stores.sqlite.store import path_of

    path = path_of(url)
    if ledger.startswith("sqlite") and path_of(ledger).resolve() == path.resolve():
        raise ConfigError(
            "the ledger is the very file that is to be filled",
            found=f"progress = ledger with both in {path.name}",
            fix="give the environment a ledger in another file",
        )
    progress = await Progress.connect(ledger, f"{env} {path.name}")
    return await _checked(AwayStore(SqliteData(url, manners, progress), progress))


async def _checked(store: AwayStore) -> Store:
    """The store, if its data answers."""
    try:
        await store.health()
    except BaseException:
        await store.aclose()
        raise
    return store


class AwayStore(NoTouching):
    """The user's rows in one database, the progress of runs on them in the ledger's.

    Every write keeps its intent in the ledger first, commits in the data, and says so in the
    ledger; see docs/ledger-mode.md for what a crash between any two of them leaves.
    """

    def __init__(self, data: Data, progress: Progress) -> None:
        """Use `open_away`."""
        self._data = data
        self._progress = progress
        self._book = AwayBook(progress)
        self._settler = Settler(progress, data)

    async def aclose(self) -> None:
        """Give every connection back."""
        await self._data.aclose()
        await self._progress.aclose()

    # Surveying

    @property
    def reads_beside(self) -> bool:
        """See the port."""
        return False

    async def inspect(self, spec: Spec) -> Shape:
        """Check the spec against the schema; the plan says what this mode loses."""
        if spec.touches:
            raise refused(spec.backfill)
        if spec.attempts:
            raise TargetError(
                f"{spec.backfill} is a grid, whose units are kept beside the rows that they write",
                found='progress = "ledger", with which no table of Proctor\'s is made there',
                fix="let Proctor keep its tables beside the data, or write the units into a table "
                "of your own and name that as the source: table(…, key=…)",
            )
        shape = await self._data.rows.inspect(spec)
        warnings = (*shape.warnings, LOSES, self._data.warning)
        return replace(shape, can_create=True, beside=False, warnings=warnings)

    async def survey(self, spec: Spec, span: Span, *, exact: bool = True) -> Survey:
        """How many rows there are and how many are eligible."""
        return await self._data.rows.survey(spec, span, exact=exact)

    async def lacking(self, spec: Spec) -> tuple[str, ...]:
        """Filled columns that are null somewhere."""
        return await self._data.rows.lacking(spec)

    async def sample(
        self, spec: Spec, count: int, *, span: Span, seed: int | None = None, latest: bool = False
    ) -> Page:
        """Eligible rows to look at."""
        return await self._data.rows.sample(spec, count, span=span, seed=seed, latest=latest)

    async def read_keys(self, spec: Spec, keys: Sequence[Key]) -> Page:
        """These rows as they stand."""
        return await self._data.rows.read_keys(spec, keys)

    def parse_key(self, spec: Spec, text: str) -> Key:
        """A key as a person types it."""
        return self._data.rows.parse_key(spec, text)

    async def health(self) -> Health:
        """The throttle's food, from the data; how many runs share it, from the ledger."""
        health = await self._data.rows.health()
        if not await self._progress.present():
            return health
        home = self._progress.home
        active = await self._progress.read(lambda c: _active(c, home))
        return replace(health, runs=max(1, active))

    async def unfit(self, spec: Spec, settled: Settled) -> Mapping[int, str]:
        """Rows that could not even be sent."""
        return await self._data.rows.unfit(spec, settled)

    async def measure(self, sql: str) -> float:
        """The one number of a user's SELECT."""
        return await self._data.rows.measure(sql)

    async def figures(self, sql: str, **told: Any) -> Mapping[str, int]:
        """One row of named whole numbers."""
        return await self._data.rows.figures(sql, **told)

    # Working

    async def open(self, opening: Opening) -> Run:
        """Start a run, or take one over."""
        home = self._progress.home
        if opening.resume:
            run = await self._progress.write(lambda c: runs.take_over(c, home, opening))
            await self._settler.expired(run.id)
            return await self.run(run.id)
        place = await self._data.place(opening.spec)
        listed, before = await self._data.span(opening.spec, opening.span)
        return await self._progress.write(
            lambda c: runs.start(c, home, opening, place=place, listed=listed, before=before)
        )

    async def claim(
        self, run: Run, spec: Spec, worker: str, *, count: int, rows: int, lease_for: timedelta
    ) -> list[Lease]:
        """Up to `count` chunks; what a dead worker left in doubt is settled first."""
        await self._settler.expired(run.id)
        want = chunks.Want(worker=worker, count=count, rows=max(1, rows), lease_for=lease_for)
        leases: list[Lease] = []
        while True:
            some = replace(want, count=count - len(leases))
            taken, cursor = await self._progress.write(lambda c, w=some: chunks.take(c, run, w))  # type: ignore[misc]
            leases += taken
            some = replace(want, count=count - len(leases))
            if cursor.exhausted or not some.count:
                return leases
            made, moved = await self._data.cut(spec, run, some, cursor)
            new = await self._progress.write(
                lambda c, w=some, t=(cursor, moved), m=made: chunks.extend(c, run, w, t, m)  # type: ignore[misc]
            )
            if new is not None:
                return [*leases, *new]

    async def read(
        self, spec: Spec, lease: Lease, *, answered: Callable[[], None] | None = None
    ) -> Page:
        """The eligible rows of a chunk."""
        return await self._data.rows.read(spec, lease, answered=answered)

    async def prepare(self, spec: Spec, settled: Settled) -> Settled:  # noqa: ARG002 (the port's)
        """Nothing: where progress is kept away from the rows, that is what takes the time."""
        return settled

    async def apply(self, spec: Spec, lease: Lease, settled: Settled, terms: Terms) -> Applied:
        """Write one chunk."""
        return await self._data.apply(spec, lease, settled, terms, self._book)

    async def apply_sql(
        self, spec: Spec, lease: Lease, terms: Terms, *, permit: Permit = granted
    ) -> Applied:
        """Read, compute and write one chunk inside the server."""
        await permit()
        return await self._data.apply_sql(spec, lease, terms, self._book)

    async def reclaim(self, lease: Lease, lease_for: timedelta) -> Lease | None:
        """Settle what is in doubt, waiting for whoever is writing; then claim again."""
        await self._settler.one(lease.chunk.run, lease.chunk.number)
        return await self._progress.write(lambda c: chunks.again(c, lease, lease_for))

    async def split(self, lease: Lease, page: Page | None) -> None:
        """Cut a chunk that was too slow."""
        spec = await self._spec(lease.chunk.run)
        halves = await self._data.halves(spec, lease.chunk, page)
        await self._progress.write(lambda c: chunks.split(c, lease, halves))

    async def release(self, leases: Sequence[Lease]) -> None:
        """Hand unworked chunks back."""
        if leases:
            await self._progress.write(lambda c: chunks.release(c, leases))

    async def beat(self, run: Run, workers: Sequence[str], lease_for: timedelta) -> Run:
        """Heartbeat."""
        home = self._progress.home
        return await self._progress.write(lambda c: runs.beat(c, home, run, workers, lease_for))

    async def sweep(self, run: Run, spec: Spec, number: int, rows: int) -> int:
        """Open chunks of eligible keys that this run has not settled."""
        return await leftover.sweep(self._progress, self._data, run, spec, number=number, rows=rows)

    async def move(
        self,
        run: str,
        then: RunState,
        *,
        among: Sequence[RunState],
        reason: str = "",
        epoch: int | None = None,
    ) -> Run:
        """Change a run's state; where no write may follow, settle what is on its way."""
        home = self._progress.home
        moved = await self._progress.write(
            lambda c: runs.move(c, home, run, then, among=among, reason=reason, epoch=epoch)
        )
        if then in (RunState.RUNNING, RunState.PAUSING):
            return moved
        await self._settler.every(moved.id)
        return await self.run(moved.id)

    async def tune(self, run: str, tuning: Tuning) -> Run:
        """Change a run's knobs."""
        home = self._progress.home
        return await self._progress.write(lambda c: runs.tune(c, home, run, tuning))

    async def tally(self, run: Run, spec: Spec) -> Mapping[str, int]:
        """Rows of the target set still eligible, by reason."""
        return await leftover.tally(self._progress, self._data, run, spec)

    # Undoing

    async def undo(
        self, run: Run, number: int, terms: UndoTerms, *, permit: Permit = granted
    ) -> Undone:
        """Undo one applied chunk."""
        await permit()
        await self._settler.one(run.id, number)
        spec = await self._spec(run.id)
        return await self._data.undo(spec, run, number, terms, self._book)

    async def verify(self, run: Run, number: int) -> Undone:
        """Compare what one chunk wrote with what stands."""
        await self._settler.one(run.id, number)
        return await self._data.verify(await self._spec(run.id), run, number, self._book)

    async def written_keys(self, run: Run, number: int) -> list[Key]:
        """The keys that one chunk wrote."""
        found = await self._book.kept(run.id, number)
        if found is None or found.undone or found.undo is None:
            return []
        return list(journal.unpack(found.undo).keys)

    async def journalled(self, run: Run, number: int, count: int) -> list[Journalled]:
        """A few rows that one chunk wrote, before and after."""
        found = await self._book.kept(run.id, number)
        if found is None or found.undo is None:
            return []
        return await self._data.shown(await self._spec(run.id), found.undo, count)

    async def undo_script(self, run: Run, numbers: Sequence[int]) -> AsyncIterator[str]:
        """SQL that undoes these chunks without Proctor."""
        spec = await self._spec(run.id)
        async for piece in self._data.script(spec, run, numbers, self._book):
            yield piece

    async def prune(
        self,
        *,
        older_than: datetime | None = None,
        run: str | None = None,
        keys: Sequence[Key] = (),
    ) -> int:
        """Forget before- and after-images."""
        if not await self._progress.present():
            return 0
        home = self._progress.home
        return await self._progress.write(
            lambda c: leftover.prune(c, home, older_than=older_than, run=run, keys=keys)
        )

    # Watching

    async def runs(self, *, backfill: str | None = None) -> list[Run]:
        """Runs with their books, newest first."""
        if not await self._progress.present():
            return []
        where = [RUNS.c.home == self._progress.home]
        if backfill is not None:
            where.append(RUNS.c.backfill == backfill)
        order = (RUNS.c.created.desc(), RUNS.c.id.desc())
        return await self._progress.read(lambda c: tables.read_runs(c, where, *order))

    async def run(self, run: str) -> Run:
        """One run by its id or the beginning of it."""
        if not await self._progress.present():
            raise runs.unknown(run)
        return await self._progress.read(lambda c: runs.one(c, self._progress.home, run))

    async def spec_of(self, run: str) -> Spec:
        """The spec as it was when the run began, or was last resumed."""
        spec = await self._spec(run)
        with contextlib.suppress(OperatorError):
            # So that the data knows its columns when a person types keys.
            await self._data.rows.read_keys(spec, [])
        return spec

    async def _spec(self, run: str) -> Spec:
        if not await self._progress.present():
            raise runs.unknown(run)
        return await self._progress.read(lambda c: runs.spec_of(c, self._progress.home, run))

    async def chunks(self, run: str) -> list[ChunkRecord]:
        """Every chunk of a run."""
        if not await self._progress.present():
            return []
        return await self._progress.read(lambda c: chunks.listing(c, run))

    async def units(self, run: str) -> list[Unit]:  # noqa: ARG002 - as the port has it
        """None: a grid is refused here."""
        return []

    async def left_alone(self, run: str) -> Mapping[int, Sequence[Issue]]:
        """By chunk, the rows that undoing it left alone."""
        if not await self._progress.present():
            return {}
        return await self._progress.read(lambda c: chunks.left_alone(c, run))

    async def issues(self, run: str, *, limit: int | None = None) -> list[Issue]:
        """Rows that were read and not written."""
        if not await self._progress.present():
            return []
        found = await self._progress.read(lambda c: chunks.issues(c, run))
        return found if limit is None else found[:limit]


def _active(connection: sa.Connection, home: str) -> int:
    where = [RUNS.c.home == home, RUNS.c.state.in_(tables.ACTIVE)]
    return sum(not run.interrupted for run in tables.read_runs(connection, where))
