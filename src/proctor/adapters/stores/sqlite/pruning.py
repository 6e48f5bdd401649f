"""Forget images: by age, by run, or of single rows."""

from __future__ import annotations

import sqlite3

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from proctor.adapters.stores.journal import pack, subset, unpack
from proctor.adapters.stores.records import time_to_text
from proctor.adapters.stores.sqlite import tables
from proctor.adapters.stores.sqlite.session import Session
from proctor.model import Key

BLOBS_AT_ONCE = 50
"""Journals rewritten in one transaction, so that no writer waits long."""


def prune(
    session: Session, *, older_than: datetime | None, run: str | None, keys: Sequence[Key]
) -> int:
    """How many rows can no longer be undone; what is forgotten is overwritten on disk."""
    if not tables.ready(session.quiet):
        return 0
    where, values = "undo IS NOT NULL", list[Any]()
    if older_than is not None:
        where += " AND applied < ?"
        values.append(time_to_text(older_than))
    if run is not None:
        where += " AND run = ?"
        values.append(tables.find_run(session.quiet, run).id)
    chosen = session.quiet.execute(
        f"SELECT run, number FROM proctor_chunks WHERE {where} ORDER BY run, number", values
    ).fetchall()
    session.main.execute("PRAGMA secure_delete = ON")
    forgotten = 0
    wanted = set(keys)
    for at in range(0, len(chosen), BLOBS_AT_ONCE):
        with session.writing() as connection:
            for id_, number in chosen[at : at + BLOBS_AT_ONCE]:
                forgotten += _forget(connection, id_, number, wanted)
    return forgotten


def _forget(connection: sqlite3.Connection, run: str, number: int, keys: set[Key]) -> int:
    """Forget the whole journal of a chunk, or of these keys in it."""
    row = connection.execute(
        "SELECT undo, undone FROM proctor_chunks WHERE run = ? AND number = ? AND undo IS NOT NULL",
        (run, number),
    ).fetchone()
    if row is None:
        return 0
    journal = unpack(row[0])
    rest = [i for i, k in enumerate(journal.keys) if keys and k not in keys]
    gone = len(journal.keys) - len(rest)
    if not gone:
        return 0
    blob = pack(subset(journal, rest)) if rest else None
    connection.execute(
        "UPDATE proctor_chunks SET undo = ?, has_undo = ? WHERE run = ? AND number = ?",
        (blob, int(blob is not None), run, number),
    )
    return 0 if row[1] else gone
