"""Rows that a called service writes: looked at in the file before and after, and taken back."""

from __future__ import annotations

import sqlite3

from collections.abc import Mapping, Sequence
from typing import Any, Final

from proctor.adapters.stores import touchbook
from proctor.adapters.stores.params import rewrite
from proctor.adapters.stores.records import (
    key_from_json,
    key_to_json,
    time_from_text,
    time_to_text,
)
from proctor.adapters.stores.sqlite import catalog, tables, undoing, units
from proctor.adapters.stores.sqlite.catalog import ident
from proctor.adapters.stores.sqlite.faults import Refusal, is_refusal, reason
from proctor.adapters.stores.sqlite.keys import bound
from proctor.adapters.stores.sqlite.rows import framed
from proctor.adapters.stores.sqlite.session import Session, utc_now
from proctor.adapters.stores.sqlite.values import adapt, bindable, images, value_of
from proctor.adapters.stores.touchbook import BACK, Delta, Look
from proctor.errors import Fenced, TargetError
from proctor.model import Change, Key, Lease, Page, Run, Spec, Touch, TouchedUnit, Untouched
from proctor.ports import UndoTerms

STEP: Final = 4
"""The version of Proctor's tables from which on touched rows are kept."""
KEPT: Final = "the database ignored it: a trigger says RAISE(IGNORE)"


def check(connection: sqlite3.Connection, spec: Spec) -> None:
    """Hold `touches=` against the file; TargetError where a name or a condition is wrong."""
    for touch in spec.touches:
        table = catalog.table(connection, touch.table, role="touched table")
        for name in (*touch.key, *(touch.columns or ())):
            if name not in table.fields:
                raise TargetError(
                    f"{table.name}, named by touches=, has no column {name}",
                    found=f"its columns are {', '.join(table.fields)}",
                    fix="names are matched exactly, case included",
                )
        if not table.unique_by(touch.key, {}):
            raise TargetError(
                f"the key of {table.name} in touches= does not tell its rows apart",
                found=f"no unique index over {', '.join(touch.key)}",
                fix="name the table's primary key",
            )
        sql, values = _asked(table, touch, spec, tuple("" for _ in spec.key))
        try:
            connection.execute(f"EXPLAIN {sql}", values)
        except sqlite3.Error as error:
            raise TargetError(
                f"the condition on {table.name} in touches= is broken", found=str(error)
            ) from error
        if not sqlite3.complete_statement(f"SELECT ({touch.where}\n);"):
            raise TargetError(
                f"the condition on {table.name} in touches= is broken",
                found="quotes or brackets left open",
            )


def _asked(table: catalog.Table, touch: Touch, spec: Spec, key: Key) -> tuple[str, dict[str, Any]]:
    """The rows that a condition covers for one unit: SQL and its values."""
    values = {f"p_{name}": adapt(value) for name, value in spec.params}
    names = {part.column for part in spec.key}
    values |= {f"u_{part.column}": value for part, value in zip(spec.key, bound(key), strict=True)}
    known = {*names, *(name for name, _ in spec.params)}
    where = rewrite(touch.where, known, lambda n: f":u_{n}" if n in names else f":p_{n}")
    columns = ", ".join(table.column(n) for n in _columns(table))
    order = ", ".join(table.column(n) for n in touch.key)
    sql = f"SELECT {columns} FROM {table.sql} WHERE ({where}\n) ORDER BY {order} "
    return f"{sql}LIMIT {touchbook.MOST + 1}", values


def _columns(table: catalog.Table) -> tuple[str, ...]:
    return tuple(n for n, f in table.fields.items() if not f.generated)


def _looks(session: Session, connection: sqlite3.Connection, spec: Spec, key: Key) -> list[Look]:
    found = []
    for touch in spec.touches:
        table = catalog.table(connection, touch.table)
        sql, values = _asked(table, touch, spec, key)
        raw = session.fetch(connection, sql, values)
        columns = [images(column) for column in zip(*raw, strict=True)]
        found.append(touchbook.look(touch, _columns(table), zip(*columns, strict=True)))
    return found


def note_before(session: Session, spec: Spec, lease: Lease, page: Page) -> int:
    """Keep the rows as they stand before the call; how often they were taken back."""
    again = 0
    with session.writing(lease.chunk.run) as connection:
        _hold(connection, lease)
        for key in page.keys:
            unit = key_to_json(key)
            (times,) = connection.execute(
                "SELECT count(*) FROM proctor_touches WHERE backfill = ? AND unit = ? AND undone",
                (spec.backfill, unit),
            ).fetchone()
            again += times
            there = connection.execute(
                "SELECT 1 FROM proctor_touches WHERE run = ? AND unit = ?", (lease.chunk.run, unit)
            ).fetchone()
            if not there:
                looks = _looks(session, connection, spec, key)
                tables.insert(
                    connection,
                    "proctor_touches",
                    {
                        "run": lease.chunk.run,
                        "unit": unit,
                        "backfill": spec.backfill,
                        "noted": time_to_text(utc_now()),
                        "before": touchbook.pack_looks(looks),
                    },
                )
    return again


def note_after(session: Session, spec: Spec, lease: Lease, page: Page) -> int:
    """Look again, and keep what differs from the first look."""
    rows = 0
    with session.writing(lease.chunk.run) as connection:
        _hold(connection, lease)
        for key in page.keys:
            where = (lease.chunk.run, key_to_json(key))
            (blob,) = connection.execute(
                "SELECT before FROM proctor_touches WHERE run = ? AND unit = ?", where
            ).fetchone()
            if blob is None:  # it was pruned: with nothing to compare, all would look new
                continue
            found = touchbook.deltas(
                touchbook.unpack_looks(blob), _looks(session, connection, spec, key)
            )
            rows += len(found)
            books = touchbook.books_to_json(touchbook.counted(found))
            connection.execute(
                "UPDATE proctor_touches SET seen = ?, after = ?, books = ? "
                "WHERE run = ? AND unit = ?",
                (time_to_text(utc_now()), touchbook.pack_deltas(found), books, *where),
            )
    return rows


def _hold(connection: sqlite3.Connection, lease: Lease) -> None:
    """Only whoever holds the chunk may say what its unit's rows were."""
    chunk = lease.chunk
    mine = connection.execute(
        "SELECT 1 FROM proctor_chunks WHERE run = ? AND number = ? AND fence = ? "
        "AND state = 'claimed'",
        (chunk.run, chunk.number, lease.fence),
    ).fetchone()
    if not mine:
        raise Fenced(
            f"chunk {chunk.number} of run {chunk.run} has another owner",
            found="a newer claim, or the run has ended",
        )


def touched(session: Session, run: str) -> list[TouchedUnit]:
    """What a run's services wrote, as they were called."""
    with session.reading(session.quiet) as connection:
        if tables.version_of(connection) < STEP:
            return []
        rows = connection.execute(
            "SELECT unit, noted, seen, books, undone, before IS NULL AND after IS NULL "
            "FROM proctor_touches WHERE run = ? ORDER BY coalesce(seen, noted), unit",
            (run,),
        ).fetchall()
    return [
        TouchedUnit(
            unit=key_from_json(unit) or (),
            noted=time_from_text(noted) or utc_now(),
            seen=time_from_text(seen),
            tables=touchbook.books_from_json(books),
            undone=bool(undone),
            pruned=bool(pruned),
        )
        for unit, noted, seen, books, undone, pruned in rows
    ]


def untouch(session: Session, run: Run, unit: Key, terms: UndoTerms) -> Untouched:
    """Take back what services wrote for one unit."""
    if terms.dry_run:
        with session.reading(session.quiet) as connection:
            return _untouch(session, connection, run, unit, terms) or Untouched()
    with session.writing(run.id) as connection:
        done = _untouch(session, connection, run, unit, terms)
        if done is None:
            return Untouched()
        if terms.whole or not done.left:
            where = (run.id, key_to_json(unit))
            (books,) = connection.execute(
                "SELECT books FROM proctor_touches WHERE run = ? AND unit = ?", where
            ).fetchone()
            books = touchbook.with_left(touchbook.books_from_json(books), done.left)
            connection.execute(
                "UPDATE proctor_touches SET undone = 1, books = ? WHERE run = ? AND unit = ?",
                (books, *where),
            )
            spec = units.spec_of_run(connection, run.id)
            if spec.only_touches:
                units.unit_back(connection, spec, run.id, unit)
    return done


def _untouch(
    session: Session, connection: sqlite3.Connection, run: Run, unit: Key, terms: UndoTerms
) -> Untouched | None:
    """None where nothing is left to undo, or the terms leave it out."""
    row = connection.execute(
        "SELECT noted, seen, before, after, books FROM proctor_touches "
        "WHERE run = ? AND unit = ? AND NOT undone",
        (run.id, key_to_json(unit)),
    ).fetchone()
    if row is None:
        return None
    noted, seen, before, after, books = row
    spec = units.spec_of_run(connection, run.id)
    frame = framed(session, connection, spec).frame
    early = terms.since is not None and (time_from_text(seen or noted) or terms.since) < terms.since
    if early or not any(True for _ in undoing.covered(frame, [unit], terms.span)):
        return None
    if seen is None:
        looks = _looks(session, connection, spec, unit)
        known = before is not None and touchbook.same_looks(touchbook.unpack_looks(before), looks)
        return Untouched(units=1) if known else touchbook.unseen(unit, spec.touches)
    found = touchbook.unpack_deltas(after) if after is not None else []
    done = _Undoer(session, connection, dry_run=terms.dry_run).undo(unit, found)
    return done + touchbook.pruned(unit, touchbook.books_from_json(books), found)


class _Undoer:
    """The rows of one unit on their way back."""

    def __init__(self, session: Session, connection: sqlite3.Connection, *, dry_run: bool) -> None:
        self.session = session
        self.connection = connection
        self.dry_run = dry_run

    def undo(self, unit: Key, found: Sequence[Delta]) -> Untouched:
        """Row by row; what was refused is tried again as long as others go back."""
        books = touchbook.Undoing.of(unit)
        todo = list(enumerate(touchbook.backwards(found)))
        with_it = set(touchbook.inserting(found)) if self.dry_run else set()
        while todo:
            refused = []
            for at, delta in todo:
                why = self._one(delta, with_it)
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

    def _one(self, delta: Delta, with_it: set[str]) -> str:
        """Take one row back; what stands in the way, if anything does."""
        table = catalog.table(self.connection, delta.touch.table)
        now = self._now(table, delta)
        why = touchbook.judged(delta, now)
        if why:
            return why
        if delta.change is Change.INSERTED and (
            who := _referrer(self.connection, table, delta, with_it)
        ):
            return touchbook.REFERENCED.format(who)
        if self.dry_run:
            return ""
        self.connection.execute("SAVEPOINT proctor_row")
        try:
            why = self._write(table, delta)
        except Refusal as error:
            if not self.connection.in_transaction or not is_refusal(error):
                raise
            why = reason(error)
        if why:
            self.connection.execute("ROLLBACK TO proctor_row")
        self.connection.execute("RELEASE proctor_row")
        return why

    def _write(self, table: catalog.Table, delta: Delta) -> str:
        where, key = _by_key(table, delta)
        if delta.change is Change.INSERTED:
            sql, values = f"DELETE FROM {table.sql} WHERE {where}", key
        elif delta.change is Change.CHANGED:
            sets = ", ".join(f"{ident(n)} = {_place(v)}" for n, v in _values(delta.back))
            sql = f"UPDATE {table.sql} SET {sets} WHERE {where}"
            values = [_raw(v) for _, v in _values(delta.back)] + key
        else:
            names = ", ".join(ident(n) for n in delta.columns)
            places = ", ".join(_place(v) for _, v in _values(delta.whole))
            sql = f"INSERT INTO {table.sql} ({names}) VALUES ({places})"
            values = [_raw(v) for _, v in _values(delta.whole)]
        if self.connection.execute(sql, values).rowcount != 1:
            return KEPT
        return "" if touchbook.judged(delta, self._now(table, delta)) == BACK else touchbook.TRIGGER

    def _now(self, table: catalog.Table, delta: Delta) -> Mapping[str, Any] | None:
        """The images of the row as it stands; None where there is none of that key."""
        where, key = _by_key(table, delta)
        names = _columns(table)
        columns = ", ".join(table.column(n) for n in names)
        rows = self.session.fetch(
            self.connection, f"SELECT {columns} FROM {table.sql} WHERE {where}", key
        )
        return dict(zip(names, images(rows[0]), strict=True)) if rows else None


def _values(row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(name, bindable(value_of(image))) for name, image in row.items()]


def _place(value: Any) -> str:
    return "CAST(? AS TEXT)" if hasattr(value, "data") else "?"


def _raw(value: Any) -> Any:
    return value.data if hasattr(value, "data") else value


def _by_key(table: catalog.Table, delta: Delta) -> tuple[str, list[Any]]:
    where = " AND ".join(f"{table.column(n)} = ?" for n in delta.touch.key)
    return where, [value_of(part) for part in delta.key]


def _referrer(
    connection: sqlite3.Connection, table: catalog.Table, delta: Delta, with_it: set[str]
) -> str:
    """A table with rows that refer to this one; a cascade would delete them, so it counts."""
    row = delta.whole
    for reference in table.referred:
        values = [value_of(row[t]) for t in reference.targets if row.get(t) is not None]
        if len(values) != len(reference.columns) or reference.table in with_it:
            continue
        where = " AND ".join(f"{ident(c)} = ?" for c in reference.columns)
        found = connection.execute(
            f"SELECT 1 FROM {ident(reference.table)} WHERE {where} LIMIT 1", values
        ).fetchone()
        if found:
            return reference.table
    return ""
