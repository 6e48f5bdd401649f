"""`sql=`: read, compute and write inside the server, with the same books, images and undo.

One statement locks the eligible rows of the chunk, computes each new value once, writes what
would change and answers with keys, before- and after-images. Nothing can move in between, so
no row is read again. Rows apart from their target, and places in documents, take the way of
computed values instead, inside the same transaction.
"""

from __future__ import annotations

import time

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import psycopg

from proctor.adapters.stores import journal, keyset
from proctor.adapters.stores.postgres import applying, reading
from proctor.adapters.stores.postgres.batch import Batch, refuse_half_filled
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.bisect import Spoilt, bisect
from proctor.adapters.stores.postgres.faults import of_a_row, row_reason
from proctor.adapters.stores.postgres.fills import Fill
from proctor.adapters.stores.postgres.literal import ident, text
from proctor.adapters.stores.postgres.pool import Pool, Rows, Transaction
from proctor.adapters.stores.postgres.writing import SUPPRESSED, After, Writer
from proctor.model import Applied, Bucket, Chunk, Issue, Key, Lease, Outcome, Settled
from proctor.ports import Terms

OLD, NEW = '"proctor_old"', '"proctor_new"'
GONE = "deleted, or no longer eligible, since it was listed"


@dataclass(kw_only=True)
class Inside:
    """One chunk's statement."""

    binding: Binding
    chunk: Chunk
    listed: Sequence[Key] = ()

    @cached_property
    def range(self) -> str:
        """The chunk's part of the table."""
        return self.binding.between(self.chunk.after, self.chunk.upto)

    @cached_property
    def values(self) -> list[str]:
        """The new value of each written field, in the type of its column."""
        binding = self.binding
        given = dict(binding.spec.sql)
        made = []
        for fill in binding.writes:
            if fill.name in given:
                made.append(fill.field.assigned(f"({binding.bound(given[fill.name])}\n)"))
            else:
                made.append(fill.field.compared(text(binding.spec.version)))
        return made

    def statement(self, only: str, *, within: str) -> str:
        """The whole: rows of `only` that are eligible, before and after."""
        binding = self.binding
        target, width = binding.target, len(binding.key)
        columns = [target.column(f.field.name) for f in binding.writes]
        preserved = [target.column(name) for name in binding.spec.preserve]
        named = [f"{sql} AS proctor_k{i}" for i, (sql, _) in enumerate(binding.target_parts)]
        named += [
            f"{f.image(c)} AS proctor_b{i}"
            for i, (f, c) in enumerate(zip(binding.writes, columns, strict=True))
        ]
        named += [f"{value} AS proctor_n{i}" for i, value in enumerate(self.values)]
        named += [f"{c}::pg_catalog.text AS proctor_p{i}" for i, c in enumerate(preserved)]
        on = " AND ".join(
            f"{sql} = {OLD}.proctor_k{i}" for i, (sql, _) in enumerate(binding.target_parts)
        )
        sets = [f"{ident(f.field.name)} = {OLD}.proctor_n{i}" for i, f in enumerate(binding.writes)]
        sets += [f"{ident(n)} = {target.alias}.{ident(n)}" for n in binding.spec.preserve]
        shown = [f.image(c) for f, c in zip(binding.writes, columns, strict=True)]
        shown += [f"{c}::pg_catalog.text" for c in preserved]
        returned = [f"{OLD}.proctor_k{i}" for i in range(width)]
        returned += [f"{sql} AS proctor_a{i}" for i, sql in enumerate(shown)]
        order = keyset.order_by(
            [(f"{OLD}.proctor_k{i}", c.descending) for i, c in enumerate(binding.key)]
        )
        same = " AND ".join(f"{NEW}.proctor_k{i} = {OLD}.proctor_k{i}" for i in range(width))
        back = [c.printed(f"{OLD}.proctor_k{i}") for i, c in enumerate(binding.key)]
        back += [f"{OLD}.proctor_b{i}" for i in range(len(columns))]
        back += [f"{OLD}.proctor_p{i}" for i in range(len(preserved))]
        back += [f"{NEW}.proctor_a{i}" for i in range(len(shown))]
        return (
            f"WITH {OLD} AS MATERIALIZED (SELECT {', '.join(named)} "
            f"FROM {target.sql} AS {target.alias} WHERE {only} AND {binding.eligible} "
            f"FOR NO KEY UPDATE OF {target.alias}), "
            f"{NEW} AS (UPDATE {target.sql} AS {target.alias} SET {', '.join(sets)} FROM {OLD} "
            f"WHERE {on} AND ({within}) AND ({self.changed}) RETURNING {', '.join(returned)}) "
            f"SELECT {', '.join(back)}, "
            # Of a written row nobody asks: printing its new value once more would cost.
            f"CASE WHEN {NEW}.proctor_k0 IS NULL THEN {self.changed} END, "
            f"{NEW}.proctor_k0 IS NOT NULL "
            f"FROM {OLD} LEFT JOIN {NEW} ON {same} ORDER BY {order}"
        )

    @cached_property
    def changed(self) -> str:
        """Whether a row's new images differ from its old ones."""
        return " OR ".join(
            f"{_image_of(fill, f'{OLD}.proctor_n{i}')} IS DISTINCT FROM {OLD}.proctor_b{i}"
            for i, fill in enumerate(self.binding.writes)
        )

    async def run(self, work: Transaction, only: str) -> Rows:
        """Write the eligible rows of `only`; each of them as the statement tells it.

        A row holds key, before-images, what is to be preserved before, after-images, the same
        after, whether it would change and whether it was written.
        """
        found = await work.fetch(self.statement(only, within=self.range))
        if self.binding.spec.preserve:
            self._refuse_spoilt(found)
        return found

    def _refuse_spoilt(self, found: Rows) -> None:
        """Raise for rows in which a trigger changed what is to be kept."""
        width, count = len(self.binding.key), len(self.binding.writes)
        kept = len(self.binding.spec.preserve)
        before, after = width + count, width + count + kept + count
        spoilt = [
            row[:width]
            for row in found
            if row[-1] and row[before : before + kept] != row[after : after + kept]
        ]
        if spoilt:
            names = ", ".join(self.binding.spec.preserve)
            why = f"a trigger changed {names}, which preserve= is to keep as it was"
            at = {key: i for i, key in enumerate(self.listed)}
            raise Spoilt({at.get(key, -1): why for key in spoilt})

    async def attempt(
        self, work: Transaction, positions: Sequence[int]
    ) -> dict[int, tuple[Any, ...]]:
        """The same for some of the listed keys, for bisection."""
        some = [self.listed[p] for p in positions]
        found = await self.run(work, self.binding.among(some))
        at = {key: p for p, key in zip(positions, some, strict=True)}
        return {at[row[: len(self.binding.key)]]: row for row in found}

    async def lock(self, work: Transaction) -> None:
        """List the eligible rows and keep others from changing them meanwhile."""
        binding = self.binding
        target = binding.target
        found = await work.fetch(
            f"SELECT {binding.printed_key} FROM {target.sql} AS {target.alias} "
            f"WHERE {self.only} AND {binding.eligible} ORDER BY {binding.order} "
            f"FOR NO KEY UPDATE OF {target.alias}"
        )
        self.listed = [tuple(row) for row in found]

    @property
    def only(self) -> str:
        """The rows of the chunk."""
        if self.chunk.keys is not None:
            return self.binding.among(self.chunk.keys)
        return f"({self.range})"


def _image_of(fill: Fill, value: str) -> str:
    """The image that a typed value would leave behind."""
    kind = fill.field.type
    if kind.is_text:
        shown = f"{value}::pg_catalog.text"
        return f"pg_catalog.rtrim({shown}, ' ')" if fill.field.padded else shown
    if fill.field.domain or fill.field.typmod < 0:
        return f"{value}::pg_catalog.text"
    return f"{value}::{fill.field.declared}::pg_catalog.text"


async def apply_sql(
    pool: Pool,
    binding: Binding,
    lease: Lease,
    terms: Terms,
    *,
    keeper: applying.Keeper | None = None,
) -> Applied:
    """One transaction; when a row is refused it begins again, inside savepoints."""
    keeper = keeper or applying.Beside(pool)
    if binding.apart or any(f.nested for f in binding.writes):
        return await _computed(pool, binding, lease, terms, keeper)
    inside = Inside(binding=binding, chunk=lease.chunk)
    async with pool.write(lease.chunk.run, deferred=False) as work:
        started = time.perf_counter()
        await keeper.take(work, lease)
        refused: dict[Key, str] = {}
        try:
            seen = await inside.run(work, inside.only)
        except (Spoilt, psycopg.Error) as error:
            secured = binding.target.secured
            if isinstance(error, psycopg.Error) and not of_a_row(error, secured=secured):
                raise
            await work.rollback()
            await keeper.take(work, lease)
            await inside.lock(work)
            every = range(len(inside.listed))
            found = await bisect(work, every, inside.attempt, secured=secured)
            seen = [found.written[p] for p in sorted(found.written)]
            refused = {
                inside.listed[p]: why if isinstance(why, str) else row_reason(why, inside.listed[p])
                for p, why in found.refused.items()
            }
        books, undo = await _books(work, inside, (lease, terms), seen, refused)
        await keeper.keep(work, books, undo, started)
        return Applied(
            outcome=books.outcome,
            issues=books.issues,
            took=timedelta(seconds=time.perf_counter() - started),
            undo_bytes=len(undo or b""),
        )


async def _books(
    work: Transaction,
    inside: Inside,
    under: tuple[Lease, Terms],
    seen: Rows,
    refused: dict[Key, str],
) -> tuple[applying.Books, bytes | None]:
    """Books and journal of what the statement did."""
    width, chunk = len(inside.binding.key), inside.chunk
    written = [row for row in seen if row[-1]]
    issues = []
    if len(written) < len(seen):
        rest = [row for row in seen if not row[-1]]
        refused |= {row[:width]: SUPPRESSED for row in rest if row[-2]}
        same = [row[:width] for row in rest if not row[-2]]
        issues = [Issue(key=key, bucket=Bucket.UNCHANGED) for key in same]
    issues += [Issue(key=k, bucket=Bucket.FAILED, reason=why) for k, why in refused.items()]
    if chunk.keys is not None:
        met = {row[:width] for row in seen} | refused.keys()
        gone = [k for k in chunk.keys if k not in met]
        issues += [Issue(key=k, bucket=Bucket.GONE, reason=GONE) for k in gone]
    books = applying.Books(
        lease=under[0],
        terms=under[1],
        outcome=applying.counted(Outcome().plus(Bucket.WRITTEN, len(written)), issues),
        issues=tuple(issues),
    )
    return books, await _journal(work, inside, written)


async def _journal(work: Transaction, inside: Inside, written: Rows) -> bytes | None:
    """The undo data of what was written; after-images again where triggers may have changed it."""
    if not written:
        return None
    binding = inside.binding
    width, count, kept = len(binding.key), len(binding.writes), len(binding.spec.preserve)
    columns = list(zip(*written, strict=True))
    keys = list(zip(*columns[:width], strict=True))
    before = columns[width : width + count]
    after_at = width + count + kept
    if not binding.fires_after_update:
        after = columns[after_at : after_at + count]
        return journal.pack(
            journal.Undo(
                fields=binding.spec.writes,
                keys=keys,
                before=before,
                after=[applying.kept_column(column) for column in after],
            )
        )
    rows = Batch(
        binding=binding,
        keys=keys,
        versions=["0"] * len(written),
        cells=[[None] * len(written)] * count,
        before=list(zip(*before, strict=True)),
    )
    images: dict[int, After] = {
        i: row[after_at : after_at + count] for i, row in enumerate(written)
    }
    await Writer(batch=rows, chunk=inside.chunk).reread(work, images)
    return applying.journal_of(rows, images)


async def _computed(
    pool: Pool, binding: Binding, lease: Lease, terms: Terms, keeper: applying.Keeper
) -> Applied:
    """Let the server compute, then write the values as those of a function are written."""
    chunk = lease.chunk
    shown = "".join(f", {sql}" for sql in _as_text(binding))
    async with pool.read(chunk.run) as work:
        if chunk.keys is not None:
            found = await work.commit(
                reading.listing(binding, chunk.keys, eligible=True, extra=shown)
            )
        else:
            found = await work.commit(
                f"SELECT 0, {binding.selected}{shown} FROM {binding.joined} "
                f"WHERE {binding.after(chunk.after)} AND {binding.upto(chunk.upto)} "
                f"AND {binding.eligible} ORDER BY {binding.order}"
            )
    gone = reading.gone_of(chunk.keys or (), found)
    page = reading.page_of(binding, found, extra=1, gone=gone)
    issues = tuple(Issue(key=k, bucket=Bucket.GONE, reason=GONE) for k in gone)
    count = len(binding.writes)
    rows = Batch(
        binding=binding,
        keys=page.keys,
        versions=page.versions,
        cells=[[_cell(row[i - count]) for row in found] for i in range(count)],
        before=page.images,
    )
    if binding.apart:
        refuse_half_filled(rows)
    settled = Settled(
        page=page,
        index=range(len(found)),
        values=[()] * len(found),
        outcome=Outcome().plus(Bucket.GONE, len(gone)),
        issues=issues,
    )
    return await applying.write(pool, lease, rows, settled, terms, keeper=keeper)


def _cell(value: str | None) -> bytes | None:
    return None if value is None else value.encode()


def _as_text(binding: Binding) -> list[str]:
    """What each written field is to hold, as its input text."""
    given = dict(binding.spec.sql)
    made = []
    for fill in binding.writes:
        if fill.name not in given:
            literal = text(binding.spec.version)
            made.append(
                f"pg_catalog.to_jsonb({literal}::pg_catalog.text)::pg_catalog.text"
                if fill.nested
                else f"{literal}::pg_catalog.text"
            )
            continue
        expression = f"({binding.bound(given[fill.name])}\n)"
        if fill.nested:
            json = f"pg_catalog.to_jsonb({expression})"
            made.append(f"coalesce({json}, 'null'::pg_catalog.jsonb)::pg_catalog.text")
        else:
            made.append(f"{fill.field.assigned(expression)}::pg_catalog.text")
    return made
