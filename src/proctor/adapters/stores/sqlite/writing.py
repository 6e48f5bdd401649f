"""Rows on their way into a table: many at once, or, where some are refused, by halves."""

from __future__ import annotations

import sqlite3

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from proctor.adapters.stores.sqlite.catalog import Reference, Table, ident
from proctor.adapters.stores.sqlite.faults import Refusal, is_refusal, reason
from proctor.adapters.stores.sqlite.keys import among, from_part
from proctor.adapters.stores.sqlite.values import RawText
from proctor.model import Key

MOST_AT_ONCE: Final = 1024
"""Rows of one UPDATE. A row costs as much as one of many executions, but Python's lock, for which
a busy function may make each wait, is given up and taken once for all of them."""
LEAST_AT_ONCE: Final = 128
"""Fewer go one by one: each number of rows is a statement to be compiled."""


class Ignored(sqlite3.IntegrityError):
    """The database took a statement and wrote fewer rows than it was told to."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows of one table to write: columns to set, in step with keys.

    Statements say OR ABORT, so that a table's own ON CONFLICT REPLACE deletes nobody's row.
    """

    table: Table
    key_names: Sequence[str]
    names: Sequence[str]
    keys: Sequence[Key]
    columns: Sequence[Sequence[Any]]
    insert: bool = False

    def statement(self, places: Sequence[str]) -> str:
        """The statement for one row; `places` for the columns, then plain ones for the key."""
        sets = [ident(n) for n in self.names]
        if self.insert:
            names = ", ".join([*sets, *(ident(n) for n in self.key_names)])
            values = ", ".join([*places, *("?" for _ in self.key_names)])
            return f"INSERT OR ABORT INTO {self.table.sql} ({names}) VALUES ({values})"
        assigned = ", ".join(f"{n} = {p}" for n, p in zip(sets, places, strict=True))
        where = " AND ".join(f"{self.table.column(n)} = ?" for n in self.key_names)
        return f"UPDATE OR ABORT {self.table.sql} SET {assigned} WHERE {where}"

    def together(self, count: int) -> str:
        """One statement that updates `count` rows, with the same values to bind, row after row."""
        given = [
            f"proctor_rows.column{n + 1}" for n in range(len(self.names) + len(self.key_names))
        ]
        row = f"({', '.join('?' for _ in given)})"
        sets, keys = given[: len(self.names)], given[len(self.names) :]
        assigned = ", ".join(f"{ident(n)} = {s}" for n, s in zip(self.names, sets, strict=True))
        where = " AND ".join(
            f"{self.table.column(n)} = {k}" for n, k in zip(self.key_names, keys, strict=True)
        )
        return (
            f"UPDATE OR ABORT {self.table.sql} SET {assigned} "
            f"FROM (VALUES {', '.join([row] * count)}) AS proctor_rows WHERE {where}"
        )

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Values to bind, a tuple a row."""
        parts: list[Sequence[Any]] = []
        for i in range(len(self.key_names)):
            part = [k[i] for k in self.keys]
            parts.append(part if set(map(type, part)) <= {int} else [from_part(p) for p in part])
        return zip(*self.columns, *parts, strict=True)

    def some(self, positions: Sequence[int]) -> Batch:
        """The same batch with only these rows."""
        return Batch(
            table=self.table,
            key_names=self.key_names,
            names=self.names,
            keys=[self.keys[i] for i in positions],
            columns=[[c[i] for i in positions] for c in self.columns],
            insert=self.insert,
        )


def write(connection: sqlite3.Connection, batch: Batch) -> None:
    """Write every row of a batch, or raise: then the caller rolls back."""
    if not batch.keys:
        return
    rows = list(batch.rows())
    written = at = 0
    alone = batch.insert or batch.table.fires("UPDATE")
    sizes = [] if alone else list(_sizes(connection, rows))
    for size in sizes if sizes and _looks_up(connection, batch, rows[: sizes[0]]) else ():
        values = list(chain.from_iterable(rows[at : at + size]))
        written += connection.execute(batch.together(size), values).rowcount
        at += size
    if at < len(rows):
        plain = batch.statement(["?"] * len(batch.names))
        written += connection.executemany(plain, rows[at:]).rowcount
    if written != len(batch.keys):
        raise Ignored("the database left rows unwritten")


def _sizes(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> Iterator[int]:
    """How many rows each statement takes: few different numbers, so that they stay compiled."""
    fit = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // len(rows[0])
    size, left = MOST_AT_ONCE, len(rows)
    while size >= LEAST_AT_ONCE:
        if size <= min(left, fit):
            yield size
            left -= size
        else:
            size //= 2


def _looks_up(
    connection: sqlite3.Connection, batch: Batch, rows: Sequence[tuple[Any, ...]]
) -> bool:
    """Whether one statement for these rows finds each by its key.

    Where ANALYZE once found a single row, SQLite reads the whole table for each of them.
    """
    explained = f"EXPLAIN QUERY PLAN {batch.together(len(rows))}"
    plan = connection.execute(explained, list(chain.from_iterable(rows))).fetchall()
    by_key = f"SEARCH {batch.table.name} USING "
    built = f"{by_key}AUTOMATIC "
    return any(step.startswith(by_key) and not step.startswith(built) for *_, step in plan)


def write_mixed(connection: sqlite3.Connection, batch: Batch) -> None:
    """The same where some values are text that is not UTF-8: those rows go one by one."""
    raw = {i for c in batch.columns for i, v in enumerate(c) if isinstance(v, RawText)}
    if not raw:
        write(connection, batch)
        return
    write(connection, batch.some([i for i in range(len(batch.keys)) if i not in raw]))
    one_by_one = batch.some(sorted(raw))
    for row in one_by_one.rows():
        width = len(batch.names)
        places = ["CAST(? AS TEXT)" if isinstance(v, RawText) else "?" for v in row[:width]]
        values = [v.data if isinstance(v, RawText) else v for v in row]
        if connection.execute(batch.statement(places), values).rowcount != 1:
            raise Ignored("the database left a row unwritten")


def write_carefully(
    connection: sqlite3.Connection,
    batch: Batch,
    *,
    after: Callable[[Batch], None] = lambda _batch: None,
) -> dict[int, str]:
    """Write what can be written; positions of the rows that were refused, with the reason.

    Halves what is refused, each try in a savepoint, until single rows are left. `after` runs
    inside the savepoint and may refuse too. Errors of the whole database are raised.
    """
    refused: dict[int, str] = {}
    pending = [list(range(len(batch.keys)))]
    while pending:
        positions = pending.pop()
        if not positions:
            continue
        some = batch.some(positions)
        connection.execute("SAVEPOINT proctor_rows")
        try:
            write_mixed(connection, some)
            after(some)
            _check_deferred(connection, some)
        except Refusal as error:
            if not connection.in_transaction or not is_refusal(error):
                raise
            connection.execute("ROLLBACK TO proctor_rows")
            connection.execute("RELEASE proctor_rows")
            if len(positions) == 1:
                refused[positions[0]] = _why(error)
            else:
                middle = len(positions) // 2
                pending += [positions[middle:], positions[:middle]]
        else:
            connection.execute("RELEASE proctor_rows")
    return refused


def _why(error: Exception) -> str:
    if isinstance(error, Ignored):
        return "the database ignored the write: a trigger says RAISE(IGNORE) or moved the row"
    return reason(error)


def _check_deferred(connection: sqlite3.Connection, batch: Batch) -> None:
    """Find what COMMIT would refuse, while it can still be told which row it is."""
    table = batch.table
    if not table.defers:
        return
    touched = {*batch.names, *(batch.key_names if batch.insert else ())}
    for reference in table.refers:
        if touched.intersection(reference.columns) and _orphans(connection, batch, reference):
            raise sqlite3.IntegrityError("FOREIGN KEY constraint failed")
    for reference in table.referred:
        if not batch.insert and touched.intersection(reference.targets):
            wrong = connection.execute(
                f"SELECT 1 FROM pragma_foreign_key_check({ident(reference.table)})"
            ).fetchone()
            if wrong:
                raise sqlite3.IntegrityError("FOREIGN KEY constraint failed: it is referenced")


def _orphans(connection: sqlite3.Connection, batch: Batch, reference: Reference) -> bool:
    """Whether a row of the batch now refers to a parent that is not there."""
    table = batch.table
    parent = ident(reference.parent)
    columns = [table.column(c) for c in reference.columns]
    there = " AND ".join(
        f"proctor_parent.{ident(t)} = {c}" for t, c in zip(reference.targets, columns, strict=True)
    )
    filled = " AND ".join(f"{c} IS NOT NULL" for c in columns)
    for at in range(0, len(batch.keys), 5000):
        condition, values = among(
            [table.column(k) for k in batch.key_names], batch.keys[at : at + 5000]
        )
        found = connection.execute(
            f"SELECT 1 FROM {table.sql} WHERE {condition} AND {filled} AND NOT EXISTS "
            f"(SELECT 1 FROM {parent} AS proctor_parent WHERE {there}) LIMIT 1",
            values,
        ).fetchone()
        if found:
            return True
    return False
