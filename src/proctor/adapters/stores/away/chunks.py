"""Chunks in the ledger's database: claimed, cut, handed back, split, listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import sqlalchemy as sa

from proctor.adapters.stores import records
from proctor.adapters.stores.away import tables
from proctor.adapters.stores.away.tables import CHUNKS, RUNS
from proctor.errors import Fenced
from proctor.model import Bucket, Chunk, ChunkRecord, ChunkState, Issue, Key, Lease, Run, RunState

Half: TypeAlias = tuple[Key | None, Key, tuple[Key, ...] | None]
"""One half of a chunk that is cut: after, upto, and its listed keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What a worker asks for."""

    worker: str
    count: int
    rows: int
    lease_for: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far the key space has been cut: up to which key, how many listed keys, whether all."""

    at: Key | None
    cut: int
    exhausted: bool


def fenced(run: str, number: int | None = None) -> Fenced:
    """Somebody newer owns the run or the chunk."""
    what = f"run {run}" if number is None else f"chunk {number} of run {run}"
    return Fenced(f"{what} is no longer ours", found="a newer claim, or the run is closed")


def _mine(run: Run) -> sa.ColumnElement[bool]:
    return sa.and_(
        RUNS.c.id == run.id, RUNS.c.epoch == run.epoch, RUNS.c.state == RunState.RUNNING.value
    )


def _at(run: str, number: int) -> sa.ColumnElement[bool]:
    return sa.and_(CHUNKS.c.run == run, CHUNKS.c.number == number)


def _over(moment: datetime) -> sa.ColumnElement[bool]:
    """Whether a claim's lease has run out."""
    late = CHUNKS.c.claimed_until < records.time_to_text(moment)
    return sa.and_(CHUNKS.c.state == ChunkState.CLAIMED.value, late)


def in_doubt(connection: sa.Connection, run: str, *, expired: bool = False) -> list[int]:
    """Numbers of the chunks of a run with an intent that nobody has settled."""
    query = sa.select(CHUNKS.c.number).where(CHUNKS.c.run == run, CHUNKS.c.token.is_not(None))
    if expired:
        query = query.where(_over(tables.clock(connection)))
    return list(connection.execute(query.order_by(CHUNKS.c.number)).scalars())


def take(connection: sa.Connection, run: Run, want: Want) -> tuple[list[Lease], Cursor]:
    """Chunks that are open or whose claim ran out, and where new ones would begin.

    A chunk with an intent is passed over: it is settled before anybody may have it.
    """
    state = connection.execute(
        sa.select(RUNS.c.exhausted, RUNS.c.cursor, RUNS.c.cut).where(_mine(run)).with_for_update()
    ).one_or_none()
    if state is None:
        raise fenced(run.id)
    now = tables.clock(connection)
    free = sa.or_(CHUNKS.c.state == ChunkState.OPEN.value, _over(now))
    numbers = connection.execute(
        sa.select(CHUNKS.c.number)
        .where(CHUNKS.c.run == run.id, CHUNKS.c.token.is_(None), free)
        .order_by(CHUNKS.c.number)
        .limit(want.count)
    ).scalars()
    listed = list(numbers)
    if listed:
        connection.execute(
            sa.update(CHUNKS)
            .where(CHUNKS.c.run == run.id, CHUNKS.c.number.in_(listed))
            .values(fence=CHUNKS.c.fence + 1, **_claimed(want, now))
        )
    cursor = Cursor(
        at=records.key_from_json(state.cursor), cut=state.cut, exhausted=state.exhausted
    )
    return leases(connection, run.id, listed), cursor


def _claimed(want: Want, now: datetime) -> dict[str, Any]:
    return {
        "state": ChunkState.CLAIMED.value,
        "worker": want.worker,
        "claimed_until": records.time_to_text(now + want.lease_for),
    }


def leases(connection: sa.Connection, run: str, numbers: Sequence[int]) -> list[Lease]:
    """The claims on these chunks, in order."""
    if not numbers:
        return []
    query = sa.select(*tables.RECORD).where(CHUNKS.c.run == run, CHUNKS.c.number.in_(numbers))
    found = connection.execute(query.order_by(CHUNKS.c.number)).mappings()
    return [tables.lease_of(row) for row in found]


def extend(
    connection: sa.Connection,
    run: Run,
    want: Want,
    then: tuple[Cursor, Cursor],
    found: Sequence[Chunk],
) -> list[Lease] | None:
    """Keep chunks cut behind a cursor, claimed; None where somebody else cut there meanwhile.

    `then` is the cursor at which they were cut and the one behind them.
    """
    before, after = then
    at = records.key_to_json(before.at)
    same = RUNS.c.cursor.is_(None) if at is None else RUNS.c.cursor == at
    first = connection.execute(
        sa.select(RUNS.c.chunks)
        .where(_mine(run), same, RUNS.c.cut == before.cut, RUNS.c.exhausted.is_(sa.false()))
        .with_for_update()
    ).scalar()
    if first is None:
        return None
    connection.execute(
        sa.update(RUNS)
        .where(RUNS.c.id == run.id)
        .values(
            cursor=records.key_to_json(after.at),
            cut=after.cut,
            exhausted=after.exhausted,
            chunks=first + len(found),
        )
    )
    if not found:
        return []
    now = tables.clock(connection)
    made = [replace(chunk, number=first + 1 + i) for i, chunk in enumerate(found)]
    rows = [tables.new_chunk(c, fence=1, **_claimed(want, now)) for c in made]
    connection.execute(sa.insert(CHUNKS), rows)
    return leases(connection, run.id, [c.number for c in made])


def number(connection: sa.Connection, run: str, count: int = 1) -> int:
    """Take the next `count` numbers of a run's chunks; the first of them."""
    connection.execute(sa.update(RUNS).where(RUNS.c.id == run).values(chunks=RUNS.c.chunks + count))
    last: int = connection.execute(sa.select(RUNS.c.chunks).where(RUNS.c.id == run)).scalar_one()
    return last - count + 1


def again(connection: sa.Connection, lease: Lease, lease_for: timedelta) -> Lease | None:
    """A new claim on a chunk whose doubt is settled; None where its write took place."""
    chunk = lease.chunk
    row = connection.execute(
        sa.select(CHUNKS.c.state, CHUNKS.c.fence, CHUNKS.c.token)
        .where(_at(chunk.run, chunk.number))
        .with_for_update()
    ).one_or_none()
    if row is not None and row.state == ChunkState.APPLIED.value:
        return None
    if row is None or row.state != ChunkState.CLAIMED.value or row.fence != lease.fence:
        raise fenced(chunk.run, chunk.number)
    until = records.time_to_text(tables.clock(connection) + lease_for)
    connection.execute(
        sa.update(CHUNKS)
        .where(_at(chunk.run, chunk.number))
        .values(fence=lease.fence + 1, claimed_until=until)
    )
    return leases(connection, chunk.run, [chunk.number])[0]


def release(connection: sa.Connection, handed: Sequence[Lease]) -> None:
    """Open again, under a fence that keeps a late write out."""
    for run in sorted({lease.chunk.run for lease in handed}):
        tables.hold(connection, run)
    for lease in handed:
        connection.execute(
            sa.update(CHUNKS)
            .where(_held(lease))
            .values(state=ChunkState.OPEN.value, fence=lease.fence + 1, claimed_until=None)
        )


def _held(lease: Lease) -> sa.ColumnElement[bool]:
    return sa.and_(
        _at(lease.chunk.run, lease.chunk.number),
        CHUNKS.c.fence == lease.fence,
        CHUNKS.c.state == ChunkState.CLAIMED.value,
        CHUNKS.c.token.is_(None),
    )


def check(connection: sa.Connection, lease: Lease) -> None:
    """Fenced unless the chunk is ours and nothing of it is in doubt."""
    if connection.execute(sa.select(CHUNKS.c.number).where(_held(lease))).scalar() is None:
        raise fenced(lease.chunk.run, lease.chunk.number)


def split(connection: sa.Connection, lease: Lease, halves: Sequence[Half]) -> None:
    """Two open chunks in place of one."""
    chunk = lease.chunk
    tables.hold(connection, chunk.run)
    taken = connection.execute(
        sa.update(CHUNKS)
        .where(_held(lease))
        .values(state=ChunkState.SPLIT.value, claimed_until=None)
    )
    if not taken.rowcount:
        raise fenced(chunk.run, chunk.number)
    before = conflicts(connection, chunk.run) if chunk.revisited else {}
    first = number(connection, chunk.run, len(halves))
    made = [
        replace(
            chunk,
            number=first + i,
            after=after,
            upto=upto,
            keys=keys,
            revisited=sum(1 for key in keys or () if key in before),
        )
        for i, (after, upto, keys) in enumerate(halves)
    ]
    connection.execute(sa.insert(CHUNKS), [tables.new_chunk(c) for c in made])


def listing(connection: sa.Connection, run: str) -> list[ChunkRecord]:
    """Every chunk of a run in order of number."""
    query = sa.select(*tables.RECORD).where(CHUNKS.c.run == run).order_by(CHUNKS.c.number)
    return [tables.record_of(row) for row in connection.execute(query).mappings()]


def left_alone(connection: sa.Connection, run: str) -> dict[int, list[Issue]]:
    """By chunk, the rows that undoing it left alone."""
    query = sa.select(CHUNKS.c.number, CHUNKS.c.undo_left).order_by(CHUNKS.c.number)
    found = connection.execute(query.where(CHUNKS.c.run == run, CHUNKS.c.undo_left.is_not(None)))
    return {row.number: records.unpack_issues(row.undo_left) for row in found}


def issues(connection: sa.Connection, run: str) -> list[Issue]:
    """Rows that were read and not written; a conflict that a later chunk settled is no more."""
    left = conflicts(connection, run)
    others = [
        issue
        for row in _reported(connection, run)
        for issue in records.unpack_issues(row.issues)
        if issue.bucket is not Bucket.CONFLICTED
    ]
    return [*others, *left.values()]


def conflicts(connection: sa.Connection, run: str) -> dict[Key, Issue]:
    """Rows that are conflicted as the run's books stand."""
    found: dict[Key, Issue] = {}
    for row in _reported(connection, run):
        if row.revisited:
            for key in records.keys_from_json(row.listed) or ():
                found.pop(key, None)
        for issue in records.unpack_issues(row.issues):
            if issue.bucket is Bucket.CONFLICTED:
                found[issue.key] = issue
    return found


def _reported(connection: sa.Connection, run: str) -> Sequence[Any]:
    told = sa.or_(CHUNKS.c.issues.is_not(None), CHUNKS.c.revisited > 0)
    applied = CHUNKS.c.state == ChunkState.APPLIED.value
    return connection.execute(
        sa.select(CHUNKS.c["keys"].label("listed"), CHUNKS.c.issues, CHUNKS.c.revisited)
        .where(CHUNKS.c.run == run, applied, told)
        .order_by(CHUNKS.c.number)
    ).all()
