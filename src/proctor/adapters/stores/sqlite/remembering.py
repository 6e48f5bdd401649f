"""What the chunks remember of what was written and undone, for people to look at."""

from __future__ import annotations

from dataclasses import replace

from proctor.adapters.stores.journal import some, unpack
from proctor.adapters.stores.records import unpack_issues
from proctor.adapters.stores.sqlite import tables
from proctor.adapters.stores.sqlite.session import Session
from proctor.adapters.stores.sqlite.undoing import spec_of
from proctor.adapters.stores.sqlite.values import legible
from proctor.model import Issue, Journalled, Key, Run, Spec


def written_keys(session: Session, run: Run, number: int) -> list[Key]:
    """The keys that one chunk wrote and that can still be undone."""
    with session.reading(session.quiet) as connection:
        row = connection.execute(
            "SELECT undo FROM proctor_chunks WHERE run = ? AND number = ? AND NOT undone "
            "AND undo IS NOT NULL",
            (run.id, number),
        ).fetchone()
        return list(unpack(row[0]).keys) if row else []


def left_alone(session: Session, run: str) -> dict[int, list[Issue]]:
    """By chunk, the rows that undoing it left alone."""
    with session.reading(session.quiet) as connection:
        if not tables.ready(connection) or not tables.keeps_undo_books(connection):
            return {}
        found = connection.execute(
            "SELECT number, undo_left FROM proctor_chunks WHERE run = ? "
            "AND undo_left IS NOT NULL ORDER BY number",
            (run,),
        ).fetchall()
    return {number: unpack_issues(left) for number, left in found}


def journalled(session: Session, run: Run, number: int, count: int) -> list[Journalled]:
    """A few rows of one chunk's journal; here the images of fields are never digests."""
    with session.reading(session.quiet) as connection:
        row = connection.execute(
            "SELECT undo FROM proctor_chunks WHERE run = ? AND number = ? AND undo IS NOT NULL",
            (run.id, number),
        ).fetchone()
        if row is None:
            return []
        return shown(row[0], spec_of(connection, run.id), count)


def shown(data: bytes, spec: Spec, count: int) -> list[Journalled]:
    """A few rows of a journal, as people read them."""
    return [
        replace(
            row,
            before=None if row.before is None else tuple(map(legible, row.before)),
            after=None if row.after is None else tuple(map(legible, row.after)),
        )
        for row in some(unpack(data), count, len(spec.writes))
    ]
