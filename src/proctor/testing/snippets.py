"""Evaluates a backfill's pieces of SQL for one row in memory, as far as SQLite understands them."""

from __future__ import annotations

import contextlib
import json
import sqlite3

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from proctor.errors import UsageError


def evaluate(expression: str, row: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
    """An SQL expression over the columns of one row, with `:name` for parameters.

    Lists and dicts stand as JSON text, dates as ISO text, as SQLite would hold them. Raises
    UsageError where SQLite cannot evaluate it.
    """
    names = {column: f"proctor_column_{i}" for i, column in enumerate(row)}
    columns = ", ".join(f":{name} AS {_quoted(column)}" for column, name in names.items())
    values = {names[column]: _plain(value) for column, value in row.items()}
    with contextlib.closing(sqlite3.connect(":memory:")) as memory:
        try:
            found = memory.execute(
                f"SELECT ({expression}) FROM (SELECT {columns})", {**params, **values}
            ).fetchone()
        except sqlite3.Error as error:
            raise UsageError(
                "the kit evaluates SQL with SQLite, which does not understand this",
                found=f"{expression}: {error}",
                fix="for missing= and where= hand over rows that are eligible and say "
                "eligible=lambda row: True; try sql= with `proctor dry-run` on a real database",
            ) from error
    return found[0]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _plain(value: Any) -> Any:
    """A value as SQLite would hold it."""
    match value:
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return float(value)
        case UUID():
            return str(value)
        case Mapping() | list() | tuple():
            return json.dumps(value, default=_plain, ensure_ascii=False)
        case _:
            return value
