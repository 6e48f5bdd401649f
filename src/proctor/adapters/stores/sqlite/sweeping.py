"""What a run has not settled: eligible rows at its end, swept again or counted by reason."""

from __future__ import annotations

import sqlite3

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cmp_to_key, partial
from typing import Final

from proctor.adapters.stores.journal import unpack
from proctor.adapters.stores.records import to_json, unpack_issues
from proctor.adapters.stores.sqlite import tables
from proctor.adapters.stores.sqlite.claiming import add_key_chunks, conflicted_keys
from proctor.adapters.stores.sqlite.frame import Frame
from proctor.adapters.stores.sqlite.keys import among, compare, to_keys
from proctor.adapters.stores.sqlite.rows import framed
from proctor.adapters.stores.sqlite.session import Desk, Session
from proctor.adapters.stores.sqlite.units import unit_of_chunk
from proctor.errors import Fenced
from proctor.model import Bucket, Chunk, Key, Run, Spec

ARRIVED: Final = "arrived"
WRITTEN: Final = Bucket.WRITTEN.value
UNSETTLED: Final = {ARRIVED, Bucket.CONFLICTED.value}
"""Any other row has its bucket: read again it would stand in the books twice."""
AT_ONCE: Final = 5_000
RANGES_AT_ONCE: Final = 8
"""Ranges of chunks in one question: some ten thousand rows at most."""


async def sweep(desk: Desk[Session], run: Run, spec: Spec, number: int, rows: int) -> int:
    """Open chunks of the eligible keys that the run has not settled.

    They are looked up before the write lock is taken, so that nobody waits for it.
    """
    left: list[Key] = []
    async for some in _still_eligible(desk, run, spec):
        left += [key for key, fate in some if fate in UNSETTLED]
    return await desk.ask(_open, run, left, number, spec.chunk_rows(rows))


def _open(session: Session, run: Run, left: Sequence[Key], number: int, rows: int) -> int:
    with session.reading(session.quiet) as connection:
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


async def tally(desk: Desk[Session], run: Run, spec: Spec) -> Mapping[str, int]:
    """Rows of the target set still eligible, by what became of them in this run."""
    fates: Counter[str] = Counter()
    async for some in _still_eligible(desk, run, spec):
        fates.update(fate for _, fate in some)
    counts = dict(sorted(fates.items()))
    await desk.ask(_note, run, to_json(counts))
    return counts


def _note(session: Session, run: Run, counts: str) -> None:
    with session.writing() as connection:
        connection.execute(
            "UPDATE proctor_runs SET still_eligible = ? WHERE id = ? AND epoch = ?",
            (counts, run.id, run.epoch),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """Where to look: ranges of keys or, under listed keys or a limit, the keys one by one."""

    ranges: tuple[Chunk, ...]
    keys: tuple[Key, ...]
    listed: Mapping[Key, str]
    """What became of each key that a chunk listed: retries, sweeps and listed keys are few."""


async def _still_eligible(
    desk: Desk[Session], run: Run, spec: Spec
) -> AsyncIterator[list[tuple[Key, str]]]:
    """Every eligible key of the target set with its fate in this run, part by part.

    Each part is a question of its own: between two of them the heart can beat, others can
    write, and no time-out comes near however big the file is.
    """
    ground = await desk.ask(_ground, run, spec)
    for at in range(0, len(ground.keys), AT_ONCE):
        yield await desk.ask(_among, spec, ground.keys[at : at + AT_ONCE], ground.listed)
    for at in range(0, len(ground.ranges), RANGES_AT_ONCE):
        some = ground.ranges[at : at + RANGES_AT_ONCE]
        yield await desk.ask(_within, spec, some, ground.listed)


def _ground(session: Session, run: Run, spec: Spec) -> _Ground:
    listed: dict[Key, str] = {}
    ranges: list[Chunk] = []
    with session.reading(session.quiet) as connection:
        frame = framed(session, connection, spec).frame
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
                listed |= _fates(connection, chunk, emits=spec.emits)
    if run.span.keys or run.span.limit is not None:
        return _Ground(ranges=(), keys=run.span.keys or tuple(listed), listed=listed)
    return _Ground(ranges=(*ranges, *_behind(frame, run, ranges)), keys=(), listed=listed)


def _behind(frame: Frame, run: Run, ranges: Sequence[Chunk]) -> Iterator[Chunk]:
    """The end of the target set behind the last chunk: its last rows may have been deleted."""
    ends = sorted((c.upto for c in ranges), key=cmp_to_key(partial(compare, frame.key)))
    if run.last is not None and (not ends or compare(frame.key, ends[-1], run.last) < 0):
        yield Chunk(run=run.id, number=0, after=ends[-1] if ends else None, upto=run.last)


def _among(
    session: Session, spec: Spec, some: Sequence[Key], fates: Mapping[Key, str]
) -> list[tuple[Key, str]]:
    with session.reading(session.quiet) as connection:
        frame = framed(session, connection, spec).frame
        condition, values = among([k.sql for k in frame.key], some)
        keys = _select(session, connection, frame, condition, values)
    return [(key, fates.get(key, ARRIVED)) for key in keys]


def _within(
    session: Session, spec: Spec, some: Sequence[Chunk], listed: Mapping[Key, str]
) -> list[tuple[Key, str]]:
    """The blobs of a range are only unpacked where something of it is still eligible."""
    found: list[tuple[Key, str]] = []
    with session.reading(session.quiet) as connection:
        frame = framed(session, connection, spec).frame
        for chunk in some:
            if keys := _eligible(session, connection, frame, chunk):
                fates = _fates(connection, chunk, emits=spec.emits)
                found += [(k, listed.get(k) or fates.get(k, ARRIVED)) for k in keys]
    return found


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


def _fates(connection: sqlite3.Connection, chunk: Chunk, *, emits: bool) -> dict[Key, str]:
    """What became of each row of one chunk that was written or listed."""
    row = connection.execute(
        "SELECT issues, undo FROM proctor_chunks WHERE run = ? AND number = ?",
        (chunk.run, chunk.number),
    ).fetchone()
    issues, undo = row or (None, None)
    fates = {i.key: i.bucket.value for i in unpack_issues(issues)}
    if undo is not None:
        keys = [unit_of_chunk(connection, chunk.run, chunk.number)] if emits else unpack(undo).keys
        fates |= dict.fromkeys(keys, WRITTEN)
    return fates
