"""A run's own row: opened, taken over, kept alive, moved, tuned."""

from __future__ import annotations

import sqlite3

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from proctor.adapters.stores.records import (
    holder_to_json,
    key_to_json,
    span_to_json,
    spec_to_json,
    time_to_text,
    to_json,
    tuning_to_json,
)
from proctor.adapters.stores.sqlite import tables, units
from proctor.adapters.stores.sqlite.claiming import add_key_chunks
from proctor.adapters.stores.sqlite.frame import Frame
from proctor.adapters.stores.sqlite.keys import in_order, ranks, to_keys
from proctor.adapters.stores.sqlite.rows import framed, rows_of_keys
from proctor.adapters.stores.sqlite.session import Session, utc_now
from proctor.errors import Fenced, IllegalMove, PlanVoid, RunActive, UsageError
from proctor.model import Key, Run, RunState, Span, Spec, Tuning, shared_fields
from proctor.ports import Opening

RESUMABLE: Final = (
    RunState.QUEUED,
    RunState.RUNNING,
    RunState.PAUSING,
    RunState.PAUSED,
    RunState.FAILED,
)
HELD: Final = (RunState.RUNNING, RunState.PAUSING, RunState.CANCELLING)
ENDED: Final = (RunState.CANCELLED, RunState.FAILED, RunState.SUCCEEDED, RunState.ROLLED_BACK)
CLOSING: Final = (
    RunState.CANCELLING,
    RunState.CANCELLED,
    RunState.ROLLING_BACK,
    RunState.SUCCEEDED,
)
KEYS_A_CHUNK: Final = 500
"""Explicit keys in one chunk of a run that lists them."""


def open_run(session: Session, opening: Opening) -> Run:
    """Start a run or take one over, in one transaction."""
    with session.writing() as connection:
        tables.upgrade(connection)
        if opening.resume:
            _resume(connection, opening)
        else:
            _start(session, connection, opening)
        return tables.find_run(connection, opening.run)


def _start(session: Session, connection: sqlite3.Connection, opening: Opening) -> None:
    spec = opening.spec
    frame = framed(session, connection, spec).frame
    _refuse_occupied(connection, frame)
    now = time_to_text(utc_now())
    span = opening.span
    if span.keys:
        keys = as_stored(session, connection, spec, span.keys)
        span = Span(start=span.start, stop=span.stop, keys=tuple(keys), limit=span.limit)
    tables.insert(
        connection,
        "proctor_runs",
        {
            "id": opening.run,
            "backfill": spec.backfill,
            "version": spec.version,
            "env": opening.env,
            "target": frame.target.name,
            "fills": to_json(spec.fills),
            "writes": to_json(spec.writes),
            "state": RunState.RUNNING.value,
            "epoch": 1,
            "spec": spec_to_json(spec),
            "span": span_to_json(span),
            "digest": opening.digest,
            "params": to_json(dict(spec.params)),
            "created": now,
            "started": now,
            "heartbeat": now,
            "lease": opening.lease_for.total_seconds(),
            "holder": holder_to_json(opening.holder),
            "last": key_to_json(opening.last),
            "expected": opening.expected,
            "estimated": opening.estimated,
        },
    )
    if span.keys:
        keys = list(span.keys)[: span.limit]
        size = spec.chunk_rows(KEYS_A_CHUNK)
        add_key_chunks(connection, opening.run, keys, size=size, planned=True)


def as_stored(
    session: Session, connection: sqlite3.Connection, spec: Spec, listed: Sequence[Key]
) -> list[Key]:
    """Keys in scan order, spelled as the file has them: NOCASE keys may differ."""
    form = framed(session, connection, spec)
    columns = form.frame.key
    keys = in_order(columns, listed)
    found: dict[object, Key] = {}
    for at in range(0, len(keys), KEYS_A_CHUNK):
        raw = rows_of_keys(session, connection, form, keys[at : at + KEYS_A_CHUNK], eligible=False)
        if raw:
            parts = [[r[i] for r in raw] for i in form.key_at]
            found |= {ranks(columns, k): k for k in to_keys(parts)}
    return [found.get(ranks(columns, k), k) for k in keys]


def _refuse_occupied(connection: sqlite3.Connection, frame: Frame) -> None:
    """One run at a time writes a field; the write lock that we hold makes this certain."""
    marks = ", ".join("?" for _ in tables.OCCUPYING)
    rows = connection.execute(
        f"{tables.RUNS} WHERE target = ? AND state IN ({marks})",
        (frame.target.name, *tables.OCCUPYING),
    ).fetchall()
    for run in map(tables.run_of, rows):
        if shared := shared_fields(frame.spec.writes, run.writes):
            raise _occupied(run, ", ".join(shared))


def _occupied(run: Run, shared: str) -> RunActive:
    since = f"{run.created:%Y-%m-%d %H:%M:%S} UTC"
    beat = f"{run.heartbeat:%H:%M:%S}" if run.heartbeat else "never"
    who = str(run.holder) if run.holder else "nobody"
    return RunActive(
        f"run {run.id} of {run.backfill} holds {run.target}.{shared}",
        found=f"{run.state.value} since {since}, held by {who}, last heartbeat {beat}",
        fix="one run at a time may write a target's field, also where the rows are others: "
        f"wait for it, resume it, or cancel it: proctor cancel {run.id}",
    )


def _resume(connection: sqlite3.Connection, opening: Opening) -> None:
    run = tables.find_run(connection, opening.run)
    if run.state not in RESUMABLE:
        raise IllegalMove(
            f"run {run.id} cannot be resumed",
            found=f"it is {run.state.value}",
            fix="start a new run",
        )
    alive = run.state in HELD and not run.interrupted and not opening.dead
    if alive and run.holder != opening.holder:
        raise _occupied(run, ", ".join(run.fills))
    if opening.digest != run.digest and not opening.accept:
        raise PlanVoid(
            f"run {run.id} was begun with something else than what would run now",
            found="the digests differ and none of their parts was accepted",
            fix="undo the change, or accept it on record with --accept-changes",
        )
    connection.execute(
        "UPDATE proctor_runs SET state = 'running', epoch = epoch + 1, heartbeat = :now, "
        "started = coalesce(started, :now), ended = NULL, lease = :lease, holder = :holder, "
        "digest = :digest, version = :version, params = :params, spec = :spec, reason = '' "
        "WHERE id = :run",
        {
            "now": time_to_text(utc_now()),
            "lease": opening.lease_for.total_seconds(),
            "holder": holder_to_json(opening.holder),
            "digest": opening.digest,
            "version": opening.spec.version,
            "params": to_json(dict(opening.spec.params)),
            "spec": spec_to_json(opening.spec),
            "run": run.id,
        },
    )
    claimed = "SELECT number FROM proctor_chunks WHERE run = ? AND state = 'claimed'"
    lost = [number for (number,) in connection.execute(claimed, (run.id,)).fetchall()]
    units.lose(connection, opening.spec, run.id, lost)
    connection.execute(
        "UPDATE proctor_chunks SET state = 'open', fence = fence + 1, worker = '', "
        "claimed_until = NULL WHERE run = ? AND state IN ('claimed', 'closed')",
        (run.id,),
    )


def beat(session: Session, run: Run, workers: Sequence[str], lease_for: timedelta) -> Run:
    """Keep the run and the leases of these workers alive."""
    now = utc_now()
    with session.writing() as connection:
        held = connection.execute(
            "UPDATE proctor_runs SET heartbeat = ?, lease = ? WHERE id = ? AND epoch = ?",
            (time_to_text(now), lease_for.total_seconds(), run.id, run.epoch),
        ).rowcount
        if not held:
            raise Fenced(f"run {run.id} has another holder now", found="its epoch has moved on")
        connection.executemany(
            "UPDATE proctor_chunks SET claimed_until = ? "
            "WHERE run = ? AND state = 'claimed' AND worker = ?",
            [(time_to_text(now + lease_for), run.id, worker) for worker in workers],
        )
        return tables.find_run(connection, run.id)


def move(
    session: Session,
    name: str,
    then: RunState,
    *,
    among: Sequence[RunState],
    reason: str,
    epoch: int | None,
) -> Run:
    """Change a run's state; entering an end closes what is claimed."""
    with session.writing() as connection:
        if then is RunState.ROLLING_BACK:  # an older Proctor's run needs somewhere to keep it
            tables.upgrade(connection)
        run = tables.find_run(connection, name)
        if epoch is not None and run.epoch != epoch:
            raise Fenced(f"run {run.id} has another holder now", found="its epoch has moved on")
        if run.state not in among:
            raise IllegalMove(
                f"run {run.id} cannot become {then.value}",
                found=f"it is {run.state.value}",
                fix=f"this is possible from {', '.join(sorted(s.value for s in among))}",
            )
        if then is RunState.ROLLED_BACK:
            spec = units.spec_of_run(connection, run.id)
            if spec.attempts:
                units.take_all_back(connection, run.id)
        now = time_to_text(utc_now())
        connection.execute(
            "UPDATE proctor_runs SET state = ?, reason = ?, ended = coalesce(ended, ?), "
            "heartbeat = iif(? IN ('running', 'rolling_back'), ?, heartbeat) WHERE id = ?",
            (then.value, reason, now if then in ENDED else None, then.value, now, run.id),
        )
        if then in CLOSING or then is RunState.FAILED:
            states = "'claimed'" if then is RunState.FAILED else "'claimed', 'open'"
            connection.execute(
                "UPDATE proctor_chunks SET state = 'closed', claimed_until = NULL "
                f"WHERE run = ? AND state IN ({states})",
                (run.id,),
            )
        return tables.find_run(connection, run.id)


def tune(session: Session, name: str, tuning: Tuning) -> Run:
    """Set a run's knobs."""
    with session.writing() as connection:
        run = tables.find_run(connection, name)
        connection.execute(
            "UPDATE proctor_runs SET tuning = ? WHERE id = ?", (tuning_to_json(tuning), run.id)
        )
        return tables.find_run(connection, run.id)


def known(connection: sqlite3.Connection, run: str) -> None:
    """UsageError where Proctor keeps no such run here."""
    if not tables.ready(connection):
        raise UsageError(
            f"there is no run {run}",
            found="Proctor has no tables here",
            fix="see that this is the database of the run, and --env its environment",
        )
