"""One write transaction: take the chunk, write what still stands, keep images and books."""

from __future__ import annotations

import sqlite3
import time

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from proctor.adapters.stores.records import outcome_to_json, pack_issues, time_to_text
from proctor.adapters.stores.sqlite import tables, units
from proctor.adapters.stores.sqlite.claiming import add_chunk
from proctor.adapters.stores.sqlite.faults import Refusal, is_refusal
from proctor.adapters.stores.sqlite.keys import to_keys
from proctor.adapters.stores.sqlite.rows import (
    Layout,
    Versions,
    framed,
    rows_of_chunk,
    rows_of_keys,
    same_rows,
    schema_of,
    token_of,
)
from proctor.adapters.stores.sqlite.session import Session, utc_now
from proctor.adapters.stores.sqlite.work import Ready, Work, make_ready, write_work
from proctor.errors import Fenced
from proctor.model import (
    OUTCOME_FIELDS,
    Applied,
    Bucket,
    Chunk,
    Issue,
    Key,
    Lease,
    Outcome,
    Settled,
    Spec,
)
from proctor.ports import Terms

T = TypeVar("T")

GONE = "deleted, its key changed, or no longer eligible, after it was read"


def apply(session: Session, spec: Spec, lease: Lease, settled: Settled, terms: Terms) -> Applied:
    """Write a settled page; a second, careful try finds the rows that the first tripped over."""
    try:
        return _apply(session, spec, lease, settled, terms, careful=False)
    except Refusal as error:
        if not is_refusal(error):
            raise
    return _apply(session, spec, lease, settled, terms, careful=True)


def _apply(
    session: Session, spec: Spec, lease: Lease, settled: Settled, terms: Terms, *, careful: bool
) -> Applied:
    began = time.monotonic()
    with session.writing(lease.chunk.run) as connection:
        take(connection, lease)
        form = framed(session, connection, spec)
        work, moved = work_of(session, connection, form, settled, careful=careful), []
        versions = settled.page.versions
        token = token_of(session, form.frame, lease.chunk.run)
        if not (isinstance(versions, Versions) and versions.token == token):
            moved = _fell(work, lease)
        ready = settled.ready
        if isinstance(ready, Ready) and ready.fits(work, schema_of(session, spec)):
            work = ready.anew(work)
            write_work(work, ready.decided)
        else:
            write_work(work)
        applied = close_books(
            work,
            lease,
            terms,
            spec=spec,
            settled=settled,
            moved=moved,
            began=began,
        )
    return replace(applied, took=timedelta(seconds=time.monotonic() - began))


def prepare(session: Session, spec: Spec, settled: Settled) -> Settled:
    """Decide and pack a page ahead of its transaction, for the case that its rows still stand."""
    form = framed(session, session.main, spec)
    schema, versions = schema_of(session, spec), settled.page.versions
    if not (isinstance(versions, Versions) and versions.schema == schema):
        return settled  # a value may stand elsewhere in a row by now: the rows will be compared
    work = work_of(session, session.main, form, settled, careful=False)
    return replace(settled, ready=make_ready(work, schema))


def work_of(
    session: Session,
    connection: sqlite3.Connection,
    form: Layout,
    settled: Settled,
    *,
    careful: bool,
) -> Work:
    """The rows of a settled page that are to be written."""
    page, index = settled.page, settled.index
    return Work(
        session=session,
        connection=connection,
        form=form,
        careful=careful,
        keys=_at(page.keys, index),
        raw=_at(page.versions, index),
        before=_at(page.images, index),
        values=[list(c) for c in zip(*settled.values, strict=True)],
    )


def _at(column: Sequence[T], index: Sequence[int]) -> list[T]:
    """The values at these positions, most often all of them."""
    return list(column) if len(index) == len(column) else [column[i] for i in index]


def take(connection: sqlite3.Connection, lease: Lease) -> None:
    """The first statement of every write: the chunk under our fence, or nothing."""
    chunk = lease.chunk
    taken = connection.execute(
        "UPDATE proctor_chunks SET state = 'applied' "
        "WHERE run = ? AND number = ? AND fence = ? AND state = 'claimed'",
        (chunk.run, chunk.number, lease.fence),
    ).rowcount
    if not taken:
        raise Fenced(
            f"chunk {chunk.number} of run {chunk.run} has another owner",
            found="a newer claim, or the run has ended",
        )


def _fell(work: Work, lease: Lease) -> list[Key]:
    """Take out rows that do not stand as they were read; the keys of those that moved."""
    session, form = work.session, work.form
    if lease.chunk.keys is None:
        now = rows_of_chunk(session, work.connection, form, lease)
    else:
        now = rows_of_keys(session, work.connection, form, work.keys)
    parts = [[r[i] for r in now] for i in form.key_at]
    standing = dict(zip(to_keys(parts), now, strict=True)) if now else {}
    stay: list[int] = []
    moved: list[Key] = []
    for i, key in enumerate(work.keys):
        current = standing.get(key)
        if current is None:
            work.issues.append(Issue(key=key, bucket=Bucket.GONE, reason=GONE))
            continue
        if same_rows(form, work.raw[i], current):
            stay.append(i)
        else:
            moved.append(key)
    work.keep(stay)
    return moved


def close_books(
    work: Work,
    lease: Lease,
    terms: Terms,
    *,
    spec: Spec,
    settled: Settled,
    moved: Sequence[Key],
    began: float,
    emitted: int | None = None,
) -> Applied:
    """Count every row once, lease the moved ones again, and keep it all on the chunk.

    `emitted` are the rows in the journal, where they are not the rows that were counted.
    """
    connection, chunk, outcome = work.connection, lease.chunk, settled.outcome
    retry = None
    listed = [*settled.issues, *work.issues]
    if moved and chunk.attempt >= terms.attempts:
        why = f"it changed between read and write {chunk.attempt} times"
        listed += [Issue(key=k, bucket=Bucket.CONFLICTED, reason=why) for k in moved]
        outcome = outcome.plus(Bucket.CONFLICTED, len(moved))
    elif moved:
        retry = _retry(connection, lease, moved, terms)
    for issue in work.issues:
        outcome = outcome.plus(issue.bucket)
    outcome = outcome.plus(Bucket.WRITTEN, work.written)
    if not outcome.balances:
        raise AssertionError(f"the books of chunk {chunk.number} do not balance: {outcome}")
    rows = work.written if emitted is None else emitted
    _keep(work, lease, terms, (outcome, listed), rows=rows, began=began)
    _add_to_run(connection, chunk, outcome)
    if spec.attempts:
        units.keep(
            connection,
            spec,
            lease,
            settled,
            written=work.keys if work.written else (),
            issues=listed,
            emitted=1 if emitted is None else emitted,
        )
    return Applied(
        outcome=outcome,
        issues=tuple(listed),
        took=timedelta(0),
        retry=retry,
        undo_bytes=len(work.undo or b""),
    )


def _keep(
    work: Work,
    lease: Lease,
    terms: Terms,
    books: tuple[Outcome, Sequence[Issue]],
    *,
    rows: int,
    began: float,
) -> None:
    """The chunk's books and undo data, on its row."""
    (outcome, listed), chunk = books, lease.chunk
    work.connection.execute(
        "UPDATE proctor_chunks SET outcome = ?, issues = ?, undo = ?, has_undo = ?, "
        "undo_rows = ?, code = ?, applied = ?, took = ?, claimed_until = NULL "
        "WHERE run = ? AND number = ?",
        (
            outcome_to_json(outcome),
            pack_issues(listed),
            work.undo,
            int(work.undo is not None),
            rows,
            terms.code,
            time_to_text(utc_now()),
            time.monotonic() - began,
            chunk.run,
            chunk.number,
        ),
    )


def _retry(
    connection: sqlite3.Connection, lease: Lease, moved: Sequence[Key], terms: Terms
) -> Lease:
    until = utc_now() + terms.lease_for
    child = replace(
        lease.chunk,
        number=tables.next_number(connection, lease.chunk.run),
        upto=moved[-1],
        keys=tuple(moved),
        attempt=lease.chunk.attempt + 1,
        revisited=0,
    )
    add_chunk(connection, child, fence=1, worker=lease.worker, until=until)
    return Lease(chunk=child, fence=1, worker=lease.worker, until=until)


def _add_to_run(connection: sqlite3.Connection, chunk: Chunk, outcome: Outcome) -> None:
    """Keep the run's totals; rows revisited leave the bucket that an earlier chunk put them in."""
    counts = outcome.as_dict()
    counts["read"] -= chunk.revisited
    counts["conflicted"] -= chunk.revisited
    sums = ", ".join(f"{f} = {f} + :{f}" for f in OUTCOME_FIELDS)
    connection.execute(
        f"UPDATE proctor_runs SET {sums} WHERE id = :run", {**counts, "run": chunk.run}
    )
