"""Rows that a called service wrote, taken back by plain SQL, with queries that verify it."""

from __future__ import annotations

import sqlite3

from collections.abc import Mapping, Sequence
from typing import Any

from proctor.adapters.stores import touchbook
from proctor.adapters.stores.records import key_from_json
from proctor.adapters.stores.sqlite import catalog, tables
from proctor.adapters.stores.sqlite.catalog import ident
from proctor.adapters.stores.sqlite.script import exactly
from proctor.adapters.stores.sqlite.session import Session
from proctor.adapters.stores.sqlite.touching import STEP
from proctor.adapters.stores.sqlite.values import bindable, literal, value_of
from proctor.adapters.stores.touchbook import Delta
from proctor.model import Change, Image, Key, Run


def pieces(session: Session, run: Run) -> list[str]:
    """One transaction for each unit, newest first; nothing where no service wrote."""
    connection = session.quiet
    with session.reading(connection):
        if tables.version_of(connection) < STEP:
            return []
        rows = connection.execute(
            "SELECT unit, seen, after FROM proctor_touches WHERE run = ? AND NOT undone "
            "ORDER BY coalesce(seen, noted) DESC, unit DESC",
            (run.id,),
        ).fetchall()
        if not rows:
            return []
        said = [touchbook.SCRIPT]
        for unit, seen, after in rows:
            key = key_from_json(unit) or ()
            if seen is None or after is None:
                said.append(touchbook.unknown_comment(key, pruned=seen is not None))
            elif found := touchbook.unpack_deltas(after):
                said.append(_unit(connection, key, found))
    return said


def _unit(connection: sqlite3.Connection, key: Key, found: Sequence[Delta]) -> str:
    order = touchbook.backwards(found)
    new = [d for d in order if d.change is Change.INSERTED]
    # Twice: what referred to a row may go in the first round.
    steps = [_step(connection, d) for d in (*new, *order)]
    checks = "\n    + ".join(
        f"(SELECT count(*) {'> 0' if d.after is not None else '= 0'} "
        f"FROM {_table(connection, d).sql} WHERE {_as_written(connection, d)})"
        for d in found
    )
    return (
        f"\n{touchbook.unit_comment(key, found)}BEGIN IMMEDIATE;\n"
        + "\n".join(steps)
        + f"\nCOMMIT;\n{touchbook.VERIFY}SELECT {checks} AS still_written;\n"
    )


def _table(connection: sqlite3.Connection, delta: Delta) -> catalog.Table:
    return catalog.table(connection, delta.touch.table)


def _literal(connection: sqlite3.Connection, image: Image) -> str:
    return literal(connection, bindable(value_of(image)))


def _where(connection: sqlite3.Connection, delta: Delta) -> str:
    return " AND ".join(
        f"{ident(n)} = {_literal(connection, part)}"
        for n, part in zip(delta.touch.key, delta.key, strict=True)
    )


def _row(connection: sqlite3.Connection, row: Mapping[str, Any]) -> str:
    return " AND ".join(exactly(connection, ident(n), value_of(v)) for n, v in row.items())


def _as_written(connection: sqlite3.Connection, delta: Delta) -> str:
    """The condition of a row that is as the service left it; of a deleted one, its key's."""
    where = _where(connection, delta)
    return where if delta.after is None else f"{where} AND {_row(connection, delta.compared)}"


def _step(connection: sqlite3.Connection, delta: Delta) -> str:
    table, where = _table(connection, delta), _as_written(connection, delta)
    if delta.change is Change.INSERTED:
        free = "".join(
            f" AND NOT EXISTS (SELECT 1 FROM {ident(r.table)} AS r WHERE "
            + " AND ".join(
                f"r.{ident(c)} = {table.column(t)}"
                for c, t in zip(r.columns, r.targets, strict=True)
            )
            + ")"
            for r in table.referred
        )
        return f"DELETE FROM {table.sql} WHERE {where}{free};"
    if delta.change is Change.CHANGED:
        sets = ", ".join(f"{ident(n)} = {_literal(connection, v)}" for n, v in delta.back.items())
        return f"UPDATE {table.sql} SET {sets} WHERE {where};"
    names = ", ".join(map(ident, delta.whole))
    values = ", ".join(_literal(connection, v) for v in delta.whole.values())
    return (
        f"INSERT INTO {table.sql} ({names}) SELECT {values} "
        f"WHERE NOT EXISTS (SELECT 1 FROM {table.sql} WHERE {where});"
    )
