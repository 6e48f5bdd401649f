"""What a run has not settled: eligible rows at its end, swept again or counted by reason."""

from __future__ import annotations

import sqlite3

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cmp_to_key, partial
from typing import Final

from proctor.adapters.stores.journal import unpack
from proctor.adapters.stores.records import to_json, unpack_issues
from proctor.adapters.stores.sqlite import tables
from proctor.adapters.stores.sqlite.claiming import add_key_chunks, conflicted_keys
from proctor.adapters.stores.sqlite.frame import Frame
from proctor.adapters.stores.sqlite.keys import among, compare, to_keys
from proctor.adapters.stores.sqlite.rows import framed
from proctor.adapters.stores.sqlite.session import Session
from proctor.errors import Fenced
from proctor.model import Bucket, Chunk, Key, Run, Spec

ARRIVED: Final = "arrived"
WRITTEN: Final = Bucket.WRITTEN.value
SETTLED: Final = {
    Bucket.SKIPPED.value,
    Bucket.REFUSED.value,
    Bucket.FAILED.value,
    Bucket.UNCHANGED.value,
    WRITTEN,
}
AT_ONCE: Final = 5_000


def sweep(session: Session, run: Run, spec: Spec, number: int, rows: int) -> int:
    """Open chunks of the eligible keys that the run has not settled.

    They are looked up before the write lock is taken, so that nobody waits for it.
    """
    with session.reading(session.quiet) as connection:
        left = [k for k, fate in _still_eligible(session, run, spec) if fate not in SETTLED]
        conflicted = conflicted_keys(connection, run.id)
    with session.writing() as connection:
        row = connection.execute(
            "SELECT sweep FROM proctor_runs WHERE id = ? AND epoch = ? AND state = 'running'",
            (run.id, run.epoch),
        ).fetchone()
        if row is None:
            raise Fenced(f"run {run.id} grants no sweep", found="it has ended or changed hands")
        if row[0] >= number:
            return _swept(connection, run.id, number)
        connection.execute("UPDATE proctor_runs SET sweep = ? WHERE id = ?", (number, run.id))
        add_key_chunks(
            connection, run.id, left, size=max(1, rows), sweep=number, conflicted=conflicted
        )
        return len(left)


def _swept(connection: sqlite3.Connection, run: str, number: int) -> int:
    """How many keys a sweep that was made already had: its reply was lost."""
    (keys,) = connection.execute(
        "SELECT coalesce(sum(json_array_length(keys)), 0) FROM proctor_chunks "
        "WHERE run = ? AND sweep = ? AND attempt = 1 AND state <> 'split'",
        (run, number),
    ).fetchone()
    return int(keys)


def tally(session: Session, run: Run, spec: Spec) -> Mapping[str, int]:
    """Rows of the target set still eligible, by what became of them in this run."""
    with session.reading(session.quiet):
        fates = Counter(fate for _, fate in _still_eligible(session, run, spec))
    counts = dict(sorted(fates.items()))
    with session.writing() as connection:
        connection.execute(
            "UPDATE proctor_runs SET still_eligible = ? WHERE id = ?", (to_json(counts), run.id)
        )
    return counts


def _still_eligible(session: Session, run: Run, spec: Spec) -> Iterator[tuple[Key, str]]:
    """Every eligible key of the target set with its fate in this run, range by range.

    Chunks of explicit keys are looked up as a whole: retries, sweeps and listed keys are few.
    The blobs of a range are only unpacked where something of it is still eligible.
    """
    connection = session.quiet
    frame = framed(session, connection, spec).frame
    listed: dict[Key, str] = {}
    ranges: list[Chunk] = []
    rows = connection.execute(
        f"SELECT {tables.CHUNK_COLUMNS} FROM proctor_chunks "
        "WHERE run = ? AND state = 'applied' ORDER BY number",
        (run.id,),
    ).fetchall()
    for row in rows:
        chunk = tables.chunk_of(row)
        if chunk.keys is None:
            ranges.append(chunk)
        else:
            listed |= _fates(connection, chunk)
    if run.span.keys or run.span.limit is not None:
        every = run.span.keys or tuple(listed)
        yield from _among(session, connection, frame, every, listed)
        return
    for chunk in (*ranges, *_behind(frame, run, ranges)):
        keys = _eligible(session, connection, frame, chunk)
        if keys:
            fates = _fates(connection, chunk) | listed
            yield from ((k, fates.get(k, ARRIVED)) for k in keys)


def _behind(frame: Frame, run: Run, ranges: Sequence[Chunk]) -> Iterator[Chunk]:
    """The end of the target set behind the last chunk: its last rows may have been deleted."""
    ends = sorted((c.upto for c in ranges), key=cmp_to_key(partial(compare, frame.key)))
    if run.last is not None and (not ends or compare(frame.key, ends[-1], run.last) < 0):
        yield Chunk(run=run.id, number=0, after=ends[-1] if ends else None, upto=run.last)


def _among(
    session: Session,
    connection: sqlite3.Connection,
    frame: Frame,
    every: tuple[Key, ...],
    fates: Mapping[Key, str],
) -> Iterator[tuple[Key, str]]:
    for at in range(0, len(every), AT_ONCE):
        condition, values = among([k.sql for k in frame.key], every[at : at + AT_ONCE])
        for key in _select(session, connection, frame, condition, values):
            yield key, fates.get(key, ARRIVED)


def _eligible(
    session: Session, connection: sqlite3.Connection, frame: Frame, chunk: Chunk
) -> list[Key]:
    first = chunk.after is None
    after = session.start_of(chunk.run) if first else chunk.after
    condition, values = frame.between(after, chunk.upto, inclusive=first)
    return _select(session, connection, frame, condition, values)


def _select(
    session: Session,
    connection: sqlite3.Connection,
    frame: Frame,
    condition: str,
    values: Mapping[str, object],
) -> list[Key]:
    rows = session.fetch(
        connection,
        f"SELECT {', '.join(k.sql for k in frame.key)} FROM {frame.origin} "
        f"WHERE {condition} AND {frame.eligible} ORDER BY {frame.order}",
        {**values, **frame.values},
    )
    return to_keys(list(zip(*rows, strict=True))) if rows else []


def _fates(connection: sqlite3.Connection, chunk: Chunk) -> dict[Key, str]:
    """What became of each row of one chunk that was written or listed."""
    row = connection.execute(
        "SELECT issues, undo FROM proctor_chunks WHERE run = ? AND number = ?",
        (chunk.run, chunk.number),
    ).fetchone()
    issues, undo = row or (None, None)
    fates = {i.key: i.bucket.value for i in unpack_issues(issues)}
    if undo is not None:
        fates |= dict.fromkeys(unpack(undo).keys, WRITTEN)
    return fates
