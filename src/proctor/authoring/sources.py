"""Where the rows come from: a table or a query, with the key in whose order they are scanned."""

from __future__ import annotations

import re

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from proctor.authoring.given import condition, names, short, text
from proctor.errors import DefinitionError
from proctor.model import Guard, KeyPart


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table and its key; made by `table()`."""

    name: str
    key: tuple[KeyPart, ...]
    columns: tuple[str, ...] | None = None
    where: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A SELECT and the columns of it that are its key; made by `query()`."""

    sql: str
    key: tuple[KeyPart, ...]
    guard: Guard = Guard.ROWS
    row_version: str | None = None
    where: str | None = None


@overload
def table(
    name: str, *, key: str, columns: Sequence[str] | None = None, where: str | None = None
) -> Table: ...


@overload
def table(
    name: str, *, key: Sequence[str], columns: Sequence[str] | None = None, where: str | None = None
) -> Table: ...


def table(
    name: str,
    *,
    key: str | Sequence[str] = (),
    columns: Sequence[str] | None = None,
    where: str | None = None,
) -> Table:
    """Rows of a table, `name` or `schema.name`.

    key: the column, or the columns, that are unique and never null; the rows are scanned in
    its order. A minus scans descending: `"-id"`, `("year", "-month")`.
    columns: what the function gets to see; None for every column.
    where: an SQL condition; rows outside it do not exist for the backfill. `:name` stands for
    a parameter.

        table("songs", key="id", columns=("id", "title"), where="NOT placeholder")

    Raises DefinitionError.
    """
    right = 'table("wardrobe", key="id")'
    text("the table's name", name, right)
    return Table(
        name=name,
        key=_key(key, f"table({name!r}, key=…)", right),
        columns=None if columns is None else names("columns", columns, right),
        where=condition("where", where),
    )


@overload
def query(
    sql: str,
    *,
    key: str,
    guard: str = "rows",
    row_version: str | None = None,
    where: str | None = None,
) -> Query: ...


@overload
def query(
    sql: str,
    *,
    key: Sequence[str],
    guard: str = "rows",
    row_version: str | None = None,
    where: str | None = None,
) -> Query: ...


def query(
    sql: str,
    *,
    key: str | Sequence[str] = (),
    guard: str = "rows",
    row_version: str | None = None,
    where: str | None = None,
) -> Query:
    """Rows of a SELECT; what is computed goes to another table (`into=`).

    key: as for `table()`, columns of the result.
    row_version: the column of the result that changes whenever the row does; a row whose
    version moved between our read and our write is computed again. Without one, write
    `guard="target"`: then only the row that is written is guarded, and the report says so.

        query("SELECT s.id, s.title, a.name FROM songs s JOIN artists a ON a.id = s.artist",
              key="id", guard="target")

    Raises DefinitionError.
    """
    right = 'query("SELECT id, title FROM songs", key="id", guard="target")'
    text("the SQL of a query", sql, right)
    body = sql.strip()
    if not re.match(r"(?i)(select|with)\b", body) or body.endswith(";"):
        raise DefinitionError(
            "a query is one SELECT, without a semicolon at its end",
            found=short(body),
            fix=right,
        )
    if guard not in tuple(Guard):
        raise DefinitionError(
            "a query's guard is 'rows' or 'target'", found=f"guard={guard!r}", fix=right
        )
    if guard == Guard.ROWS and row_version is None:
        raise DefinitionError(
            "the rows of a query carry no version, so a change of one could not be seen",
            found="neither row_version= nor guard='target'",
            fix='name a column that changes with the row: row_version="updated_at"; '
            'or guard only the row that is written: guard="target"',
        )
    if row_version is not None:
        text("row_version", row_version, 'row_version="updated_at"')
    return Query(
        sql=body,
        key=_key(key, "query(…, key=…)", right),
        guard=Guard(guard),
        row_version=row_version,
        where=condition("where", where),
    )


def _key(key: object, where: str, right: str) -> tuple[KeyPart, ...]:
    given = names("key", key, right)
    parts = tuple(
        KeyPart(column=name.removeprefix("-"), descending=name.startswith("-")) for name in given
    )
    columns = [part.column for part in parts]
    if "" in columns or len(set(columns)) != len(columns):
        raise DefinitionError(
            f"{where}: a key names each of its columns once",
            found=f"key={key!r}",
            fix='key="id", descending key="-id", of two columns key=("year", "-month")',
        )
    return parts
