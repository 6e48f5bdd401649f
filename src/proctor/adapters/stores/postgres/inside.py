"""`sql=`: read, compute and write inside the server, with the same books, images and undo.

One statement computes each new value once, writes what would change where the row's version
still stands, and answers with keys, before- and after-images. Where it left an eligible row out
(nothing would change, somebody was quicker, a trigger kept it back) a second one locks what is
left and writes it in the same way: then nothing can move any more, so no row is read again.
Rows apart from their target, and places in documents, take the way of computed values instead,
inside the same transaction.
"""

from __future__ import annotations

import time

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

import psycopg

from proctor.adapters.stores import journal
from proctor.adapters.stores.postgres import applying, reading
from proctor.adapters.stores.postgres.batch import Batch, refuse_half_filled
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.bisect import Spoilt, bisect
from proctor.adapters.stores.postgres.computing import NO_ROW, Computing
from proctor.adapters.stores.postgres.expression import Statements
from proctor.adapters.stores.postgres.faults import of_a_row, row_reason
from proctor.adapters.stores.postgres.literal import text
from proctor.adapters.stores.postgres.pool import Pool, Rows, Transaction
from proctor.adapters.stores.postgres.writing import SUPPRESSED, After, Writer
from proctor.model import Applied, Bucket, Chunk, Issue, Key, Lease, Outcome, Settled
from proctor.ports import Terms

GONE = "deleted, or no longer eligible, since it was listed"


@dataclass(kw_only=True)
class Inside:
    """One chunk on its way through its statements."""

    binding: Binding
    chunk: Chunk
    listed: Sequence[Key] = ()

    @cached_property
    def sql(self) -> Statements:
        """The statements."""
        return Statements(binding=self.binding, chunk=self.chunk)

    async def whole(self, work: Transaction) -> Rows:
        """Write the chunk, swiftly where that is possible, and what is left then with locks."""
        if self.binding.spec.preserve or self.chunk.keys is not None:
            return await self.run(work, self.sql.only)
        found = await work.fetch(self.sql.swift())
        if found and found[0][-1] == len(found):
            return found
        width = len(self.binding.key)
        written = {row[:width] for row in found}
        left = [key for key in await self.eligible_keys(work) if key not in written]
        return [*found, *await self.run(work, self.binding.among(left))] if left else found

    async def eligible_keys(self, work: Transaction, *, lock: bool = False) -> list[Key]:
        """The keys of the rows of the chunk that are eligible now."""
        binding = self.binding
        target = binding.target
        locked = f"FOR NO KEY UPDATE OF {target.alias}" if lock else ""
        found = await work.fetch(
            f"SELECT {binding.printed_key} FROM {target.sql} AS {target.alias} "
            f"WHERE {self.sql.only} AND {binding.eligible} ORDER BY {binding.order} {locked}"
        )
        return [tuple(row) for row in found]

    async def run(self, work: Transaction, only: str) -> Rows:
        """Write the eligible rows of `only`; each of them as the statement tells it.

        A row holds key, before-images, what is to be preserved before, after-images, the same
        after, whether it would change and whether it was written.
        """
        found = await work.fetch(self.sql.statement(only, within=self.sql.range))
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

    async def idle(self, work: Transaction) -> None:
        """The same statement, for no row; the planner does not see that there is none."""
        await self.run(work, NO_ROW)

    async def lock(self, work: Transaction) -> None:
        """List the eligible rows and keep others from changing them meanwhile."""
        self.listed = await self.eligible_keys(work, lock=True)


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
            seen = await inside.whole(work)
        except (Spoilt, psycopg.Error) as error:
            if isinstance(error, psycopg.Error) and not of_a_row(error):
                raise
            await work.rollback()
            await keeper.take(work, lease)
            await inside.lock(work)
            every = range(len(inside.listed))
            found = await bisect(work, every, inside)
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
    found, refused = await Computing(binding=binding, chunk=chunk, values=shown).read(pool)
    met = {row[1 : 1 + len(binding.key)] for row in found} | refused.keys()
    gone = tuple(key for key in chunk.keys or () if key not in met)
    page = reading.page_of(binding, found, extra=1, gone=gone)
    issues = [Issue(key=key, bucket=Bucket.GONE, reason=GONE) for key in gone]
    issues += [Issue(key=k, bucket=Bucket.FAILED, reason=why) for k, why in refused.items()]
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
        outcome=applying.counted(Outcome(), issues),
        issues=tuple(issues),
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
