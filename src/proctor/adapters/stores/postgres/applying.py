"""The write transaction of one chunk: take it under its fence, write, keep what undo needs."""

from __future__ import annotations

import time

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Protocol

import psycopg

from proctor.adapters.stores import journal, records
from proctor.adapters.stores.postgres import claims, fills, tables
from proctor.adapters.stores.postgres.batch import Batch, batch, picked
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.bisect import Found, Spoilt, bisect
from proctor.adapters.stores.postgres.faults import of_a_row, row_reason
from proctor.adapters.stores.postgres.literal import text
from proctor.adapters.stores.postgres.pool import Pool, Transaction
from proctor.adapters.stores.postgres.writing import SUPPRESSED, After, Fate, Writer
from proctor.model import (
    OUTCOME_FIELDS,
    Applied,
    Bucket,
    Chunk,
    ChunkState,
    Image,
    Issue,
    Key,
    Lease,
    Outcome,
    Settled,
    UnitNote,
)
from proctor.ports import Terms

GONE = "deleted, or its key changed, after it was read"
CONFLICTED = "somebody else kept changing it between our reads and our writes"
_NOTHING = frozenset({type(None)})
TRIED = 200
"""Rows whose after-images are looked at to choose how they are kept."""


@dataclass(kw_only=True)
class Ended:
    """Where the rows of a batch ended, by position."""

    written: dict[int, After]
    refused: dict[int, str]
    unchanged: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)


class Keeper(Protocol):
    """Where the progress of a chunk is kept while its rows are written."""

    async def take(self, work: Transaction, lease: Lease) -> None:
        """First of all: the chunk is ours, or Fenced; again when the transaction begins again."""

    async def keep(
        self, work: Transaction, books: Books, undo: bytes | None, started: float
    ) -> Lease | None:
        """Last of all: keep books and undo data and commit; the lease of the moved rows."""


async def apply(
    pool: Pool,
    binding: Binding,
    lease: Lease,
    settled: Settled,
    terms: Terms,
    *,
    keeper: Keeper | None = None,
) -> Applied:
    """Write what an author's function gave for a page."""
    rows = settled.ready
    if not isinstance(rows, Batch) or rows.binding is not binding:
        rows = batch(binding, settled)
    return await write(pool, lease, rows, settled, terms, keeper=keeper)


def prepare(binding: Binding, settled: Settled) -> Settled:
    """Make ahead what is sent, as far as it depends on no answer of the server's."""
    rows = batch(binding, settled)
    rows.pack()
    if rows.packed and rows.foreseen:
        rows.undo = journal_of(rows, dict.fromkeys(range(len(rows.keys))))
    return replace(settled, ready=rows)


async def write(
    pool: Pool,
    lease: Lease,
    rows: Batch,
    settled: Settled,
    terms: Terms,
    *,
    keeper: Keeper | None = None,
) -> Applied:
    """One transaction; when a row is refused it begins again, inside savepoints."""
    keeper = keeper or Beside(pool)
    writer = Writer(batch=rows, chunk=lease.chunk)
    async with pool.write(lease.chunk.run, deferred=False) as work:
        started = time.perf_counter()
        await keeper.take(work, lease)
        try:
            ended = await _write(work, writer, settled, careful=False)
        except (Spoilt, psycopg.Error) as error:
            if isinstance(error, psycopg.Error) and not of_a_row(error):
                raise
            await work.rollback()
            await keeper.take(work, lease)
            ended = await _write(work, writer, settled, careful=True)
        undo = journal_of(rows, ended.written)
        books = books_of(lease, terms, settled, rows, ended)
        retry = await keeper.keep(work, books, undo, started)
        took = timedelta(seconds=time.perf_counter() - started)
        return Applied(
            outcome=books.outcome,
            issues=books.issues,
            took=took,
            retry=retry,
            undo_bytes=len(undo or b""),
        )


async def take(work: Transaction, lease: Lease) -> None:
    """The first statement of every write: the chunk is ours, or nothing happens."""
    chunk = lease.chunk
    taken = await work.fetch(
        f"UPDATE proctor.chunks SET state = 'applied', applied = pg_catalog.clock_timestamp() "
        f"WHERE run = {text(chunk.run)} AND number = {chunk.number} "
        f"AND fence = {lease.fence} AND state = 'claimed' RETURNING number"
    )
    if not taken:
        raise claims.fenced(chunk.run, chunk.number)


async def _write(work: Transaction, writer: Writer, settled: Settled, *, careful: bool) -> Ended:
    """Write what can be written and ask of the rest why not."""
    rows = writer.batch
    every: Sequence[int] = range(len(rows.keys))
    kept_out = {*rows.still, *rows.bad}
    todo = [p for p in every if p not in kept_out] if kept_out else every
    if careful:
        found = await bisect(work, todo, writer)
    else:
        found = Found(written=await writer.attempt(work, todo))
    refused = dict(rows.bad)
    for position, why in found.refused.items():
        refused[position] = why if isinstance(why, str) else _said(why, rows, settled, position)
    ended = Ended(written=found.written, refused=refused)
    rest = []
    if len(found.written) + len(refused) < len(every):
        rest = [p for p in every if p not in found.written and p not in refused]
    for position, fate in (await writer.fates(work, rest)).items():
        _note(ended, position, fate)
    await writer.reread(work, ended.written)
    return ended


def _said(error: psycopg.Error, rows: Batch, settled: Settled, position: int) -> str:
    at = settled.index[position]
    secrets: list[Any] = [rows.keys[position], settled.values[position]]
    return row_reason(error, [*secrets, settled.page.rows[at], rows.before[position] or ()])


def _note(ended: Ended, position: int, fate: Fate) -> None:
    match fate:
        case Fate.UNCHANGED:
            ended.unchanged.append(position)
        case Fate.GONE:
            ended.gone.append(position)
        case Fate.MOVED:
            ended.moved.append(position)
        case Fate.SUPPRESSED:
            ended.refused[position] = SUPPRESSED


@dataclass(frozen=True, kw_only=True)
class Books:
    """What a write came to: it balances, or it is never committed."""

    lease: Lease
    terms: Terms
    outcome: Outcome
    issues: tuple[Issue, ...]
    retried: tuple[Key, ...] = ()
    rows: int | None = None
    """Rows in the journal, where they are not the rows that were counted."""
    written: tuple[Key, ...] = ()
    """The units that were written, and `notes` of all that were tried; of rows neither is kept."""
    notes: Mapping[Key, UnitNote] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """A row in two buckets, or in none, is a bug that must not reach the target."""
        if not self.outcome.balances:
            raise AssertionError(f"the books of a chunk do not balance: {self.outcome}")

    def child(self, number: int) -> Chunk:
        """The chunk of the rows that moved, to be read and computed again."""
        chunk, again = self.lease.chunk, self.lease.chunk.attempt + 1
        return replace(chunk, number=number, keys=self.retried, attempt=again, revisited=0)


def books_of(lease: Lease, terms: Terms, settled: Settled, rows: Batch, ended: Ended) -> Books:
    """Add what happened to the rows that were to be written to what was settled before."""
    last = lease.chunk.attempt >= terms.attempts
    conflicted = ended.moved if last else []
    places = [
        *((Bucket.UNCHANGED, p, "") for p in ended.unchanged),
        *((Bucket.FAILED, p, why) for p, why in sorted(ended.refused.items())),
        *((Bucket.GONE, p, GONE) for p in ended.gone),
        *((Bucket.CONFLICTED, p, CONFLICTED) for p in conflicted),
    ]
    issues = [Issue(key=rows.keys[p], bucket=bucket, reason=why) for bucket, p, why in places]
    return Books(
        lease=lease,
        terms=terms,
        outcome=counted(settled.outcome.plus(Bucket.WRITTEN, len(ended.written)), issues),
        issues=(*settled.issues, *issues),
        retried=() if last else tuple(rows.keys[p] for p in sorted(ended.moved)),
        written=tuple(rows.keys[p] for p in ended.written) if settled.notes else (),
        notes=settled.notes,
    )


def counted(outcome: Outcome, issues: Sequence[Issue]) -> Outcome:
    """The same books with a row more for each issue."""
    for bucket, count in Counter(issue.bucket for issue in issues).items():
        outcome = outcome.plus(bucket, count)
    return outcome


async def keep(
    pool: Pool, work: Transaction, books: Books, undo: bytes | None, started: float
) -> Lease | None:
    """The last message: the chunk's books, its undo data, the chunk of moved rows, and COMMIT."""
    lease, terms = books.lease, books.terms
    chunk = lease.chunk
    child = ""
    if books.retried:
        number = (await work.fetch(tables.numbers(chunk.run, 1)))[0][0]
        row = tables.inserted(
            books.child(number),
            state=ChunkState.CLAIMED,
            fence=1,
            worker=lease.worker,
            until=tables.until(terms.lease_for),
        )
        child = f";\n{tables.INSERT} {row} RETURNING {claims.TAKEN}"
    sums = ", ".join(f"{f} = {getattr(books.outcome, f)}" for f in OUTCOME_FIELDS)
    now = time.perf_counter()
    took = timedelta(seconds=now - started)
    made = await work.commit(
        # By now the rows are locked: of two chunks that wrote one row, the later one says later.
        f"UPDATE proctor.chunks SET {sums}, code = {text(terms.code)}, "
        f"applied = pg_catalog.clock_timestamp(), took = {tables.seconds(took)}, "
        f"undo = {blob(undo)}, "
        f"undo_rows = {books.outcome.written if books.rows is None else books.rows}, "
        f"issues = {blob(records.pack_issues(books.issues))} "
        f"WHERE run = {text(chunk.run)} AND number = {chunk.number}{child}"
    )
    pool.committed(time.perf_counter() - now)
    return claims.lease_of(made[0]) if books.retried else None


class Beside:
    """Keeps progress beside the data, in the transaction that writes it."""

    def __init__(self, pool: Pool) -> None:
        """The pool hears how long commits take."""
        self._pool = pool

    async def take(self, work: Transaction, lease: Lease) -> None:
        """The chunk, under its fence."""
        await take(work, lease)

    async def keep(
        self, work: Transaction, books: Books, undo: bytes | None, started: float
    ) -> Lease | None:
        """The chunk's books, and COMMIT."""
        return await keep(self._pool, work, books, undo, started)


def blob(data: bytes | None) -> str:
    """Bytes as a literal."""
    return "NULL" if data is None else f"'\\x{data.hex()}'::pg_catalog.bytea"


def journal_of(rows: Batch, written: dict[int, After]) -> bytes | None:
    """The undo data of the rows that were written; None where there are none."""
    if not written:
        return None
    foreseen = _NOTHING.issuperset(map(type, written.values()))
    if foreseen and rows.undo is not None and len(written) == len(rows.keys):
        return rows.undo
    positions = sorted(written)
    writes = rows.binding.writes
    count = len(writes)
    after = rows.as_sent(positions) if foreseen else _after(rows, positions, written)
    inserted = [i for i, p in enumerate(positions) if rows.absent(p)] if None in rows.before else []
    whole = [(written[positions[i]] or ())[count:] for i in inserted]
    columns = tuple(rows.binding.target.fields) if inserted else ()
    return journal.pack(
        journal.Undo(
            fields=rows.binding.spec.writes,
            keys=picked(rows.keys, positions),
            before=rows.before_columns(positions),
            after=[kept_column(column) for column in after],
            inserted=inserted,
            columns=columns,
            whole=[kept_column(c) for c in zip(*whole, strict=True)] if inserted else (),
        )
    )


def _after(
    rows: Batch, positions: Sequence[int], written: dict[int, After]
) -> list[Sequence[Image]]:
    """After-images by field: what the server answered, and the cells where that was nothing."""
    told = [written[p] for p in positions]
    if None in told:
        sent = zip(*rows.as_sent(positions), strict=True)
        told = [row or cells for row, cells in zip(told, sent, strict=True)]
    columns = list(zip(*(row[: len(rows.cells)] for row in told if row is not None), strict=True))
    return [
        list(map(fill.python, column)) if fill.nested else column
        for fill, column in zip(rows.binding.writes, columns, strict=True)
    ]


def kept_column(column: Sequence[Any]) -> list[Any]:
    """After-images as they take least room: themselves where they press well, else digests."""
    looked = [image for image in column[:TRIED] if isinstance(image, str)]
    pressed = len(journal.squeeze(looked)) if looked else 0
    short = pressed > 16 * len(looked)
    return fills.kept(column, short=short)
