"""One unit's rows in one transaction: locked and imaged as they stand, written all or none."""

from __future__ import annotations

import time

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import psycopg

from proctor.adapters.stores.postgres import applying, keys, reading, units
from proctor.adapters.stores.postgres.batch import Batch, batch
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.bisect import Spoilt
from proctor.adapters.stores.postgres.faults import of_a_row, row_reason
from proctor.adapters.stores.postgres.pool import Pool, Transaction
from proctor.adapters.stores.postgres.writing import SUPPRESSED, Fate, Writer
from proctor.errors import EngineError, UsageError
from proctor.model import (
    Applied,
    Bucket,
    Emitted,
    Image,
    Issue,
    Key,
    Lease,
    Outcome,
    Page,
    Settled,
    Spec,
)
from proctor.ports import Terms

TRIES: Final = 5
"""How often a row may appear, or go, between the look at it and the write."""
TWICE: Final = "two of its rows have what is one key in this table"
RACED: Final = "somebody else kept writing rows under the keys of its rows"


class Unwritable(Exception):
    """The unit cannot be written as it is; the text says why, without its values."""


class _Raced(Exception):
    """A row is not what it was a moment ago: the look must be taken again."""


@dataclass(frozen=True, kw_only=True)
class Wrote:
    """What writing a unit's rows came to: how many, or why none."""

    rows: int = 0
    undo: bytes | None = field(default=None, repr=False)
    why: str = ""


async def apply(
    pool: Pool, grid: Spec, binding: Binding, unit: tuple[Lease, Settled], terms: Terms
) -> Applied:
    """Write a unit's rows and its books; `binding` binds the spec of the rows alone."""
    lease, settled = unit
    if len(settled.index) > 1:
        raise EngineError("a chunk holds the rows of one unit")
    keeper = applying.Beside(pool)
    async with pool.write(lease.chunk.run, deferred=False) as work:
        started = time.perf_counter()
        await keeper.take(work, lease)
        done = Wrote()
        if settled.index:
            done = await _emit(work, binding, lease, settled.emitted[0])
        books = _books(lease, terms, settled, done)
        await units.keep(work, grid, books, emitted=done.rows)
        await keeper.keep(work, books, done.undo, started)
        return Applied(
            outcome=books.outcome,
            issues=books.issues,
            took=timedelta(seconds=time.perf_counter() - started),
            undo_bytes=len(done.undo or b""),
        )


def _books(lease: Lease, terms: Terms, settled: Settled, done: Wrote) -> applying.Books:
    """The unit, counted once: written, unchanged or failed."""
    outcome, issues = settled.outcome, list(settled.issues)
    written: tuple[Key, ...] = ()
    if settled.index:
        unit = settled.page.keys[settled.index[0]]
        bucket = Bucket.WRITTEN if done.rows else Bucket.UNCHANGED
        bucket = Bucket.FAILED if done.why else bucket
        outcome = outcome.plus(bucket)
        if bucket is Bucket.WRITTEN:
            written = (unit,)
        else:
            issues.append(Issue(key=unit, bucket=bucket, reason=done.why))
    return applying.Books(
        lease=lease,
        terms=terms,
        outcome=outcome,
        issues=tuple(issues),
        rows=done.rows,
        written=written,
        notes=settled.notes,
    )


async def _emit(
    work: Transaction, binding: Binding, lease: Lease, emitted: Sequence[Emitted]
) -> Wrote:
    """Write all the rows inside a savepoint, or none of them."""
    if not emitted:
        return Wrote()
    await work.run("SAVEPOINT proctor_unit")
    why = RACED
    for _ in range(TRIES):
        try:
            done = await _write(work, binding, lease, emitted)
        except _Raced:
            await work.run("ROLLBACK TO SAVEPOINT proctor_unit")
            continue
        except Unwritable as error:
            why = str(error)
        except Spoilt as spoilt:
            why = _most(list(spoilt.rows.values()), len(emitted))
        except psycopg.Error as error:
            if not of_a_row(error):
                raise
            values = [[*key, *row] for key, row in emitted]
            why = _most([row_reason(error, values)], len(emitted))
        else:
            await work.run("RELEASE SAVEPOINT proctor_unit")
            return done
        break
    await work.run("ROLLBACK TO SAVEPOINT proctor_unit")
    return Wrote(why=why)


def _most(reasons: Sequence[str], rows: int) -> str:
    """Why a unit cannot be written, by its commonest reason."""
    reason, count = Counter(reasons).most_common(1)[0]
    return f"{count} of its {rows} rows cannot be written: {reason}"


async def _write(
    work: Transaction, binding: Binding, lease: Lease, emitted: Sequence[Emitted]
) -> Wrote:
    rows = await _rows(work, binding, emitted)
    if rows.bad:
        raise Unwritable(_most(list(rows.bad.values()), len(emitted)))
    writer = Writer(batch=rows, chunk=lease.chunk, ranged=False)
    todo = [p for p in range(len(rows.keys)) if p not in rows.still]
    written = await writer.attempt(work, todo)
    rest = [p for p in todo if p not in written]
    fates = (await writer.fates(work, rest)).values()
    if Fate.SUPPRESSED in fates:
        raise Unwritable(_most([SUPPRESSED], len(emitted)))
    if Fate.MOVED in fates or Fate.GONE in fates:
        raise _Raced
    await writer.reread(work, written)
    return Wrote(rows=len(written), undo=applying.journal_of(rows, written))


async def _rows(work: Transaction, binding: Binding, emitted: Sequence[Emitted]) -> Batch:
    """The rows as they stand, locked until the end, with what they are to hold."""
    canonical = await _canonical(work, binding, [key for key, _ in emitted])
    # Each unit takes its rows in one order, or two at once would wait for each other for ever.
    order = sorted(range(len(canonical)), key=canonical.__getitem__)
    listed = [canonical[i] for i in order]
    found = await work.fetch(
        f"{reading.listing(binding, listed, eligible=False)} "
        f"FOR NO KEY UPDATE OF {binding.target.alias}"
    )
    there = reading.page_of(binding, found, extra=1)
    at = {row[0] - 1: n for n, row in enumerate(found)}
    places = [at.get(i) for i in range(len(listed))]
    images: list[tuple[Image, ...] | None] = [
        None if n is None else there.images[n] for n in places
    ]
    page = Page(
        keys=[key if n is None else there.keys[n] for key, n in zip(listed, places, strict=True)],
        rows=[{}] * len(listed),
        versions=[(None, None, ()) if n is None else there.versions[n] for n in places],
        images=images,
    )
    return batch(
        binding,
        Settled(
            page=page,
            index=range(len(listed)),
            values=[emitted[i][1] for i in order],
            outcome=Outcome(),
        ),
    )


async def _canonical(work: Transaction, binding: Binding, listed: Sequence[Key]) -> list[Key]:
    """The keys as the server prints them, in their order; Unwritable where two are one."""
    typed: list[Key] = []
    for key in listed:
        try:
            parts = zip(binding.key, key, strict=True)
            typed.append(tuple(column.typed(str(part)) for column, part in parts))
        except UsageError as error:
            raise Unwritable(
                f"one of its rows has a key that is none here: {error.found}"
            ) from None
    cells = keys.sent(binding.key)
    shown = ", ".join(c.printed(f"({s})") for c, s in zip(binding.key, cells, strict=True))
    # Texts that differ may be one key all the same: 1 and 1.0, or by a collation a and A.
    rows = await work.fetch(
        f"SELECT {shown}, pg_catalog.count(*) OVER (PARTITION BY {', '.join(cells)}) "
        f"FROM {keys.unnested(binding.key, typed)} ORDER BY {keys.SENT}.proctor_at"
    )
    if any(row[-1] > 1 for row in rows):
        raise Unwritable(TWICE)
    return [tuple(row[:-1]) for row in rows]


__all__ = ["apply"]
