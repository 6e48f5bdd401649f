"""Forget images: by age, by run, or of single rows."""

from __future__ import annotations

import sqlite3

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from proctor.adapters.stores.journal import pack, subset, unpack
from proctor.adapters.stores.records import time_to_text
from proctor.adapters.stores.sqlite import tables
from proctor.adapters.stores.sqlite.keys import ranks
from proctor.adapters.stores.sqlite.rows import framed
from proctor.adapters.stores.sqlite.session import Session
from proctor.adapters.stores.sqlite.undoing import spec_of
from proctor.adapters.stores.sqlite.units import unit_of_chunk
from proctor.errors import TargetError
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
    same = {id_: sameness(session, id_) if keys else as_is for id_ in {r for r, _ in chosen}}
    for at in range(0, len(chosen), BLOBS_AT_ONCE):
        with session.writing() as connection:
            tables.upgrade(connection)
            for id_, number in chosen[at : at + BLOBS_AT_ONCE]:
                forgotten += _forget(connection, id_, number, keys, same[id_])
    return forgotten


def as_is(key: Key) -> Any:
    """Two keys are one where they are equal."""
    return key


def sameness(session: Session, run: str) -> Callable[[Key], Any]:
    """What makes two keys one: the file's own comparison, while the run's table is there."""
    try:
        frame = framed(session, session.quiet, spec_of(session.quiet, run)).frame
    except TargetError:
        return as_is
    return lambda key: ranks(frame.key, key)


def _forget(
    connection: sqlite3.Connection,
    run: str,
    number: int,
    keys: Sequence[Key],
    same: Callable[[Key], Any],
) -> int:
    """Forget the whole journal of a chunk, or of these keys in it."""
    row = connection.execute(
        "SELECT undo, undone FROM proctor_chunks WHERE run = ? AND number = ? AND undo IS NOT NULL",
        (run, number),
    ).fetchone()
    if row is None:
        return 0
    journal = unpack(row[0])
    wanted = {same(k) for k in keys}
    if keys and spec_of(connection, run).emits:  # the keys are those of units
        if same(unit_of_chunk(connection, run, number)) not in wanted:
            return 0
        keys = ()
    rest = [i for i, k in enumerate(journal.keys) if keys and same(k) not in wanted]
    gone = len(journal.keys) - len(rest)
    if not gone:
        return 0
    blob = pack(subset(journal, rest)) if rest else None
    connection.execute(
        "UPDATE proctor_chunks SET undo = ?, has_undo = ?, undo_rows = ? "
        "WHERE run = ? AND number = ?",
        (blob, int(blob is not None), len(rest), run, number),
    )
    return 0 if row[1] else gone
