"""Undo as plain SQL, for hands that want to read it first or have no Proctor."""

from __future__ import annotations

import sqlite3

from collections.abc import Iterator, Sequence
from typing import Any

from proctor.adapters.stores.journal import Undo, unpack
from proctor.adapters.stores.sqlite import documents, units
from proctor.adapters.stores.sqlite.catalog import ident
from proctor.adapters.stores.sqlite.frame import Fill, Frame
from proctor.adapters.stores.sqlite.keys import bound
from proctor.adapters.stores.sqlite.rows import framed
from proctor.adapters.stores.sqlite.session import Session
from proctor.adapters.stores.sqlite.undoing import spec_of
from proctor.adapters.stores.sqlite.values import bindable, literal, value_of
from proctor.model import ABSENT, Image, Key, Run


def numbers_to_undo(session: Session, run: Run, numbers: Sequence[int]) -> list[int]:
    """Those of the chunks that can be undone, newest first."""
    rows = session.quiet.execute(
        "SELECT number FROM proctor_chunks WHERE run = ? AND state = 'applied' AND NOT undone "
        "AND undo IS NOT NULL ORDER BY applied DESC, number DESC",
        (run.id,),
    ).fetchall()
    wanted = set(numbers)
    return [n for (n,) in rows if n in wanted]


def heading(session: Session, run: Run) -> str:
    """What the script is, before its first statement."""
    frame = framed(session, session.quiet, spec_of(session.quiet, run.id).written).frame
    return (
        f"-- Undo of run {_comment(run.id)} of backfill {_comment(run.backfill)} on table "
        f"{_comment(frame.target.name)}, by Proctor.\n"
        "-- Rows that somebody changed since are left alone. Each chunk is one transaction.\n"
        "-- Of Proctor's own tables only units of a grid are touched, which are then to be done\n"
        "-- again; the others go on saying that the run was applied.\n"
        "PRAGMA foreign_keys = ON;\n"
    )


def chunk_script(session: Session, run: Run, number: int) -> str:
    """The statements that undo one chunk, and a query that shows what is left."""
    connection = session.quiet
    with session.reading(connection):
        (blob,) = connection.execute(
            "SELECT undo FROM proctor_chunks WHERE run = ? AND number = ?", (run.id, number)
        ).fetchone()
        frame = framed(session, connection, spec_of(connection, run.id).written).frame
        journal = unpack(blob)
        lines = [f"\n-- chunk {number}: {len(journal.keys)} rows", "BEGIN IMMEDIATE;"]
        checks: list[str] = []
        inserted = {i: n for n, i in enumerate(journal.inserted)}
        for i, key in enumerate(journal.keys):
            where = _where(connection, frame, key)
            if i in inserted:
                lines.append(_delete(connection, frame, journal, inserted[i], where))
            else:
                lines += _updates(connection, frame, journal, i, where)
            checks.append(f"({where} AND {_holds(connection, frame, journal, i)})")
        lines += units.script(connection, run.id, number)
        lines.append("COMMIT;")
        lines += _verification(frame, number, checks)
    return "\n".join(lines) + "\n"


def _verification(frame: Frame, number: int, checks: Sequence[str]) -> Iterator[str]:
    """Queries that count what still holds a value of the run; SQLite limits nesting, so lots."""
    yield "-- Verification: how many rows still hold what the run wrote; each must be 0."
    for at in range(0, len(checks), 200):
        some = "\n    + ".join(
            f"(SELECT count(*) FROM {frame.target.sql} WHERE {c})" for c in checks[at : at + 200]
        )
        yield f"SELECT {number} AS chunk, {some} AS still_written;"


def _where(connection: sqlite3.Connection, frame: Frame, key: Key) -> str:
    return " AND ".join(
        f"{ident(n)} = {literal(connection, bindable(v))}"
        for n, v in zip(frame.target_key, bound(key), strict=True)
    )


def exactly(connection: sqlite3.Connection, column: str, value: Any) -> str:
    """A comparison by type and bytes, whatever the column's collation and affinity."""
    if value is None:
        return f"{column} IS NULL"
    kind = {int: "integer", float: "real", bytes: "blob"}.get(type(value), "text")
    text = literal(connection, bindable(value))
    if kind == "real" and value == 0.0:
        sign = f" AND printf('%!.1f', {column}) = printf('%!.1f', {text})"
    else:
        sign = ""
    return f"typeof({column}) = '{kind}' AND {column} IS {text} COLLATE BINARY{sign}"


def _holds(connection: sqlite3.Connection, frame: Frame, journal: Undo, i: int) -> str:
    """The condition that a row still has every image that the run wrote."""
    parts = []
    for fill, after in zip(frame.fills, journal.after, strict=False):
        column = ident(fill.column.name)
        if fill.path:
            parts.append(_holds_path(connection, column, fill, after[i]))
        else:
            parts.append(exactly(connection, column, value_of(after[i])))
    return " AND ".join(parts)


def _holds_path(connection: sqlite3.Connection, column: str, fill: Fill, image: Image) -> str:
    shown = f"json({column} -> {fill.json_path})"
    return f"json_valid({column}) AND {shown} IS json({literal(connection, bindable(str(image)))})"


def _updates(
    connection: sqlite3.Connection, frame: Frame, journal: Undo, i: int, where: str
) -> Iterator[str]:
    """Plain columns by one statement, documents whole or else at their paths."""
    holds = _holds(connection, frame, journal, i)
    plain = [
        f"{ident(f.column.name)} = {literal(connection, bindable(value_of(before[i])))}"
        for f, before in zip(frame.fills, journal.before, strict=False)
        if not f.path
    ]
    nested = dict.fromkeys(f.column.name for f in frame.fills if f.path)
    if not nested:
        yield f"UPDATE {frame.target.sql} SET {', '.join(plain)} WHERE {where} AND {holds};"
        return
    whole = list(plain)
    untouched = []
    paths = list(plain)
    for name in nested:
        original, wrote = _document(frame, journal, name, i)
        whole.append(f"{ident(name)} = {literal(connection, bindable(original))}")
        untouched.append(exactly(connection, ident(name), wrote))
        paths.append(f"{ident(name)} = {_path_back(connection, frame, journal, name, i)}")
    as_written = " AND ".join(untouched)
    yield (
        f"UPDATE {frame.target.sql} SET {', '.join(paths)} "
        f"WHERE {where} AND {holds} AND NOT ({as_written});"
    )
    yield f"UPDATE {frame.target.sql} SET {', '.join(whole)} WHERE {where} AND {as_written};"


def _document(frame: Frame, journal: Undo, name: str, i: int) -> tuple[Any, Any]:
    """A document before, and as the run left it: put together again from the images."""
    at = journal.fields.index(name, len(frame.fills))
    original = value_of(journal.before[at][i])
    wrote = original
    for fill, after in zip(frame.fills, journal.after, strict=False):
        if fill.column.name == name and fill.path:
            wrote = documents.put(wrote, fill.path, str(after[i]))
    return original, wrote


def _path_back(
    connection: sqlite3.Connection, frame: Frame, journal: Undo, name: str, i: int
) -> str:
    sql = ident(name)
    for fill, before in zip(frame.fills, journal.before, strict=False):
        if fill.column.name != name or not fill.path:
            continue
        was = before[i]
        if was is ABSENT or was is None:
            sql = f"json_remove({sql}, {fill.json_path})"
        else:
            text = literal(connection, bindable(str(was)))
            sql = f"json_set({sql}, {fill.json_path}, json({text}))"
    return sql


def _delete(connection: sqlite3.Connection, frame: Frame, journal: Undo, n: int, where: str) -> str:
    """Delete an inserted row that is still all ours and that nothing refers to."""
    every = [
        exactly(connection, ident(name), value_of(column[n]))
        for name, column in zip(journal.columns, journal.whole, strict=True)
    ]
    free = [
        f"NOT EXISTS (SELECT 1 FROM {ident(r.table)} AS r WHERE "
        + " AND ".join(
            f"r.{ident(c)} = {frame.target.column(t)}"
            for c, t in zip(r.columns, r.targets, strict=True)
        )
        + ")"
        for r in frame.target.referred
    ]
    conditions = " AND ".join([*every, *frame.target.as_added(journal.columns), *free])
    return f"DELETE FROM {frame.target.sql} WHERE {where} AND {conditions};"


def _comment(text: str) -> str:
    return " ".join(text.split())
