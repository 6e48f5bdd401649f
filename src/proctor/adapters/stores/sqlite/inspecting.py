"""Does the spec fit the file? Every check that a plan makes before anything is written."""

from __future__ import annotations

import hashlib
import os
import sqlite3

from collections.abc import Iterator
from typing import Any

from proctor.adapters.stores.sqlite import catalog, tables, touching
from proctor.adapters.stores.sqlite.aggregate import expressions
from proctor.adapters.stores.sqlite.catalog import Table, ident
from proctor.adapters.stores.sqlite.frame import Frame
from proctor.adapters.stores.sqlite.keys import KeyColumn
from proctor.adapters.stores.sqlite.rows import framed
from proctor.adapters.stores.sqlite.session import OLDEST, Session
from proctor.adapters.stores.sqlite.values import Unstorable
from proctor.errors import TargetError
from proctor.model import Column, Guard, Shape, Spec


def inspect(session: Session, spec: Spec) -> Shape:
    """Check the spec against the file; TargetError says what does not fit."""
    if sqlite3.sqlite_version_info < OLDEST:
        raise TargetError(
            "this Python's SQLite is too old",
            found=sqlite3.sqlite_version,
            fix=f"use a Python with SQLite {'.'.join(map(str, OLDEST))} or newer",
        )
    with session.reading(session.quiet) as connection:
        try:
            frame = framed(session, connection, spec).frame
        except Unstorable as error:
            raise TargetError("a parameter cannot be bound", found=str(error)) from error
        _check_fills(frame)
        _check_sql(connection, frame)
        touching.check(connection, spec)
        _check_key(connection, frame)
        tables.ready(connection)
        place = f"sqlite:{session.path.resolve()}#{frame.target.name}"
        return Shape(
            identity=place,
            address=place,
            columns=_columns(frame),
            target_columns=_declared(frame.target),
            digest=_digest(connection, frame),
            warnings=tuple(_warnings(session, connection, frame)),
            can_create=os.access(session.path, os.W_OK) and os.access(session.path.parent, os.W_OK),
            to_create="let this user write to the file and to its folder",
            target_sql=ident(frame.target.name),
            server=f"SQLite {sqlite3.sqlite_version}",
        )


def _columns(frame: Frame) -> tuple[Column, ...]:
    if frame.source is not None:
        return _declared(frame.source)
    return tuple(Column(name=n, type="") for n in frame.source_fields)


def _declared(table: Table) -> tuple[Column, ...]:
    return tuple(
        Column(
            name=f.name,
            type=f.declared,
            nullable=not f.not_null and table.rowid != f.name,
            generated=f.generated,
            has_default=f.has_default,
        )
        for f in table.fields.values()
    )


def _check_fills(frame: Frame) -> None:
    names = [f.name for f in frame.fills]
    key = {*frame.target_key, *(f.name for f in frame.target.fields.values() if f.key_part)}
    for fill in frame.fills:
        column = fill.column
        if column.generated:
            raise TargetError(
                f"{frame.target.name}.{fill.name} cannot be filled",
                found="it is a generated column",
                fix="fill the columns that it is computed from",
            )
        if column.name in key:
            raise TargetError(
                f"{frame.target.name}.{fill.name} cannot be filled",
                found="it is part of the key",
                fix="keys must stand still while a backfill runs; fill another column",
            )
        whole = [n for n in names if n != fill.name and fill.name.startswith(f"{n}.")]
        if whole:
            raise TargetError(
                f"{fill.name} cannot be filled beside {whole[0]}", found="one holds the other"
            )


def _check_sql(connection: sqlite3.Connection, frame: Frame) -> None:
    """Compile every piece of the author's SQL, so that each is named where it is broken."""
    spec = frame.spec
    source, target = frame.origin, frame.target.sql
    pieces = [("where", spec.where, source), ("missing", spec.missing, target)]
    pieces += [(f"sql for {name}", sql, source) for name, sql in spec.sql]
    for role, sql, origin in pieces:
        if sql is None:
            continue
        text = f"EXPLAIN SELECT ({frame.author(sql)}\n) FROM {origin} LIMIT 0"
        try:
            connection.execute(text, frame.values).fetchall()
        except sqlite3.Error as error:
            raise TargetError(
                f"the {role} is broken", found=str(error), fix=f"it was: {sql.strip()[:300]}"
            ) from error
        if not sqlite3.complete_statement(f"SELECT ({sql}\n);"):
            raise TargetError(f"the {role} is broken", found="quotes or brackets left open")
    if spec.sql:
        expressions(frame)


def _check_key(connection: sqlite3.Connection, frame: Frame) -> None:
    columns = {k.name: k.collation for k in frame.key}
    if frame.source is not None:
        if not frame.source.unique_by(list(columns), columns):
            raise TargetError(
                f"the key ({', '.join(columns)}) of {frame.source.name} is not unique",
                found="no primary key or unique index tells its rows apart by these columns, "
                "compared as the columns are",
                fix="add columns to the key, or a UNIQUE index (whole, without expressions)",
            )
    else:
        _check_query_key(connection, frame)
    if frame.spec.into:
        _check_into_key(frame)
    for column in frame.key:
        _check_values(connection, frame, column)


def _check_query_key(connection: sqlite3.Connection, frame: Frame) -> None:
    names = ", ".join(k.sql for k in frame.key)
    twice = connection.execute(
        f"SELECT 1 FROM {frame.origin} GROUP BY {names} HAVING count(*) > 1 LIMIT 1", frame.values
    ).fetchone()
    if twice:
        raise TargetError(
            "the key of the query is not unique",
            found=f"several rows share ({', '.join(k.name for k in frame.key)})",
            fix="add columns to the key, or group the query by it",
        )
    if frame.spec.guard is Guard.ROWS and frame.spec.row_version is None:
        raise TargetError(
            "rows of a query carry no version",
            fix='say guard="target", or name the column with row_version=',
        )


def _check_into_key(frame: Frame) -> None:
    into = frame.spec.into_key
    if frame.into and len(into) != len(frame.key):
        raise TargetError(
            "the keys of source and target do not match",
            found=f"{len(frame.key)} columns against {len(into)}",
            fix="name as many key columns in into=table(..., key=...)",
        )
    if not frame.target.unique_by(into, {}):
        raise TargetError(
            f"the key ({', '.join(into)}) of {frame.target.name} is not unique",
            found="no primary key or unique index covers it",
            fix="make one: a row must not be inserted twice",
        )


def _check_values(connection: sqlite3.Connection, frame: Frame, column: KeyColumn) -> None:
    """Null, real and mixed keys are refused: their order or identity is not certain."""
    source = frame.source
    if source is not None and source.rowid == column.name:
        return
    kinds = _kinds(connection, frame, column)
    if "null" in kinds:
        raise TargetError(
            f"the key column {column.name} can be null",
            found="there are rows without a key",
            fix="leave them out of the source by filling the key first, or choose another key",
        )
    if "real" in kinds or len(kinds) > 1:
        raise TargetError(
            f"the key column {column.name} does not hold one kind of key",
            found=f"values of type {', '.join(sorted(kinds))}",
            fix="SQLite orders numbers before text before blobs, and 1 equals 1.0: make the "
            "column one type of whole number, text or blob",
        )


def _kinds(connection: sqlite3.Connection, frame: Frame, column: KeyColumn) -> set[str]:
    """The types of a key column's values, without a scan where declarations make it certain."""
    field = frame.source_fields[column.name]
    text_only = frame.source is not None and field.affinity == "TEXT"
    if text_only or (frame.source is not None and frame.source.strict):
        # Such a column holds text or blobs only (STRICT: one type): the ends tell.
        ends = connection.execute(
            f"SELECT typeof(min({column.sql})), typeof(max({column.sql})), "
            f"EXISTS (SELECT 1 FROM {frame.origin} WHERE {column.sql} IS NULL) "
            f"FROM {frame.origin}",
            frame.values,
        ).fetchone()
        return {*ends[:2], *(["null"] if ends[2] else [])} - ({"null"} if not ends[2] else set())
    rows = connection.execute(
        f"SELECT DISTINCT typeof({column.sql}) FROM {frame.origin}", frame.values
    )
    return {str(kind) for (kind,) in rows}


def _digest(connection: sqlite3.Connection, frame: Frame) -> str:
    parts = {frame.target.name: frame.target.digest}
    if frame.source is not None:
        parts[frame.source.name] = frame.source.digest
    else:
        query = frame.author(frame.spec.source)
        for name in catalog.tables_of(connection, query, frame.values):
            if not name.startswith(catalog.OWN_PREFIX):
                parts[name] = _schema(connection, name)
    for touch in frame.spec.touches:
        parts.setdefault(touch.table, catalog.table(connection, touch.table).digest)
    text = "\n".join(f"{n} {d}" for n, d in sorted(parts.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def _schema(connection: sqlite3.Connection, name: str) -> str:
    rows = connection.execute(
        "SELECT sql FROM sqlite_master WHERE tbl_name = ? COLLATE NOCASE ORDER BY type, name",
        (name,),
    ).fetchall()
    return repr(rows)


def _warnings(session: Session, connection: sqlite3.Connection, frame: Frame) -> Iterator[str]:
    table = frame.target
    for name, events in sorted(table.triggers.items()):
        if events & {"UPDATE", "INSERT"}:
            yield (
                f"trigger {name} on {table.name} fires on every row written; what it changes is "
                "not Proctor's and is not undone"
            )
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        yield (
            f"the database is in journal mode {mode}: readers and the run block each other; "
            "PRAGMA journal_mode = WAL lets them work at once"
        )
    (encoding,) = connection.execute("PRAGMA encoding").fetchone()
    if encoding != "UTF-8":
        yield f"the database is in {encoding}: text that is not valid cannot be restored exactly"
    if frame.spec.guard is Guard.TARGET and not frame.spec.attempts:
        yield "only the target is guarded: a source row that changes meanwhile is not noticed"
    if not frame.spec.attempts and _sorts(connection, frame):
        signs = ", ".join(f"-{k.name}" if k.descending else k.name for k in frame.key)
        yield (
            f"no index serves the key in its order ({signs}): every chunk sorts the rest of the "
            f"table{_helpful(frame)}"
        )
    if not os.access(session.path, os.W_OK):
        yield f"{session.path} is write-protected: a run will be refused"


def _helpful(frame: Frame) -> str:
    """Which index would serve the key; a query may sort for reasons of its own."""
    if frame.source is None:
        return ""
    name = ident(f"{frame.source.name}_in_order")
    parts = ", ".join(ident(k.name) + " DESC" * k.descending for k in frame.key)
    return f"; CREATE INDEX {name} ON {ident(frame.source.name)} ({parts}) would help"


def _sorts(connection: sqlite3.Connection, frame: Frame) -> bool:
    plan: list[tuple[Any, ...]] = connection.execute(
        f"EXPLAIN QUERY PLAN SELECT {', '.join(k.sql for k in frame.key)} FROM {frame.origin} "
        f"ORDER BY {frame.order} LIMIT 10",
        frame.values,
    ).fetchall()
    return any("TEMP B-TREE" in str(line[3]) for line in plan)
