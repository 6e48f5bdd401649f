"""Chunks change hands: claimed, claimed again, cut in two, handed back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from proctor.adapters.stores import records
from proctor.adapters.stores.postgres import tables, tried
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.literal import text
from proctor.adapters.stores.postgres.pool import Pool, Transaction
from proctor.adapters.stores.postgres.stretches import stretches
from proctor.errors import Fenced, TargetError
from proctor.model import Chunk, ChunkState, Issue, Key, Lease, Page, Run, RunState

TAKEN = f"{tables.CHUNK}, fence, worker, claimed_until"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far the key space has been cut: up to which key, how many listed keys, whether all."""

    at: Key | None
    cut: int
    exhausted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """What a worker asks for."""

    worker: str
    count: int
    rows: int
    lease: timedelta


async def claim(pool: Pool, binding: Binding, run: Run, want: Want) -> list[Lease]:
    """Open and expired chunks first, then new ones cut from the key space behind the cursor."""
    async with pool.write(run.id, control=True) as work:
        lost = await _expired(work, binding, run)
        cursor, old = await _take(work, run, want)
        await tried.lose(work, binding.spec, run.id, lost & {row[1] for row in old})
        leases = [lease_of(row) for row in old]
        need = want.count - len(leases)
        if need <= 0 or cursor.exhausted:
            await work.commit()
            return leases
        chunks, moved = await cut(work, binding, run, replace(want, count=need), cursor)
        if chunks:
            return [*leases, *await _insert(work, run, chunks, want, moved)]
        await work.commit(f"UPDATE proctor.runs SET exhausted = true WHERE id = {text(run.id)}")
        return leases


async def _expired(work: Transaction, binding: Binding, run: Run) -> set[int]:
    """Units that somebody had claimed and said nothing of since; under the lock on the run's row.

    Rows have no attempts: nobody asks for theirs.
    """
    if not binding.spec.attempts:
        return set()
    _, found = await work.run(
        f"SELECT FROM proctor.runs WHERE id = {text(run.id)} FOR NO KEY UPDATE;\n"
        f"SELECT number FROM proctor.chunks WHERE run = {text(run.id)} "
        f"AND state = 'claimed' AND claimed_until < pg_catalog.clock_timestamp()"
    )
    return {number for (number,) in found}


async def _take(
    work: Transaction, run: Run, want: Want
) -> tuple[Cursor, Sequence[tuple[Any, ...]]]:
    """Lock the run's row, then take what is open or whose claim ran out, in one message.

    A chunk that an apply has locked at this moment is passed over: it is about to be settled.
    """
    mine = f"id = {text(run.id)} AND epoch = {run.epoch} AND state = {text(RunState.RUNNING.value)}"
    state, taken = await work.run(
        f"SELECT exhausted, cursor, cut FROM proctor.runs WHERE {mine} FOR NO KEY UPDATE;\n"
        f"UPDATE proctor.chunks SET state = 'claimed', fence = fence + 1, "
        f"worker = {text(want.worker)}, claimed_until = {tables.until(want.lease)} "
        f"WHERE run = {text(run.id)} AND number IN ("
        f"SELECT number FROM proctor.chunks WHERE run = {text(run.id)} "
        f"AND (state = 'open' OR state = 'claimed' "
        f"AND claimed_until < pg_catalog.clock_timestamp()) "
        f"ORDER BY number LIMIT {want.count} FOR NO KEY UPDATE SKIP LOCKED) RETURNING {TAKEN}"
    )
    if not state:
        raise fenced(run.id)
    ((exhausted, at, cut),) = state
    cursor = Cursor(at=records.key_from_json(at), cut=cut, exhausted=exhausted)
    return cursor, sorted(taken, key=lambda row: row[1])


async def cut(
    work: Transaction, binding: Binding, run: Run, want: Want, cursor: Cursor
) -> tuple[list[Chunk], Cursor]:
    """New chunks behind the cursor, cut over keys scanned, eligible or not.

    Only the keys at which chunks end leave the server. Where a row is a chunk of its own they are
    cut over eligible ones alone: each of the others would cost a claim and a transaction.
    """
    most = want.count * want.rows
    if run.last is None:
        return [], cursor
    if run.span.limit is not None:
        return await _cut_listed(work, binding, run, want, cursor)
    width = len(binding.key)
    rows, only = binding.scanned, "true"
    if binding.spec.alone:
        rows, only = binding.joined, binding.eligible
    found = await work.fetch(
        f"SELECT {_ks(width)}, total FROM (SELECT *, row_number() OVER () AS n, "
        f"count(*) OVER () AS total FROM (SELECT {_named(binding)} FROM {rows} "
        f"WHERE {binding.after(cursor.at)} AND {binding.upto(run.last)} AND {only} "
        f"ORDER BY {binding.order} LIMIT {most}) AS x) AS y "
        f"WHERE n % {want.rows} = 0 OR n = total ORDER BY n"
    )
    chunks, after = [], cursor.at
    for row in found:
        upto: Key = tuple(row[:width])
        chunks.append(Chunk(run=run.id, number=0, after=after, upto=upto))
        after = upto
    ended = not found or found[0][width] < most or after == run.last
    return chunks, Cursor(at=after, cut=cursor.cut, exhausted=ended)


async def _cut_listed(
    work: Transaction, binding: Binding, run: Run, want: Want, cursor: Cursor
) -> tuple[list[Chunk], Cursor]:
    """Under a limit chunks list their eligible keys one by one, so that it is kept exactly."""
    limit, rows = run.span.limit or 0, want.rows
    most = want.count * rows
    wanted = min(most, max(0, limit - cursor.cut))
    found: list[tuple[Any, ...]] = []
    if run.last is None:
        return [], cursor
    rest, within = binding.after(cursor.at), work.longest
    async for part in stretches(work.fetch, binding, inside=rest, stop=run.last, within=within):
        found += await work.fetch(
            f"SELECT {binding.printed_key} FROM {binding.joined} WHERE {part} "
            f"AND {binding.eligible} ORDER BY {binding.order} LIMIT {wanted - len(found)}"
        )
        if len(found) >= wanted:
            break
    chunks, after = [], cursor.at
    for start in range(0, len(found), rows):
        keys = tuple(tuple(row) for row in found[start : start + rows])
        chunks.append(Chunk(run=run.id, number=0, after=after, upto=keys[-1], keys=keys))
        after = keys[-1]
    cut = cursor.cut + len(found)
    return chunks, Cursor(at=after, cut=cut, exhausted=len(found) < most or cut >= limit)


def _ks(width: int) -> str:
    return ", ".join(f"k{i}" for i in range(width))


def _named(binding: Binding) -> str:
    shown = zip(binding.key, binding.parts, strict=True)
    return ", ".join(f"{c.printed(sql)} AS k{i}" for i, (c, (sql, _)) in enumerate(shown))


async def _insert(
    work: Transaction, run: Run, chunks: Sequence[Chunk], want: Want, cursor: Cursor
) -> list[Lease]:
    """Keep new chunks as claimed and move the cursor behind them."""
    first = ((await work.fetch(tables.numbers(run.id, len(chunks))))[0])[0]
    rows = ", ".join(
        tables.inserted(
            replace(chunk, number=first + i),
            state=ChunkState.CLAIMED,
            fence=1,
            worker=want.worker,
            until=tables.until(want.lease),
        )
        for i, chunk in enumerate(chunks)
    )
    at = records.key_to_json(cursor.at)
    made = await work.commit(
        f"UPDATE proctor.runs SET cursor = {'NULL' if at is None else text(at)}, "
        f"cut = {cursor.cut}, exhausted = {cursor.exhausted} WHERE id = {text(run.id)};\n"
        f"{tables.INSERT} {rows} RETURNING {TAKEN}"
    )
    return sorted((lease_of(row) for row in made), key=lambda lease: lease.chunk.number)


def lease_of(row: Sequence[Any]) -> Lease:
    """The columns of TAKEN as a noun."""
    until: datetime = row[10]
    return Lease(chunk=tables.chunk_of(row), fence=row[8], worker=row[9], until=until)


def fenced(run: str, number: int | None = None) -> Fenced:
    """Somebody newer owns the run or the chunk."""
    what = f"run {run}" if number is None else f"chunk {number} of run {run}"
    return Fenced(f"{what} is no longer ours", found="a newer claim, or the run is closed")


async def reclaim(pool: Pool, lease: Lease, length: timedelta) -> Lease | None:
    """Claim the chunk once more: the update waits for whoever holds its row.

    So a transaction in doubt has ended, one way or the other, before this answers.
    """
    chunk = lease.chunk
    where = f"run = {text(chunk.run)} AND number = {chunk.number}"
    async with pool.write(chunk.run, control=True) as work:
        locked = await work.fetch(
            f"SELECT state, fence FROM proctor.chunks WHERE {where} FOR NO KEY UPDATE"
        )
        if not locked:
            raise fenced(chunk.run, chunk.number)
        state, fence = locked[0]
        if state == ChunkState.APPLIED.value:
            return None
        if state != ChunkState.CLAIMED.value or fence != lease.fence:
            raise fenced(chunk.run, chunk.number)
        rows = await work.commit(
            f"UPDATE proctor.chunks SET fence = fence + 1, claimed_until = {tables.until(length)} "
            f"WHERE {where} RETURNING {TAKEN}"
        )
        return lease_of(rows[0])


async def release(pool: Pool, leases: Sequence[Lease]) -> None:
    """Hand chunks back: open again, under a fence that keeps a late write of ours out.

    The run's row is locked before its chunks, as moves do it: two that took the chunks in
    different orders would each wait for the other.
    """
    if not leases:
        return
    mine = ", ".join(
        f"({text(x.chunk.run)}, {x.chunk.number}::int8, {x.fence}::int4)" for x in leases
    )
    names = ", ".join(text(run) for run in sorted({x.chunk.run for x in leases}))
    async with pool.write(leases[0].chunk.run, control=True) as work:
        await work.commit(
            f"SELECT FROM proctor.runs WHERE id IN ({names}) ORDER BY id FOR NO KEY UPDATE;\n"
            "UPDATE proctor.chunks AS c SET state = 'open', fence = c.fence + 1, "
            "claimed_until = NULL WHERE c.state = 'claimed' "
            f"AND (c.run, c.number, c.fence) IN (VALUES {mine})"
        )


async def split(
    pool: Pool, binding: Binding, lease: Lease, page: Page | None, conflicts: Sequence[Issue]
) -> None:
    """Two open chunks in place of one, in one transaction.

    TargetError where there is nothing to cut: one row alone runs into the time-out.
    """
    chunk = lease.chunk
    async with pool.write(chunk.run, control=True) as work:
        taken = await work.fetch(
            f"UPDATE proctor.chunks SET state = 'split', claimed_until = NULL "
            f"WHERE run = {text(chunk.run)} AND number = {chunk.number} "
            f"AND fence = {lease.fence} AND state = 'claimed' RETURNING number"
        )
        if not taken:
            raise fenced(chunk.run, chunk.number)
        cut_at = await halves(work, binding, chunk, page)
        if cut_at is None:
            raise TargetError(
                f"chunk {chunk.number} is too slow and cannot be cut",
                found="one row alone runs into the statement time-out",
                fix="look for a slow trigger or a missing index, or raise statement_timeout",
            )
        before = {issue.key for issue in conflicts} if chunk.revisited else set()
        first = (await work.fetch(tables.numbers(chunk.run, 2)))[0][0]
        rows = ", ".join(
            tables.inserted(
                Chunk(
                    run=chunk.run,
                    number=first + i,
                    after=after,
                    upto=upto,
                    keys=keys,
                    sweep=chunk.sweep,
                    attempt=chunk.attempt,
                    revisited=sum(1 for k in keys or () if k in before),
                ),
                state=ChunkState.OPEN,
                fence=0,
                worker="",
                until="NULL",
            )
            for i, (after, upto, keys) in enumerate(cut_at)
        )
        await work.commit(f"{tables.INSERT} {rows}")


async def halves(
    work: Transaction, binding: Binding, chunk: Chunk, page: Page | None
) -> list[tuple[Key | None, Key, tuple[Key, ...] | None]] | None:
    """Where to cut a chunk: after, upto and listed keys of each half; None for a single row."""
    if chunk.keys is not None:
        if len(chunk.keys) < 2:
            return None
        half = len(chunk.keys) // 2
        left, right = chunk.keys[:half], chunk.keys[half:]
        return [(chunk.after, left[-1], left), (left[-1], chunk.upto, right)]
    if page is not None and len(page.keys) > 1:
        keys: Sequence[Key] = page.keys
    else:
        keys = [
            tuple(row)
            for row in await work.fetch(
                f"SELECT {binding.printed_key} FROM {binding.scanned} "
                f"WHERE {binding.after(chunk.after)} AND {binding.upto(chunk.upto)} "
                f"ORDER BY {binding.order}"
            )
        ]
    if len(keys) < 2:
        return None
    middle = keys[len(keys) // 2 - 1]
    return [(chunk.after, middle, None), (middle, chunk.upto, None)]
