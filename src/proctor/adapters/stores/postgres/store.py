"""PostgresStore: every question of the `Store` seam, put to one database."""

from __future__ import annotations

import contextlib
import time

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import psycopg

from proctor.adapters.stores import records
from proctor.adapters.stores.counts import moments
from proctor.adapters.stores.numbers import one_number
from proctor.adapters.stores.postgres import (
    applying,
    claims,
    emitting,
    health,
    inside,
    inspecting,
    keys,
    lacking,
    leftover,
    measuring,
    reading,
    rollback,
    runs,
    script,
    tables,
    touches,
    touching,
    units,
)
from proctor.adapters.stores.postgres.batch import batch
from proctor.adapters.stores.postgres.binding import Binding, bind
from proctor.adapters.stores.postgres.literal import text
from proctor.adapters.stores.postgres.pool import Pool, Rows, Transaction
from proctor.errors import OperatorError
from proctor.model import (
    Applied,
    Bucket,
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
    Tuning,
    Undone,
    Unit,
)
from proctor.ports import Manners, Opening, Permit, Terms, UndoTerms, granted

FRESH_FOR: Final = 30.0
"""Seconds for which what the catalogues said of a table is believed while a run goes on."""


async def open_postgres(url: str, manners: Manners) -> PostgresStore:
    """Connect to a database; Unreachable with the reason where that cannot be done."""
    pool = Pool(url, manners)
    async with pool.read() as work:
        await work.fetch("SELECT 1")
    return PostgresStore(pool)


class PostgresStore(touches.Touches):
    """The user's rows in Postgres, with the progress of runs in the schema `proctor` beside them.

    No state is kept in a session, so a pooler in transaction mode may stand between.
    """

    def __init__(self, pool: Pool) -> None:
        """Use `open_postgres`."""
        self._pool = pool
        self._pulse = health.Pulse()
        self._bindings: dict[Spec, tuple[float, Binding]] = {}
        self._specs: dict[str, tuple[float, Spec]] = {}
        self._tables = False

    async def aclose(self) -> None:
        """Give every connection back."""
        await self._pool.aclose()

    async def _bound(self, spec: Spec, *, fresh: bool = False) -> Binding:
        """A spec bound to its tables, as they are or were a moment ago."""
        known = self._bindings.get(spec)
        if known and not fresh and time.monotonic() - known[0] < FRESH_FOR:
            return known[1]
        async with self._pool.read(control=True) as work:
            binding = await bind(work, spec)
        self._bindings[spec] = (time.monotonic(), binding)
        return binding

    async def _present(self, work: Transaction) -> bool:
        """Whether Proctor's tables are there; once seen they stay."""
        if not self._tables:
            try:
                self._tables = await tables.version_of(work) > 0
            except psycopg.errors.InsufficientPrivilege as error:
                raise await tables.refused(work, 0, error) from None
        return self._tables

    # Surveying

    @property
    def reads_beside(self) -> bool:
        """See the port."""
        return False

    async def inspect(self, spec: Spec) -> Shape:
        """Check the spec against the schema, and say what a run would touch."""
        binding = await self._bound(spec, fresh=True)
        written = await self._bound(spec.written, fresh=True) if spec.emits else None
        async with self._pool.read() as work:
            if written is not None and not spec.only_touches:
                inspecting.refuse_emitted(written)
            shape = await inspecting.inspect(work, binding)
            return await touching.checked(work, spec, shape)

    async def survey(self, spec: Spec, span: Span, *, exact: bool = True) -> Survey:
        """How many rows there are and how many are eligible."""
        binding = await self._bound(spec, fresh=True)
        return await reading.survey(self._pool, binding, span, exact=exact)

    async def lacking(self, spec: Spec) -> tuple[str, ...]:
        """Filled columns that are null somewhere."""
        return await lacking.lacking(self._pool, await self._bound(lacking.whole(spec)))

    async def sample(
        self, spec: Spec, count: int, *, span: Span, seed: int | None = None, latest: bool = False
    ) -> Page:
        """Eligible rows to look at."""
        binding = await self._bound(spec)
        return await reading.sample(self._pool, binding, count, span=span, seed=seed, latest=latest)

    async def read_keys(self, spec: Spec, keys: Sequence[Key]) -> Page:
        """These rows as they stand."""
        return await reading.by_keys(self._pool, await self._bound(spec), keys)

    def parse_key(self, spec: Spec, text: str) -> Key:
        """A key as a person types it."""
        known = self._bindings.get(spec)
        return keys.typed(spec, known[1].key if known else None, text)

    async def health(self) -> Health:
        """The throttle's food."""
        return await health.health(self._pool, self._pulse)

    async def unfit(self, spec: Spec, settled: Settled) -> Mapping[int, str]:
        """Rows whose values are not of their columns' types."""
        if spec.emits:
            return {}
        bad = batch(await self._bound(spec), settled).bad
        return {settled.index[i]: why for i, why in bad.items()}

    async def measure(self, sql: str) -> float:
        """The one number of a user's SELECT."""
        async with self._pool.read(control=True) as work:
            return one_number(await work.fetch(sql))

    async def figures(
        self,
        sql: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        within: timedelta | None = None,
        params: Sequence[tuple[str, Scalar]] = (),
    ) -> Mapping[str, int]:
        """One row of named whole numbers."""
        told = dict(params) | moments(since, until)
        return await measuring.figures(self._pool, sql, told, within)

    # Working

    async def open(self, opening: Opening) -> Run:
        """Start a run, or take one over."""
        binding = await self._bound(opening.spec, fresh=True)
        run = await runs.open_run(self._pool, binding, opening)
        self._specs[run.id] = (time.monotonic(), opening.spec)
        self._tables = True
        if opening.spec.attempts:  # from now on units are remembered, if they were not before
            await self._bound(opening.spec, fresh=True)
        return run

    async def claim(
        self, run: Run, spec: Spec, worker: str, *, count: int, rows: int, lease_for: timedelta
    ) -> list[Lease]:
        """Up to `count` chunks."""
        want = claims.Want(worker=worker, count=count, rows=max(1, rows), lease=lease_for)
        want = replace(want, rows=spec.chunk_rows(want.rows))
        return await claims.claim(self._pool, await self._bound(spec), run, want)

    async def read(
        self, spec: Spec, lease: Lease, *, answered: Callable[[], None] | None = None
    ) -> Page:
        """The eligible rows of a chunk."""
        return await reading.read(self._pool, await self._bound(spec), lease, answered=answered)

    async def prepare(self, spec: Spec, settled: Settled) -> Settled:
        """Encode the rows of a chunk and judge which of them would change."""
        return settled if spec.emits else applying.prepare(await self._bound(spec), settled)

    async def apply(self, spec: Spec, lease: Lease, settled: Settled, terms: Terms) -> Applied:
        """Write one chunk."""
        if spec.emits:
            written = await self._bound(spec.written)
            return await emitting.apply(self._pool, spec, written, (lease, settled), terms)
        keeper = units.Keeping(self._pool, spec) if spec.attempts else None
        binding = await self._bound(spec)
        return await applying.apply(self._pool, binding, lease, settled, terms, keeper=keeper)

    async def apply_sql(
        self, spec: Spec, lease: Lease, terms: Terms, *, permit: Permit = granted
    ) -> Applied:
        """Read, compute and write one chunk inside the server."""
        await permit()
        return await inside.apply_sql(self._pool, await self._bound(spec), lease, terms)

    async def reclaim(self, lease: Lease, lease_for: timedelta) -> Lease | None:
        """Claim again, after whoever is writing has ended."""
        return await claims.reclaim(self._pool, lease, lease_for)

    async def split(self, lease: Lease, page: Page | None) -> None:
        """Cut a chunk that was too slow."""
        run = lease.chunk.run
        binding = await self._bound_run(run)
        conflicts: list[Issue] = []
        if lease.chunk.revisited:
            conflicts = [i for i in await self.issues(run) if i.bucket is Bucket.CONFLICTED]
        await claims.split(self._pool, binding, lease, page, conflicts)

    async def release(self, leases: Sequence[Lease]) -> None:
        """Hand unworked chunks back."""
        await claims.release(self._pool, leases)

    async def beat(self, run: Run, workers: Sequence[str], lease_for: timedelta) -> Run:
        """Heartbeat."""
        return await runs.beat(self._pool, run, workers, lease_for)

    async def sweep(self, run: Run, spec: Spec, number: int, rows: int) -> int:
        """Open chunks of eligible keys that this run has not settled."""
        return await leftover.sweep(self._pool, await self._bound(spec), run, number, rows)

    async def move(
        self,
        run: str,
        then: RunState,
        *,
        among: Sequence[RunState],
        reason: str = "",
        epoch: int | None = None,
    ) -> Run:
        """Change a run's state."""
        return await runs.move(self._pool, run, then, among=among, reason=reason, epoch=epoch)

    async def tune(self, run: str, tuning: Tuning) -> Run:
        """Change a run's knobs."""
        return await runs.tune(self._pool, run, tuning)

    async def tally(self, run: Run, spec: Spec) -> Mapping[str, int]:
        """Rows of the target set still eligible, by reason."""
        return await leftover.tally(self._pool, await self._bound(spec), run)

    # Undoing

    async def undo(
        self, run: Run, number: int, terms: UndoTerms, *, permit: Permit = granted
    ) -> Undone:
        """Undo one applied chunk."""
        await permit()
        written, keeper = await self._kept_by(run.id, terms.span)
        return await rollback.undo(self._pool, written, run.id, number, terms, keeper=keeper)

    async def verify(self, run: Run, number: int) -> Undone:
        """Compare what one chunk wrote with what stands."""
        written, keeper = await self._kept_by(run.id, Span())
        return await rollback.verify(self._pool, written, run.id, number, keeper=keeper)

    async def written_keys(self, run: Run, number: int) -> list[Key]:
        """The keys that one chunk wrote."""
        return await rollback.written_keys(self._pool, run.id, number)

    async def journalled(self, run: Run, number: int, count: int) -> list[Journalled]:
        """A few rows that one chunk wrote, before and after."""
        binding, _ = await self._kept_by(run.id, Span())
        return await rollback.journalled(self._pool, binding, run.id, number, count)

    async def undo_script(self, run: Run, numbers: Sequence[int]) -> AsyncIterator[str]:
        """SQL that undoes these chunks without Proctor."""
        spec = (await self._bound_run(run.id, fresh=True)).spec
        binding, keeper = await self._kept_by(run.id, Span())
        async with self._pool.read(control=True) as work:
            newest = await units.newest_first(work, run.id, numbers)

        async def also(work: Transaction, number: int) -> str:
            return await units.script(work, spec, run.id, number)

        async for piece in script.script(
            self._pool, binding, run, newest, keeper=keeper, also=also
        ):
            yield piece

    async def prune(
        self,
        *,
        older_than: datetime | None = None,
        run: str | None = None,
        keys: Sequence[Key] = (),
    ) -> int:
        """Forget before- and after-images."""
        async with self._pool.read() as work:
            if not await self._present(work):
                return 0
        return await rollback.prune(self._pool, older_than=older_than, run=run, listed=keys)

    # Watching

    async def runs(self, *, backfill: str | None = None) -> list[Run]:
        """Runs with their books, newest first."""
        async with self._pool.read(control=True) as work:
            return await runs.all_runs(work, backfill) if await self._present(work) else []

    async def run(self, run: str) -> Run:
        """One run by its id or the beginning of it."""
        async with self._pool.read(control=True) as work:
            if not await self._present(work):
                raise runs.unknown(run)
            return await runs.one_run(work, run)

    async def spec_of(self, run: str) -> Spec:
        """The spec as it was when the run began, or was last resumed."""
        async with self._pool.read(control=True) as work:
            rows: Rows = []
            if await self._present(work):
                rows = await work.fetch(f"SELECT spec FROM proctor.runs WHERE id = {text(run)}")
        if not rows:
            raise runs.unknown(run)
        spec = records.spec_from_json(rows[0][0])
        self._specs[run] = (time.monotonic(), spec)
        with contextlib.suppress(OperatorError):
            # So that keys that a person types can be understood from here on.
            await self._bound(spec)
        return spec

    async def _kept_by(self, run: str, span: Span) -> tuple[Binding, units.Units | None]:
        """What binds the rows that a run wrote, and who keeps their undo data if it has units."""
        binding = await self._bound_run(run)
        if not binding.spec.attempts:
            return binding, None
        written = await self._bound(binding.spec.written) if binding.spec.emits else binding
        return written, units.Units(binding, span)

    async def _bound_run(self, run: str, *, fresh: bool = False) -> Binding:
        """The binding of a run's own spec."""
        known = self._specs.get(run)
        if known is None or time.monotonic() - known[0] > FRESH_FOR:
            return await self._bound(await self.spec_of(run), fresh=fresh)
        return await self._bound(known[1], fresh=fresh)

    async def chunks(self, run: str) -> list[ChunkRecord]:
        """Every chunk of a run."""
        async with self._pool.read(control=True) as work:
            if not await self._present(work):
                return []
            return [tables.record_of(row) for row in await runs.chunk_rows(work, run)]

    async def units(self, run: str) -> list[Unit]:
        """Every unit of a run's grid as it stands."""
        binding = await self._bound_run(run)
        if not binding.spec.attempts:
            return []
        async with self._pool.read() as work:
            return await units.every(work, binding, run)

    async def left_alone(self, run: str) -> Mapping[int, Sequence[Issue]]:
        """By chunk, the rows that undoing it left alone."""
        async with self._pool.read() as work:
            return await runs.left_alone(work, run) if await self._present(work) else {}

    async def issues(self, run: str, *, limit: int | None = None) -> list[Issue]:
        """Rows that were read and not written."""
        async with self._pool.read() as work:
            return await leftover.issues(work, run, limit) if await self._present(work) else []
