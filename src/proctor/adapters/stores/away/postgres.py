"""Rows in Postgres under progress kept away: the store's own statements, other books.

The witness of a write is its transaction's id: the server says of it whether it committed.
"""

from __future__ import annotations

import time

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import psycopg

from proctor.adapters.stores import journal, records
from proctor.adapters.stores.away.chunks import Cursor, Half, Want
from proctor.adapters.stores.away.data import Book, Bound, Fate, Kept
from proctor.adapters.stores.away.intents import UNDO, WRITE, Intent
from proctor.adapters.stores.postgres import (
    applying,
    claims,
    codecs,
    inside,
    leftover,
    rollback,
    runs,
    script,
)
from proctor.adapters.stores.postgres.binding import Binding, bind
from proctor.adapters.stores.postgres.faults import unreachable
from proctor.adapters.stores.postgres.pool import Pool, Transaction
from proctor.adapters.stores.postgres.store import FRESH_FOR, PostgresStore
from proctor.adapters.stores.postgres.stretches import asking
from proctor.adapters.stores.postgres.undoing import REFERENCED, Undoer
from proctor.errors import ConnectionLost, TargetError
from proctor.model import (
    Applied,
    Chunk,
    Journalled,
    Key,
    Lease,
    Page,
    Run,
    Settled,
    Span,
    Spec,
    Undone,
)
from proctor.ports import Manners, Store, Terms, UndoTerms

TIMELINE: Final = "pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8)"
"""Changes with every failover and restore to a point in time: older ids then mean nothing."""
WITNESS: Final = f"SELECT pg_catalog.txid_current()::text, {TIMELINE}"
FATES: Final = {
    "committed": Fate.COMMITTED,
    "aborted": Fate.ABORTED,
    "in progress": Fate.GOING,
    None: Fate.UNKNOWN,
}


async def witness(work: Transaction) -> dict[str, str]:
    """Which transaction this is, for whoever must ask what became of it."""
    ((xid, timeline),) = await work.fetch(WITNESS)
    return {"xid": xid, "timeline": timeline}


@dataclass(kw_only=True)
class WriteKeeper:
    """Keeps the books of one write: `applying.Keeper`."""

    pool: Pool
    book: Book
    witness: dict[str, str] = field(default_factory=dict)

    async def take(self, work: Transaction, lease: Lease) -> None:
        """The chunk is ours; the transaction's id is known from its first statement."""
        await self.book.check(lease)
        self.witness = await witness(work)

    async def keep(
        self, work: Transaction, books: applying.Books, undo: bytes | None, started: float
    ) -> Lease | None:
        """The intent, then COMMIT, then done."""
        now = time.perf_counter()
        chunk = books.lease.chunk
        intent = Intent(
            kind=WRITE,
            witness=self.witness,
            outcome=books.outcome,
            code=books.terms.code,
            took=timedelta(seconds=now - started),
            retried=books.retried,
            lease_for=books.terms.lease_for,
            undo=undo,
            undo_rows=books.outcome.written,
            issues=records.pack_issues(books.issues),
        )
        await self.book.intend(books.lease, intent)
        now = time.perf_counter()
        await work.commit()
        self.pool.committed(time.perf_counter() - now)
        return await self.book.done(chunk.run, chunk.number, intent)


@dataclass(kw_only=True)
class UndoKeeper:
    """Keeps the books of one undo: `rollback.Keeper`."""

    book: Book
    found: Kept | None = None
    witness: dict[str, str] = field(default_factory=dict)

    async def kept(
        self, work: Transaction, run: str, number: int, *, lock: bool = False
    ) -> rollback.Kept:
        """The chunk's undo data; its fence must still stand when the undo is marked."""
        found = await self.book.kept(run, number)
        if found is None:
            return rollback.Kept()
        self.found = found
        if lock:
            self.witness = await witness(work)
        return rollback.Kept(
            applied=found.applied,
            undone=found.undone,
            blob=found.undo,
            after=found.after,
            upto=found.upto,
            books=found.books,
        )

    async def mark(
        self, work: Transaction, run: str, number: int, rest: journal.Undo, books: Undone
    ) -> None:
        """The intent, then COMMIT, then done."""
        intent = Intent(
            kind=UNDO,
            witness=self.witness,
            undo=journal.pack(rest) if rest.keys else None,
            undo_rows=len(rest.keys),
            books=records.undone_to_json(books),
            issues=records.pack_issues(books.left),
        )
        if self.found is None:
            raise AssertionError("an undo was marked before it was read")
        await self.book.intend_undo(run, self.found, intent)
        await work.commit()
        await self.book.done(run, number, intent)


def name_of(url: str) -> str:
    """The database, by a name that a failover does not change."""
    try:
        return str(psycopg.conninfo.conninfo_to_dict(url).get("dbname") or "")
    except psycopg.ProgrammingError as error:
        raise unreachable(error) from None


class PostgresData:
    """`Data` on Postgres, through the modules of its store."""

    warning = "a crash in the middle of a chunk is settled by asking Postgres for its transaction"

    def __init__(self, url: str, manners: Manners) -> None:
        """Nothing connects before it is asked to."""
        self._pool = Pool(url, manners)
        self.rows: Store = PostgresStore(self._pool)
        self.patience = manners.statement_timeout + manners.idle_timeout
        self._bindings: dict[Spec, tuple[float, Binding]] = {}

    async def aclose(self) -> None:
        """Give every connection back."""
        await self.rows.aclose()

    async def _bound(self, spec: Spec) -> Binding:
        known = self._bindings.get(spec)
        if known and time.monotonic() - known[0] < FRESH_FOR:
            return known[1]
        async with self._pool.read(control=True) as work:
            binding = await bind(work, spec)
        self._bindings[spec] = (time.monotonic(), binding)
        return binding

    async def place(self, spec: Spec) -> str:
        """Schema and table."""
        target = (await self._bound(spec)).target
        return f"{target.schema}.{target.name}"

    async def span(self, spec: Spec, span: Span) -> tuple[list[Key], Key | None]:
        """Keys as the server prints them, and the one before the span."""
        binding = await self._bound(spec)
        async with self._pool.read(control=True) as work:
            listed = await runs.canonical(work, binding, span.keys)
            return listed, await runs.predecessor(work, binding, span.start)

    async def cut(
        self, spec: Spec, run: Run, want: Want, cursor: Cursor
    ) -> tuple[list[Chunk], Cursor]:
        """As the store cuts, in a transaction that only reads."""
        binding = await self._bound(spec)
        asked = claims.Want(
            worker=want.worker, count=want.count, rows=want.rows, lease=want.lease_for
        )
        at = claims.Cursor(at=cursor.at, cut=cursor.cut, exhausted=cursor.exhausted)
        async with self._pool.read(run.id, control=True) as work:
            made, moved = await claims.cut(work, binding, run, asked, at)
        ended = moved.exhausted or not made
        return made, Cursor(at=moved.at, cut=moved.cut, exhausted=ended)

    async def halves(self, spec: Spec, chunk: Chunk, page: Page | None) -> list[Half]:
        """Where to cut."""
        binding = await self._bound(spec)
        async with self._pool.read(chunk.run, control=True) as work:
            found = await claims.halves(work, binding, chunk, page)
        if found is None:
            raise TargetError(
                f"chunk {chunk.number} is too slow and cannot be cut",
                found="one row alone runs into the statement time-out",
                fix="look for a slow trigger or a missing index, or raise statement_timeout",
            )
        return found

    async def eligible(self, spec: Spec, run: Run) -> AsyncIterator[list[Key]]:
        """Pages of eligible keys; no transaction is open while they are dealt with."""
        binding = await self._bound(spec)
        ask, within = asking(self._pool, run.id), self._pool.manners.statement_timeout
        async for page in leftover.eligible_pages(ask, binding, run, within):
            yield page

    async def meeting(
        self, spec: Spec, bounds: Sequence[Bound], first: Key, last: Key
    ) -> list[int]:
        """Only the server can compare keys: it is sent the ranges."""
        if not bounds:
            return []
        binding = await self._bound(spec)
        sent = [
            codecs.int8s([number for number, _, _ in bounds]),
            codecs.texts([after.encode() if after else None for _, after, _ in bounds]),
            codecs.texts([upto.encode() for _, _, upto in bounds]),
        ]
        async with self._pool.read() as work:
            found = await work.with_arrays(
                "SELECT number FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.text[], "
                "$3::pg_catalog.text[]) AS proctor_range(number, after, upto) "
                f"WHERE {leftover.meets(binding, first, last)} ORDER BY number",
                sent,
            )
        return [number for (number,) in found]

    async def apply(
        self, spec: Spec, lease: Lease, settled: Settled, terms: Terms, book: Book
    ) -> Applied:
        """The store's guarded write."""
        keeper = WriteKeeper(pool=self._pool, book=book)
        binding = await self._bound(spec)
        return await applying.apply(self._pool, binding, lease, settled, terms, keeper=keeper)

    async def apply_sql(self, spec: Spec, lease: Lease, terms: Terms, book: Book) -> Applied:
        """The store's statement for expressions."""
        keeper = WriteKeeper(pool=self._pool, book=book)
        return await inside.apply_sql(
            self._pool, await self._bound(spec), lease, terms, keeper=keeper
        )

    async def undo(self, spec: Spec, run: Run, number: int, terms: UndoTerms, book: Book) -> Undone:
        """The store's undo."""
        keeper = UndoKeeper(book=book)
        binding = await self._bound(spec)
        return await rollback.undo(self._pool, binding, run.id, number, terms, keeper=keeper)

    async def verify(self, spec: Spec, run: Run, number: int, book: Book) -> Undone:
        """The store's comparison."""
        keeper = UndoKeeper(book=book)
        return await rollback.verify(
            self._pool, await self._bound(spec), run.id, number, keeper=keeper
        )

    async def script(
        self, spec: Spec, run: Run, numbers: Sequence[int], book: Book
    ) -> AsyncIterator[str]:
        """The store's script."""
        binding = await self._bound(spec)
        keeper = UndoKeeper(book=book)
        newest = sorted(numbers, reverse=True)
        async for piece in script.script(self._pool, binding, run, newest, keeper=keeper):
            yield piece

    async def shown(self, spec: Spec, undo: bytes, count: int) -> list[Journalled]:
        """As the store shows them."""
        return await rollback.shown(self._pool, await self._bound(spec), undo, count)

    async def fate(self, witness: Mapping[str, Any]) -> Fate:
        """Ask the server for the transaction; after a failover or a restore it cannot tell."""
        status = f"pg_catalog.txid_status({int(witness['xid'])})"
        async with self._pool.read(control=True) as work:
            try:
                ((timeline, found),) = await work.fetch(f"SELECT {TIMELINE}, {status}")
            except psycopg.errors.InvalidParameterValue:
                return Fate.UNKNOWN  # an id that this server has not given out yet
            except psycopg.errors.ObjectNotInPrerequisiteState:
                raise ConnectionLost("this server is a replica and cannot tell") from None
        return FATES[found] if timeline == witness["timeline"] else Fate.UNKNOWN

    async def standing(self, spec: Spec, chunk: Chunk, undo: journal.Undo) -> Collection[int]:
        """Compare images; a row that others refer to stands all the same."""
        binding = await self._bound(spec)
        undoer = Undoer(binding=binding, journal=undo, after=chunk.after, upto=chunk.upto)
        async with self._pool.read(chunk.run, snapshot=True) as work:
            states = await undoer.states(work, range(len(undo.keys)))
        return [p for p, why in states.items() if why in ("", REFERENCED)]
