"""Runs: opened, taken over, kept alive, moved, tuned and read back."""

from __future__ import annotations

import json

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg

from proctor.adapters.stores import records
from proctor.adapters.stores.postgres import keys, tables, tried, units
from proctor.adapters.stores.postgres.binding import Binding
from proctor.adapters.stores.postgres.claims import fenced
from proctor.adapters.stores.postgres.literal import text, texts
from proctor.adapters.stores.postgres.pool import Pool, Transaction
from proctor.errors import IllegalMove, PlanVoid, RunActive, UsageError
from proctor.model import Chunk, ChunkState, Issue, Key, Run, RunState, Tuning, shared_fields
from proctor.ports import Opening

KEYS_A_CHUNK = 500
"""Keys of one chunk where a person or a failed run listed them."""
RESUMABLE = frozenset(
    {RunState.QUEUED, RunState.RUNNING, RunState.PAUSING, RunState.PAUSED, RunState.FAILED}
)
CLOSING = frozenset(
    {
        *(RunState.CANCELLING, RunState.CANCELLED),
        *(RunState.ROLLING_BACK, RunState.SUCCEEDED),
    }
)
ENDED = frozenset(
    {
        *(RunState.PAUSED, RunState.CANCELLED, RunState.FAILED),
        *(RunState.SUCCEEDED, RunState.ROLLED_BACK),
    }
)


async def open_run(pool: Pool, binding: Binding, opening: Opening) -> Run:
    """Start a run or take one over, in one transaction under the opening lock."""
    async with pool.write(opening.run, control=True) as work:
        await _ready(work)
        if opening.resume:
            await _take_over(work, opening)
        else:
            await _start(work, binding, opening)
        rows = await work.commit(f"{tables.RUNS} WHERE r.id = {text(opening.run)}")
        return tables.run_of(rows[0])


async def _ready(work: Transaction) -> None:
    """Make the tables or bring them up to date, under the opening lock; Denied where we may not."""
    await work.fetch(f"SELECT pg_catalog.pg_advisory_xact_lock({tables.OPEN_LOCK})")
    version = 0
    try:
        version = await tables.version_of(work)
        await tables.ensure(work, version)
    except psycopg.errors.InsufficientPrivilege as error:
        raise await tables.refused(work, version, error) from None


async def _start(work: Transaction, binding: Binding, opening: Opening) -> None:
    spec = opening.spec
    place = binding.place
    await _refuse_overlap(work, binding, place)
    listed = await canonical(work, binding, opening.span.keys)
    before = await predecessor(work, binding, opening.span.start)
    span = replace(opening.span, keys=tuple(listed))
    now = "pg_catalog.clock_timestamp()"
    values = {
        "id": text(opening.run),
        "backfill": text(spec.backfill),
        "version": text(spec.version),
        "env": text(opening.env),
        "target": text(spec.target),
        "place": text(place),
        "fills": texts(spec.fills),
        "writes": texts(spec.writes),
        "state": text(RunState.RUNNING.value),
        "epoch": "1",
        "span": text(records.span_to_json(span)),
        "digest": text(opening.digest),
        "params": text(records.to_json(dict(spec.params))),
        "spec": text(records.spec_to_json(spec)),
        "created": now,
        "started": now,
        "heartbeat": now,
        "held_until": tables.until(opening.lease_for),
        "holder": text(records.holder_to_json(opening.holder)),
        "tuning": text(records.tuning_to_json(Tuning())),
        "last": _json(opening.last),
        "expected": "NULL" if opening.expected is None else str(opening.expected),
        "estimated": str(opening.estimated),
        "cursor": _json(before),
        "exhausted": str(bool(opening.span.keys) or opening.last is None),
    }
    chunks = _listed_chunks(opening.run, listed, spec.chunk_rows(KEYS_A_CHUNK))
    rows = ", ".join(
        tables.inserted(c, state=ChunkState.OPEN, fence=0, worker="", until="NULL") for c in chunks
    )
    await work.run(
        f"INSERT INTO proctor.runs ({', '.join(values)}) VALUES ({', '.join(values.values())});\n"
        f"INSERT INTO proctor.counters VALUES ({text(opening.run)}, {len(chunks)})"
        + (f";\n{tables.INSERT} {rows}" if chunks else "")
    )


def _json(key: Key | None) -> str:
    shown = records.key_to_json(key)
    return "NULL" if shown is None else text(shown)


def _listed_chunks(run: str, listed: Sequence[Key], size: int) -> list[Chunk]:
    chunks: list[Chunk] = []
    for start in range(0, len(listed), size):
        part = tuple(listed[start : start + size])
        after = chunks[-1].upto if chunks else None
        chunks.append(Chunk(run=run, number=len(chunks) + 1, after=after, upto=part[-1], keys=part))
    return chunks


async def canonical(work: Transaction, binding: Binding, listed: Sequence[Key]) -> list[Key]:
    """Keys as the server prints them, each once, in scan order."""
    if not listed:
        return []
    sent = keys.sent(binding.key)
    order = ", ".join(
        f"{i + 1} DESC" if c.descending else f"{i + 1}" for i, c in enumerate(binding.key)
    )
    typed = ", ".join(f"{sql} AS k{i}" for i, sql in enumerate(sent))
    shown = ", ".join(c.printed(f"x.k{i}") for i, c in enumerate(binding.key))
    rows = await work.fetch(
        f"SELECT {shown} FROM (SELECT DISTINCT {typed} "
        f"FROM {keys.unnested(binding.key, listed)} ORDER BY {order}) AS x"
    )
    return [tuple(row) for row in rows]


async def predecessor(work: Transaction, binding: Binding, start: Key | None) -> Key | None:
    """The key just before the span's first one: chunks begin behind a key."""
    if start is None:
        return None
    rows = await work.fetch(
        f"SELECT {binding.printed_key} FROM {binding.scanned} "
        f"WHERE NOT ({binding.since(start)}) ORDER BY {binding.backwards} LIMIT 1"
    )
    return tuple(rows[0]) if rows else None


async def _refuse_overlap(work: Transaction, binding: Binding, place: str) -> None:
    rows = await work.fetch(
        f"{tables.RUNS} WHERE r.place = {text(place)} AND r.state IN {tables.OCCUPYING}"
    )
    for run in map(tables.run_of, rows):
        if shared := shared_fields(binding.spec.writes, run.writes):
            raise active(run, f"it writes {', '.join(sorted(shared))} of {place}")


def active(run: Run, why: str) -> RunActive:
    """Somebody else's run is in the way."""
    who = str(run.holder) if run.holder else "nobody known"
    since = (run.started or run.created).isoformat(timespec="seconds")
    alive = f", last heard of at {run.heartbeat:%H:%M:%S} UTC" if run.heartbeat else ""
    return RunActive(
        f"run {run.id} of {run.backfill} is in the way: {why}",
        found=f"it is {run.state.value}, held by {who} since {since}{alive}",
        fix="one run at a time may write a target's field, also where the rows are others: "
        f"wait for it, resume it, or cancel it: proctor cancel {run.id}",
    )


async def _take_over(work: Transaction, opening: Opening) -> None:
    """Go on under a new epoch; what the former holder had claimed is open under a higher fence."""
    name = text(opening.run)
    rows = await work.fetch(
        f"SELECT state, held_until > pg_catalog.clock_timestamp() FROM proctor.runs "
        f"WHERE id = {name} FOR NO KEY UPDATE"
    )
    if not rows:
        raise unknown(opening.run)
    state, held = RunState(rows[0][0]), bool(rows[0][1])
    run = tables.run_of((await work.fetch(f"{tables.RUNS} WHERE r.id = {name}"))[0])
    if state not in RESUMABLE:
        raise IllegalMove(
            f"run {opening.run} cannot be resumed",
            found=f"it is {state.value}",
            fix="start a new run",
        )
    alive = held and not opening.dead and state in (RunState.RUNNING, RunState.PAUSING)
    if alive and run.holder != opening.holder:
        raise active(run, "its holder is alive")
    _refuse_other(run, opening)
    now = "pg_catalog.clock_timestamp()"
    # A write in flight is waited for: what it has settled is claimed no more.
    lost = await work.fetch(
        f"SELECT number FROM proctor.chunks WHERE run = {name} AND state = 'claimed' "
        f"FOR NO KEY UPDATE"
    )
    await tried.lose(work, opening.spec, opening.run, [number for (number,) in lost])
    await _end_claims(work, name, "open", "('claimed')")
    await work.run(
        f"UPDATE proctor.runs SET state = 'running', epoch = epoch + 1, ended = NULL, "
        f"reason = '', started = coalesce(started, {now}), heartbeat = {now}, "
        f"held_until = {tables.until(opening.lease_for)}, "
        f"holder = {text(records.holder_to_json(opening.holder))}, "
        f"digest = {text(opening.digest)}, version = {text(opening.spec.version)}, "
        f"params = {text(records.to_json(dict(opening.spec.params)))}, "
        f"spec = {text(records.spec_to_json(opening.spec))} WHERE id = {name}"
    )


def _refuse_other(run: Run, opening: Opening) -> None:
    """What was approved is what goes on, but for the parts that were accepted on record."""
    if opening.digest == run.digest:
        return
    then, now = _parts(run.digest), _parts(opening.digest)
    other = {name for name in then.keys() | now.keys() if then.get(name) != now.get(name)}
    refused = sorted(other - set(opening.accept))
    if refused or not opening.accept:
        raise PlanVoid(
            f"run {run.id} was begun with something else than what would run now",
            found=f"it differs in {', '.join(refused) or 'its digest'}",
            fix="undo the change, or accept it on record with --accept-changes",
        )


def _parts(digest: str) -> dict[str, Any]:
    """The parts of a digest by name; none where it is of another form."""
    try:
        return dict(json.loads(digest)["parts"])
    except (ValueError, KeyError, TypeError):
        return {}


async def beat(pool: Pool, run: Run, workers: Sequence[str], lease_for: timedelta) -> Run:
    """Keep the run and the leases of these workers, and read the run, in one trip.

    A chunk whose apply is in flight is passed over: it needs no longer lease.
    """
    name = text(run.id)
    until = tables.until(lease_for)
    async with pool.write(run.id, control=True) as work:
        found = await work.run(
            f"UPDATE proctor.runs SET heartbeat = pg_catalog.clock_timestamp(), "
            f"held_until = {until} WHERE id = {name} AND epoch = {run.epoch} RETURNING id;\n"
            f"UPDATE proctor.chunks SET claimed_until = {until} WHERE run = {name} "
            f"AND number IN (SELECT number FROM proctor.chunks WHERE run = {name} "
            f"AND state = 'claimed' AND worker = ANY ({texts(workers)}) "
            f"FOR NO KEY UPDATE SKIP LOCKED);\n"
            f"{tables.RUNS} WHERE r.id = {name}"
        )
        if not found[0]:
            raise fenced(run.id)
        await work.commit()
        return tables.run_of(found[2][0])


async def move(
    pool: Pool,
    run: str,
    then: RunState,
    *,
    among: Sequence[RunState],
    reason: str = "",
    epoch: int | None = None,
) -> Run:
    """Change a run's state, closing what is claimed where no write may follow."""
    name = text(run)
    allowed = ", ".join(text(state.value) for state in among) or "''"
    mine = f" AND epoch = {epoch}" if epoch is not None else ""
    said = f", reason = {text(reason)}" if reason or then is RunState.RUNNING else ""
    ended = "coalesce(ended, pg_catalog.clock_timestamp())" if then in ENDED else "ended"
    async with pool.write(run, control=True) as work:
        if then is RunState.ROLLING_BACK:  # an older Proctor's run needs somewhere to keep it
            await _ready(work)
        changed = await work.fetch(
            f"UPDATE proctor.runs SET state = {text(then.value)}, ended = {ended}{said} "
            f"WHERE id = {name} AND state IN ({allowed}){mine} RETURNING id"
        )
        if not changed:
            raise await _cannot(work, run, then, epoch)
        if then in CLOSING:
            await _end_claims(work, name, "closed", "('open', 'claimed')")
        elif then is RunState.FAILED:
            # It may be resumed: what was claimed must be found again, and still be fenced.
            await _end_claims(work, name, "open", "('claimed')")
        if then is RunState.ROLLED_BACK:
            await units.take_all_back(work, run)
        rows = await work.commit(f"{tables.RUNS} WHERE r.id = {name}")
        return tables.run_of(rows[0])


async def _end_claims(work: Transaction, name: str, then: str, among: str) -> None:
    """End what is claimed, under the lock on the run's row, until nothing is.

    The update waits for a write in flight, but was begun before it: the chunk of moved rows
    that the write leaves, or the halves of a chunk cut in two, only the next statement sees.
    """
    claimed = f"run = {name} AND state IN {among}"
    left = True
    while left:
        _, ((left,),) = await work.run(
            f"UPDATE proctor.chunks SET state = '{then}', fence = fence + 1, "
            f"claimed_until = NULL WHERE {claimed};\n"
            f"SELECT EXISTS (SELECT FROM proctor.chunks WHERE {claimed})"
        )


async def _cannot(work: Transaction, run: str, then: RunState, epoch: int | None) -> Exception:
    rows = await work.fetch(f"{tables.RUNS} WHERE r.id = {text(run)}")
    if not rows:
        return unknown(run)
    now = tables.run_of(rows[0])
    if epoch is not None and now.epoch != epoch:
        return fenced(run)
    return IllegalMove(
        f"run {run} cannot become {then.value}",
        found=f"it is {now.state.value}",
        fix=f"see what became of it: proctor status {run}",
    )


async def tune(pool: Pool, run: str, tuning: Tuning) -> Run:
    """Keep new knobs; the holder reads them at its next beat."""
    async with pool.write(run, control=True) as work:
        rows = await work.commit(
            f"UPDATE proctor.runs SET tuning = {text(records.tuning_to_json(tuning))} "
            f"WHERE id = {text(run)};\n{tables.RUNS} WHERE r.id = {text(run)}"
        )
        if not rows:
            raise unknown(run)
        return tables.run_of(rows[0])


async def all_runs(work: Transaction, backfill: str | None) -> list[Run]:
    """Runs, newest first."""
    named = f"WHERE r.backfill = {text(backfill)} " if backfill is not None else ""
    rows = await work.fetch(f"{tables.RUNS} {named}ORDER BY r.created DESC, r.id DESC")
    return [tables.run_of(row) for row in rows]


async def one_run(work: Transaction, run: str) -> Run:
    """A run by its id or the beginning of it."""
    rows = await work.fetch(
        f"{tables.RUNS} WHERE pg_catalog.starts_with(r.id, {text(run)}) ORDER BY r.id = "
        f"{text(run)} DESC LIMIT 3"
    )
    found = [tables.run_of(row) for row in rows]
    if not run or not found or (len(found) > 1 and found[0].id != run):
        raise unknown(run, [one.id for one in found])
    return found[0]


def unknown(run: str, several: Sequence[str] = ()) -> UsageError:
    """No run of that name, or more than one."""
    return UsageError(
        f"{run!r} is the beginning of several runs" if several else f"there is no run {run!r} here",
        found=", ".join(several) or "no run whose id begins with it",
        fix="type more of it" if several else "see `proctor status` for the runs that there are",
    )


async def chunk_rows(work: Transaction, run: str) -> list[tuple[Any, ...]]:
    """Every chunk of a run as RECORD, in order of number."""
    return await work.fetch(
        f"SELECT proctor_chunk.* FROM {tables.UNDONE} CROSS JOIN LATERAL (SELECT {tables.RECORD} "
        f"FROM proctor.chunks WHERE run = {text(run)}) AS proctor_chunk ORDER BY number"
    )


async def left_alone(work: Transaction, run: str) -> dict[int, list[Issue]]:
    """By chunk, the rows that undoing it left alone."""
    found = await work.fetch(
        f"SELECT proctor_chunk.* FROM {tables.UNDONE} CROSS JOIN LATERAL (SELECT number, undo_left "
        f"FROM proctor.chunks WHERE run = {text(run)} AND undo_left IS NOT NULL) AS proctor_chunk "
        f"ORDER BY number"
    )
    return {number: records.unpack_issues(left) for number, left in found}
