"""Rows that a called service writes: looked at in the database before and after, and taken back."""

from __future__ import annotations

import hashlib

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import psycopg

from proctor.adapters.stores import params, records, touchbook
from proctor.adapters.stores.postgres import catalog, units
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.catalog import Relation
from proctor.adapters.stores.postgres.claims import fenced
from proctor.adapters.stores.postgres.faults import of_a_row, row_reason
from proctor.adapters.stores.postgres.literal import ident, scalar, text
from proctor.adapters.stores.postgres.pool import Pool, Transaction
from proctor.adapters.stores.touchbook import BACK, Delta, Look
from proctor.errors import TargetError
from proctor.model import (
    Change,
    Image,
    Key,
    Lease,
    Page,
    Run,
    Shape,
    Spec,
    Touch,
    TouchedUnit,
    Untouched,
)
from proctor.ports import UndoTerms

KEPT: Final = "the database ignored it: a trigger or a rule keeps the row as it is"
_THERE: Final = "SELECT pg_catalog.to_regclass('proctor.touches') IS NOT NULL"


async def checked(work: Transaction, spec: Spec, shape: Shape) -> Shape:
    """Hold `touches=` against the schema; TargetError where a name or a condition is wrong.

    The digest covers the touched tables, too.
    """
    digests = [shape.digest]
    for touch in spec.touches:
        table = await catalog.relation(work, touch.table, role="touched table")
        for name in (*touch.key, *(touch.columns or ())):
            if name not in table.fields:
                raise TargetError(
                    f"{touch.table}, named by touches=, has no column {name}",
                    found=f"its columns are {', '.join(table.fields)}",
                    fix="names are matched exactly, case included",
                )
        if table.unique_by(touch.key) is None:
            raise TargetError(
                f"the key of {touch.table} in touches= does not tell its rows apart",
                found=f"no unique index over {', '.join(touch.key)}",
                fix="name the table's primary key",
            )
        try:
            await work.describe(_asked(table, touch, spec, tuple(None for _ in spec.key)))
        except psycopg.Error as error:
            if not (error.sqlstate or "").startswith(("42", "22")):
                raise
            await work.rollback()
            raise TargetError(
                f"the condition on {touch.table} in touches= is broken",
                found=error.diag.message_primary or str(error.sqlstate),
            ) from None
        digests.append(table.digest)
    if len(digests) == 1:
        return shape
    return replace(shape, digest=hashlib.sha256("\n".join(digests).encode()).hexdigest())


def _asked(table: Relation, touch: Touch, spec: Spec, key: Sequence[Any]) -> str:
    """The rows that a condition covers for one unit, as the server prints them."""
    values: dict[str, Any] = dict(spec.params)
    values |= {part.column: value for part, value in zip(spec.key, key, strict=True)}
    where = params.rewrite(touch.where, values, lambda name: scalar(values[name]))
    return (
        f"SELECT {_images(table)} FROM {table.sql} AS {table.alias} WHERE ({where}\n) "
        f"ORDER BY {', '.join(table.column(n) for n in touch.key)} LIMIT {touchbook.MOST + 1}"
    )


def _columns(table: Relation) -> tuple[str, ...]:
    return tuple(n for n, f in table.fields.items() if not f.generated)


def _images(table: Relation) -> str:
    return ", ".join(table.fields[n].image(table.column(n)) for n in _columns(table))


async def _looks(work: Transaction, spec: Spec, key: Key) -> list[Look]:
    found = []
    for touch in spec.touches:
        table = await catalog.relation(work, touch.table)
        rows = await work.fetch(_asked(table, touch, spec, key))
        found.append(touchbook.look(touch, _columns(table), rows))
    return found


async def note_before(pool: Pool, spec: Spec, lease: Lease, page: Page) -> int:
    """Keep the rows as they stand before the call; how often they were taken back."""
    run, again = lease.chunk.run, 0
    async with pool.write(run) as work:
        await _hold(work, lease)
        for key in page.keys:
            unit = text(records.to_json(key))
            ((times, there),) = await work.fetch(
                f"SELECT (SELECT count(*) FROM proctor.touches WHERE undone "
                f"AND backfill = {text(spec.backfill)} AND unit = {unit}), "
                f"EXISTS (SELECT FROM proctor.touches WHERE run = {text(run)} AND unit = {unit})"
            )
            again += times
            if not there:
                blob = _bytea(touchbook.pack_looks(await _looks(work, spec, key)))
                await work.run(
                    "INSERT INTO proctor.touches (run, unit, backfill, noted, before) VALUES "
                    f"({text(run)}, {unit}, {text(spec.backfill)}, "
                    f"pg_catalog.clock_timestamp(), {blob})"
                )
        await work.commit()
    return again


async def note_after(pool: Pool, spec: Spec, lease: Lease, page: Page) -> int:
    """Look again, and keep what differs from the first look."""
    run, rows = lease.chunk.run, 0
    async with pool.write(run) as work:
        await _hold(work, lease)
        for key in page.keys:
            where = f"run = {text(run)} AND unit = {text(records.to_json(key))}"
            # Whoever looks last has the last word: the lock comes before the look.
            ((blob,),) = await work.fetch(
                f"SELECT before FROM proctor.touches WHERE {where} FOR UPDATE"
            )
            if blob is None:  # it was pruned: with nothing to compare, all would look new
                continue
            found = touchbook.deltas(touchbook.unpack_looks(blob), await _looks(work, spec, key))
            rows += len(found)
            books = touchbook.books_to_json(touchbook.counted(found))
            await work.run(
                "UPDATE proctor.touches SET seen = pg_catalog.clock_timestamp(), "
                f"after = {_bytea(touchbook.pack_deltas(found))}, books = {text(books)} "
                f"WHERE {where}"
            )
        await work.commit()
    return rows


def _bytea(blob: bytes) -> str:
    return f"pg_catalog.decode('{blob.hex()}', 'hex')"


async def _hold(work: Transaction, lease: Lease) -> None:
    """Only whoever holds the chunk may say what its unit's rows were."""
    chunk = lease.chunk
    mine = await work.fetch(
        f"SELECT 1 FROM proctor.chunks WHERE run = {text(chunk.run)} "
        f"AND number = {chunk.number} AND fence = {lease.fence} AND state = 'claimed' FOR UPDATE"
    )
    if not mine:
        raise fenced(chunk.run, chunk.number)


async def touched(work: Transaction, run: str) -> list[TouchedUnit]:
    """What a run's services wrote, as they were called."""
    ((there,),) = await work.fetch(_THERE)
    rows: Sequence[Sequence[Any]] = []
    if there:
        rows = await work.fetch(
            "SELECT unit, noted, seen, books, undone, before IS NULL AND after IS NULL "
            f"FROM proctor.touches WHERE run = {text(run)} ORDER BY coalesce(seen, noted), unit"
        )
    return [
        TouchedUnit(
            unit=records.key_from_json(unit) or (),
            noted=noted,
            seen=seen,
            tables=touchbook.books_from_json(books),
            undone=undone,
            pruned=pruned,
        )
        for unit, noted, seen, books, undone, pruned in rows
    ]


async def untouch(pool: Pool, binding: Binding, run: Run, unit: Key, terms: UndoTerms) -> Untouched:
    """Take back what services wrote for one unit."""
    if terms.dry_run:
        async with pool.read(run.id) as work:
            return await _untouch(work, binding, run, unit, terms) or Untouched()
    async with pool.write(run.id, deferred=False) as work:
        done = await _untouch(work, binding, run, unit, terms)
        if done is None:
            return Untouched()
        if terms.whole or not done.left:
            where = f"run = {text(run.id)} AND unit = {text(records.to_json(unit))}"
            ((kept,),) = await work.fetch(f"SELECT books FROM proctor.touches WHERE {where}")
            books = touchbook.with_left(touchbook.books_from_json(kept), done.left)
            await work.run(
                f"UPDATE proctor.touches SET undone = true, books = {text(books)} WHERE {where}"
            )
            if binding.spec.only_touches:
                await units.take_back(work, binding.spec, run.id, [unit])
        await work.commit()
    return done


async def _untouch(
    work: Transaction, binding: Binding, run: Run, unit: Key, terms: UndoTerms
) -> Untouched | None:
    """None where nothing is left to undo, or the terms leave it out."""
    lock = "" if terms.dry_run else " FOR UPDATE"
    rows = await work.fetch(
        f"SELECT noted, seen, before, after, books FROM proctor.touches WHERE run = {text(run.id)} "
        f"AND unit = {text(records.to_json(unit))} AND NOT undone{lock}"
    )
    if not rows:
        return None
    noted, seen, before, after, books = rows[0]
    early = terms.since is not None and (seen or noted) < terms.since
    if early or not await units.Units(binding, terms.span).covers(work, unit):
        return None
    spec = binding.spec
    if seen is None:
        looks = await _looks(work, spec, unit)
        known = before is not None and touchbook.same_looks(touchbook.unpack_looks(before), looks)
        return Untouched(units=1) if known else touchbook.unseen(unit, spec.touches)
    found = touchbook.unpack_deltas(after) if after is not None else []
    done = await _Undoer(work, dry_run=terms.dry_run).undo(unit, found)
    return done + touchbook.pruned(unit, touchbook.books_from_json(books), found)


class _Undoer:
    """The rows of one unit on their way back."""

    def __init__(self, work: Transaction, *, dry_run: bool) -> None:
        self.work = work
        self.dry_run = dry_run
        self.tables: dict[str, Relation] = {}

    async def undo(self, unit: Key, found: Sequence[Delta]) -> Untouched:
        """Row by row; what was refused is tried again as long as others go back."""
        books = touchbook.Undoing.of(unit)
        todo = list(enumerate(touchbook.backwards(found)))
        with_it = {
            (await self._table(name)).sql
            for name in (touchbook.inserting(found) if self.dry_run else ())
        }
        while todo:
            refused = []
            for at, delta in todo:
                why = await self._one(delta, with_it)
                if why == BACK:
                    books.back += 1
                elif why:
                    refused.append((at, delta))
                    books.leave(at, delta, why)
                else:
                    books.done.append(delta)
                    books.left.pop(at, None)
            if len(refused) == len(todo) or self.dry_run:
                break
            todo = refused
        return books.result()

    async def _table(self, name: str) -> Relation:
        if name not in self.tables:
            self.tables[name] = await catalog.relation(self.work, name)
        return self.tables[name]

    async def _one(self, delta: Delta, with_it: set[str]) -> str:
        """Take one row back; what stands in the way, if anything does."""
        table = await self._table(delta.touch.table)
        why = touchbook.judged(delta, await self._now(table, delta))
        if why:
            return why
        if delta.change is Change.INSERTED and (who := await self._referrer(table, delta, with_it)):
            return touchbook.REFERENCED.format(who)
        if self.dry_run:
            return ""
        await self.work.run("SAVEPOINT proctor_row")
        try:
            rows = await self.work.fetch(_statement(table, delta))
            why = "" if len(rows) == 1 else KEPT
            if not why and touchbook.judged(delta, await self._now(table, delta)) != BACK:
                why = touchbook.TRIGGER
        except psycopg.Error as error:
            if not of_a_row(error):
                raise
            cells = [v for v in (*(delta.before or ()), *(delta.after or ())) if v is not None]
            why = row_reason(error, cells)
        if why:
            await self.work.run("ROLLBACK TO SAVEPOINT proctor_row")
        await self.work.run("RELEASE SAVEPOINT proctor_row")
        return why

    async def _now(self, table: Relation, delta: Delta) -> Mapping[str, Image] | None:
        """The images of the row as it stands, locked; None where there is none of that key."""
        lock = "" if self.dry_run else f" FOR UPDATE OF {table.alias}"
        rows = await self.work.fetch(
            f"SELECT {_images(table)} FROM {table.sql} AS {table.alias} "
            f"WHERE {by_key(table, delta)}{lock}"
        )
        return dict(zip(_columns(table), rows[0], strict=True)) if rows else None

    async def _referrer(self, table: Relation, delta: Delta, with_it: set[str]) -> str:
        """A table with rows that refer to this one; a cascade would delete them, so it counts."""
        for reference in await catalog.references(self.work, table):
            if reference.table in with_it:
                continue
            on = " AND ".join(
                f"proctor_ref.{ident(c)} = {table.column(t)}"
                for c, t in zip(reference.columns, reference.targets, strict=True)
            )
            found = await self.work.fetch(
                f"SELECT 1 FROM {table.sql} AS {table.alias} WHERE {by_key(table, delta)} "
                f"AND EXISTS (SELECT FROM {reference.table} AS proctor_ref WHERE {on})"
            )
            if found:
                return reference.table.replace('"', "")
        return ""


def by_key(table: Relation, delta: Delta) -> str:
    """The condition that finds one row by its key."""
    return " AND ".join(
        f"{table.column(n)} = {table.fields[n].compared(text(str(part)))}"
        for n, part in zip(delta.touch.key, delta.key, strict=True)
    )


def _assigned(table: Relation, name: str, image: Image) -> str:
    if not isinstance(image, str):
        return "NULL"
    return table.fields[name].assigned(text(image))


def _statement(table: Relation, delta: Delta) -> str:
    """What takes one row back, with a row in its answer where it did."""
    where = by_key(table, delta)
    if delta.change is Change.INSERTED:
        return f"DELETE FROM {table.sql} AS {table.alias} WHERE {where} RETURNING 1"
    if delta.change is Change.CHANGED:
        sets = ", ".join(f"{ident(n)} = {_assigned(table, n, v)}" for n, v in delta.back.items())
        return f"UPDATE {table.sql} AS {table.alias} SET {sets} WHERE {where} RETURNING 1"
    names = ", ".join(ident(n) for n in delta.columns)
    values = ", ".join(_assigned(table, n, v) for n, v in delta.whole.items())
    return (
        f"INSERT INTO {table.sql} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values}) RETURNING 1"
    )
