"""A run's own row in the ledger's database: opened, taken over, kept alive, moved, tuned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa

from proctor.adapters.stores import records
from proctor.adapters.stores.away import tables
from proctor.adapters.stores.away.tables import CHUNKS, RUNS
from proctor.errors import Fenced, IllegalMove, PlanVoid, RunActive, UsageError
from proctor.model import Chunk, ChunkState, Key, Run, RunState, Spec, Tuning, shared_fields
from proctor.ports import Opening

KEYS_A_CHUNK: Final = 500
RESUMABLE: Final = frozenset(
    {RunState.QUEUED, RunState.RUNNING, RunState.PAUSING, RunState.PAUSED, RunState.FAILED}
)
CLOSING: Final = frozenset(
    {
        *(RunState.CANCELLING, RunState.CANCELLED),
        *(RunState.ROLLING_BACK, RunState.SUCCEEDED),
    }
)
ENDED: Final = frozenset(
    {
        *(RunState.PAUSED, RunState.CANCELLED, RunState.FAILED),
        *(RunState.SUCCEEDED, RunState.ROLLED_BACK),
    }
)


def one(connection: sa.Connection, home: str, run: str) -> Run:
    """A run by its id or the beginning of it."""
    mine = RUNS.c.home == home
    found = tables.read_runs(connection, [mine, RUNS.c.id == run])
    if run and not found:
        begins = sa.func.substr(RUNS.c.id, 1, len(run)) == run
        found = tables.read_runs(connection, [mine, begins])
    if len(found) != 1:
        raise unknown(run, [one.id for one in found[:3]])
    return found[0]


def unknown(run: str, several: Sequence[str] = ()) -> UsageError:
    """No run of that name, or more than one."""
    return UsageError(
        f"{run!r} is the beginning of several runs" if several else f"there is no run {run!r} here",
        found=", ".join(several) or "no run whose id begins with it",
        fix="type more of it" if several else "see `proctor status` for the runs that there are",
    )


def spec_of(connection: sa.Connection, home: str, run: str) -> Spec:
    """The spec as it was when the run began, or was last resumed."""
    query = sa.select(RUNS.c.spec).where(RUNS.c.home == home, RUNS.c.id == run)
    found = connection.execute(query).scalar()
    if found is None:
        raise unknown(run)
    return records.spec_from_json(found)


def start(
    connection: sa.Connection,
    home: str,
    opening: Opening,
    *,
    place: str,
    listed: Sequence[Key],
    before: Key | None,
) -> Run:
    """A new run: `listed` keys as the server spells them; its span begins behind `before`."""
    tables.lock(connection)
    tables.ensure(connection)
    spec = opening.spec
    _refuse_overlap(connection, home, spec, place)
    now = tables.clock(connection)
    moment = records.time_to_text(now)
    chunks = _listed(opening.run, listed)
    connection.execute(
        sa.insert(RUNS).values(
            id=opening.run,
            home=home,
            backfill=spec.backfill,
            version=spec.version,
            env=opening.env,
            target=spec.target,
            place=place,
            fills=records.to_json(spec.fills),
            writes=records.to_json(spec.writes),
            state=RunState.RUNNING.value,
            epoch=1,
            span=records.span_to_json(replace(opening.span, keys=tuple(listed))),
            digest=opening.digest,
            params=records.to_json(dict(spec.params)),
            spec=records.spec_to_json(spec),
            created=moment,
            started=moment,
            heartbeat=moment,
            held_until=records.time_to_text(now + opening.lease_for),
            holder=records.holder_to_json(opening.holder),
            tuning=records.tuning_to_json(Tuning()),
            reason="",
            last=records.key_to_json(opening.last),
            expected=opening.expected,
            estimated=opening.estimated,
            cursor=records.key_to_json(before),
            exhausted=bool(opening.span.keys) or opening.last is None,
            cut=0,
            sweep=0,
            chunks=len(chunks),
        )
    )
    if chunks:
        connection.execute(sa.insert(CHUNKS), [tables.new_chunk(c) for c in chunks])
    return one(connection, home, opening.run)


def _listed(run: str, keys: Sequence[Key]) -> list[Chunk]:
    """Chunks of the keys that a person or a failed run listed."""
    return [
        Chunk(
            run=run,
            number=i // KEYS_A_CHUNK + 1,
            after=keys[i - 1] if i else None,
            upto=keys[min(i + KEYS_A_CHUNK, len(keys)) - 1],
            keys=tuple(keys[i : i + KEYS_A_CHUNK]),
        )
        for i in range(0, len(keys), KEYS_A_CHUNK)
    ]


def _refuse_overlap(connection: sa.Connection, home: str, spec: Spec, place: str) -> None:
    occupied = [RUNS.c.home == home, RUNS.c.place == place, RUNS.c.state.in_(tables.OCCUPYING)]
    for run in tables.read_runs(connection, occupied):
        if shared := shared_fields(spec.writes, run.writes):
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


def take_over(connection: sa.Connection, home: str, opening: Opening) -> Run:
    """Go on under a new epoch; what the former holder had claimed is open under a higher fence.

    A chunk with an intent stays claimed, its lease over: whoever claims it settles that first.
    """
    tables.lock(connection)
    tables.hold(connection, opening.run)
    run = one(connection, home, opening.run)
    if run.state not in RESUMABLE:
        raise IllegalMove(
            f"run {run.id} cannot be resumed",
            found=f"it is {run.state.value}",
            fix="start a new run",
        )
    held = run.state in (RunState.RUNNING, RunState.PAUSING) and not run.interrupted
    if held and not opening.dead:
        raise active(run, "its holder is alive")
    if opening.digest != run.digest and not opening.accept:
        raise PlanVoid(
            f"run {run.id} was begun with something else than what would run now",
            found="the digests differ and none of their parts was accepted",
            fix="undo the change, or accept it on record with --accept-changes",
        )
    now = tables.clock(connection)
    moment = records.time_to_text(now)
    _end_claims(connection, run.id, ChunkState.OPEN)
    connection.execute(
        sa.update(RUNS)
        .where(RUNS.c.id == run.id)
        .values(
            state=RunState.RUNNING.value,
            epoch=RUNS.c.epoch + 1,
            ended=None,
            reason="",
            started=sa.func.coalesce(RUNS.c.started, moment),
            heartbeat=moment,
            held_until=records.time_to_text(now + opening.lease_for),
            holder=records.holder_to_json(opening.holder),
            digest=opening.digest,
            version=opening.spec.version,
            params=records.to_json(dict(opening.spec.params)),
            spec=records.spec_to_json(opening.spec),
        )
    )
    return one(connection, home, run.id)


def _end_claims(
    connection: sa.Connection,
    run: str,
    then: ChunkState,
    *,
    among: Sequence[ChunkState] = (ChunkState.CLAIMED,),
) -> None:
    """End what is claimed and has no intent; leases with one run out at once."""
    states = CHUNKS.c.state.in_([s.value for s in among])
    connection.execute(
        sa.update(CHUNKS)
        .where(CHUNKS.c.run == run, states, CHUNKS.c.token.is_(None))
        .values(state=then.value, fence=CHUNKS.c.fence + 1, claimed_until=None)
    )
    connection.execute(
        sa.update(CHUNKS)
        .where(CHUNKS.c.run == run, CHUNKS.c.state == ChunkState.CLAIMED.value)
        .values(claimed_until="")
    )


def beat(
    connection: sa.Connection, home: str, run: Run, workers: Sequence[str], lease_for: timedelta
) -> Run:
    """Keep the run and the leases of these workers, and read the run."""
    now = tables.clock(connection)
    until = records.time_to_text(now + lease_for)
    held = connection.execute(
        sa.update(RUNS)
        .where(RUNS.c.id == run.id, RUNS.c.epoch == run.epoch)
        .values(heartbeat=records.time_to_text(now), held_until=until)
    )
    if not held.rowcount:
        raise Fenced(f"run {run.id} is no longer ours", found="its epoch has moved on")
    mine = CHUNKS.c.state == ChunkState.CLAIMED.value, CHUNKS.c.worker.in_(workers)
    connection.execute(
        sa.update(CHUNKS).where(CHUNKS.c.run == run.id, *mine).values(claimed_until=until)
    )
    return one(connection, home, run.id)


def move(
    connection: sa.Connection,
    home: str,
    name: str,
    then: RunState,
    *,
    among: Sequence[RunState],
    reason: str,
    epoch: int | None,
) -> Run:
    """Change a run's state, closing what is claimed where no write may follow."""
    tables.hold(connection, name)
    run = one(connection, home, name)
    if epoch is not None and run.epoch != epoch:
        raise Fenced(f"run {name} is no longer ours", found="its epoch has moved on")
    if run.state not in among:
        raise IllegalMove(
            f"run {name} cannot become {then.value}",
            found=f"it is {run.state.value}",
            fix=f"see what became of it: proctor status {name}",
        )
    moment = records.time_to_text(tables.clock(connection))
    changed: dict[str, Any] = {"state": then.value}
    if then in ENDED:
        changed["ended"] = sa.func.coalesce(RUNS.c.ended, moment)
    if reason or then is RunState.RUNNING:
        changed["reason"] = reason
    connection.execute(sa.update(RUNS).where(RUNS.c.id == run.id).values(**changed))
    if then in CLOSING:
        every = (ChunkState.OPEN, ChunkState.CLAIMED)
        _end_claims(connection, run.id, ChunkState.CLOSED, among=every)
    elif then is RunState.FAILED:
        _end_claims(connection, run.id, ChunkState.OPEN)
    return one(connection, home, run.id)


def tune(connection: sa.Connection, home: str, run: str, tuning: Tuning) -> Run:
    """Keep new knobs; the holder reads them at its next beat."""
    connection.execute(
        sa.update(RUNS)
        .where(RUNS.c.home == home, RUNS.c.id == run)
        .values(tuning=records.tuning_to_json(tuning))
    )
    return one(connection, home, run)
