"""Counts by a user's own SELECT, on a connection that lets nothing but reading through."""

from __future__ import annotations

import contextlib
import sqlite3
import time

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from proctor.adapters.stores.counts import counts, iso, placed, refused
from proctor.adapters.stores.sqlite.faults import primary
from proctor.adapters.stores.sqlite.session import STEPS_BETWEEN_LOOKS, Session
from proctor.model import Scalar

_READS: Final = frozenset(
    (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
)


def figures(
    session: Session,
    sql: str,
    told: Mapping[str, Scalar | datetime],
    within: timedelta | None,
) -> dict[str, int]:
    """See the port."""
    if within is not None:
        session.deadline = time.monotonic() + within.total_seconds()
    values: dict[str, Any] = {
        f"p_{name}": iso(value) if isinstance(value, datetime) else value
        for name, value in told.items()
    }
    with session.reading(session.quiet) as connection, _reading_only(session, connection):
        cursor = _asked(connection, placed(sql, told, ":p_{}".format), values)
        if cursor.description is None:
            raise refused("gives no rows at all")
        names = [column[0] for column in cursor.description]
        return counts(names, cursor.fetchmany(2))


def _asked(connection: sqlite3.Connection, sql: str, values: dict[str, Any]) -> sqlite3.Cursor:
    try:
        return connection.execute(sql, values)
    except sqlite3.DatabaseError as error:
        if primary(error) != sqlite3.SQLITE_AUTH:
            raise
        raise refused("may only read", str(error)) from None


@contextlib.contextmanager
def _reading_only(session: Session, connection: sqlite3.Connection) -> Iterator[None]:
    """For one statement: it may only read, and only for as long as it may take.

    `query_only` alone would not do: a statement can switch it off, and the next one would write.
    """

    def judge(action: int, *_what: str | None) -> int:
        return sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY

    # SQLite makes its JSON tables at their first use, which looks like a CREATE to the judge.
    connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')")
    connection.set_authorizer(judge)
    connection.set_progress_handler(session.late, STEPS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        connection.set_authorizer(None)
        session.leave_time(connection)
