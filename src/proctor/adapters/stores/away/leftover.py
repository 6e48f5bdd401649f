"""What a run left: sweeps over unsettled rows, rows still eligible by reason, pruning."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from proctor.adapters.stores import journal, records
from proctor.adapters.stores.away import chunks, tables
from proctor.adapters.stores.away.data import Bound, Data
from proctor.adapters.stores.away.progress import Progress
from proctor.adapters.stores.away.tables import CHUNKS, RUNS
from proctor.model import Bucket, Chunk, ChunkState, Key, Run, RunState, Spec

ARRIVED: Final = "arrived"
WRITTEN: Final = Bucket.WRITTEN.value


async def tally(progress: Progress, data: Data, run: Run, spec: Spec) -> Mapping[str, int]:
    """Rows of the target set that are eligible now, by why this run left them so."""
    counts: Counter[str] = Counter()
    async for page, fates in _with_fates(progress, data, run, spec):
        counts.update(fates.get(key, ARRIVED) for key in page)
    found = {reason: counts[reason] for reason in sorted(counts)}
    kept = records.to_json(found)
    mine = sa.update(RUNS).where(RUNS.c.id == run.id, RUNS.c.epoch == run.epoch)
    await progress.write(lambda c: c.execute(mine.values(still_eligible=kept)).rowcount)
    return found


async def sweep(
    progress: Progress, data: Data, run: Run, spec: Spec, *, number: int, rows: int
) -> int:
    """Open chunks of the eligible keys that the run has not settled; how many keys."""
    conflicted = set(await progress.read(lambda c: chunks.conflicts(c, run.id)))
    left: list[Key] = []
    async for page, fates in _with_fates(progress, data, run, spec):
        unsettled = [k for k in page if fates.get(k, "conflicted") == "conflicted"]
        # A limit is a number of rows read: only rows that were counted already are read again.
        limited = run.span.limit is not None
        left += [k for k in unsettled if k in conflicted] if limited else unsettled
    made = [
        Chunk(
            run=run.id,
            number=0,
            after=left[at - 1] if at else None,
            upto=left[min(at + rows, len(left)) - 1],
            keys=tuple(left[at : at + rows]),
            sweep=number,
            revisited=sum(1 for k in left[at : at + rows] if k in conflicted),
        )
        for at in range(0, len(left), rows)
    ]
    return await progress.write(lambda c: _open(c, run, number, made))


def _open(connection: sa.Connection, run: Run, number: int, made: Sequence[Chunk]) -> int:
    mine = [RUNS.c.id == run.id, RUNS.c.epoch == run.epoch]
    mine.append(RUNS.c.state == RunState.RUNNING.value)
    state = connection.execute(sa.select(RUNS.c.sweep).where(*mine).with_for_update()).scalar()
    if state is None:
        raise chunks.fenced(run.id)
    if state >= number:
        # It was made already: the reply was lost.
        query = sa.select(CHUNKS.c["keys"]).where(
            CHUNKS.c.run == run.id, CHUNKS.c.sweep == number, CHUNKS.c.attempt == 1
        )
        listed = connection.execute(query).scalars()
        return sum(len(records.keys_from_json(keys) or ()) for keys in listed)
    connection.execute(sa.update(RUNS).where(RUNS.c.id == run.id).values(sweep=number))
    if made:
        first = chunks.number(connection, run.id, len(made))
        rows = [tables.new_chunk(c) | {"number": first + i} for i, c in enumerate(made)]
        connection.execute(sa.insert(CHUNKS), rows)
    return sum(len(c.keys or ()) for c in made)


async def _with_fates(
    progress: Progress, data: Data, run: Run, spec: Spec
) -> AsyncIterator[tuple[list[Key], dict[Key, str]]]:
    """Pages of eligible keys, each with how the run's applied chunks say that they ended."""
    bounds = await progress.read(lambda c: _bounds(c, run.id))
    async for page in data.eligible(spec, run):
        fates: dict[Key, str] = {}
        for number in await data.meeting(spec, bounds, page[0], page[-1]):
            fates |= await progress.read(lambda c, n=number: _fates(c, run.id, n))  # type: ignore[misc]
        yield page, fates


def _bounds(connection: sa.Connection, run: str) -> list[Bound]:
    query = sa.select(CHUNKS.c.number, CHUNKS.c.after, CHUNKS.c.upto)
    applied = CHUNKS.c.state == ChunkState.APPLIED.value
    found = connection.execute(query.where(CHUNKS.c.run == run, applied))
    return [(row.number, row.after, row.upto) for row in found]


def _fates(connection: sa.Connection, run: str, number: int) -> dict[Key, str]:
    query = sa.select(CHUNKS.c.undo, CHUNKS.c.issues)
    row = connection.execute(query.where(CHUNKS.c.run == run, CHUNKS.c.number == number)).one()
    found = {i.key: i.bucket.value for i in records.unpack_issues(row.issues)}
    if row.undo is not None:
        found |= dict.fromkeys(journal.unpack(row.undo).keys, WRITTEN)
    return found


def prune(
    connection: sa.Connection,
    home: str,
    *,
    older_than: datetime | None,
    run: str | None,
    keys: Sequence[Key],
) -> int:
    """Forget images; how many rows can no longer be undone because of it."""
    mine = CHUNKS.c.run.in_(sa.select(RUNS.c.id).where(RUNS.c.home == home))
    where: list[Any] = [mine, CHUNKS.c.undo.is_not(None), CHUNKS.c.token.is_(None)]
    if run is not None:
        where.append(CHUNKS.c.run == run)
    if older_than is not None:
        where.append(CHUNKS.c.applied < records.time_to_text(older_than))
    query = sa.select(CHUNKS.c.run, CHUNKS.c.number).where(*where)
    # In order, so that two who prune at once cannot each wait for the other.
    found = connection.execute(query.order_by(CHUNKS.c.run, CHUNKS.c.number)).all()
    wanted = set(keys) if keys else None
    return sum(_forget(connection, row.run, row.number, wanted) for row in found)


def _forget(connection: sa.Connection, run: str, number: int, wanted: set[Key] | None) -> int:
    at = (CHUNKS.c.run == run, CHUNKS.c.number == number)
    query = sa.select(CHUNKS.c.undo, CHUNKS.c.undone).where(*at)
    row = connection.execute(query.with_for_update()).one()
    undo = journal.unpack(row.undo)
    rest = [p for p, key in enumerate(undo.keys) if wanted is not None and key not in wanted]
    lost = len(undo.keys) - len(rest)
    if lost:
        smaller = journal.pack(journal.subset(undo, rest)) if rest else None
        connection.execute(
            sa.update(CHUNKS)
            .where(*at)
            .values(undo=smaller, undo_rows=len(rest), fence=CHUNKS.c.fence + 1)
        )
    return 0 if row.undone else lost
