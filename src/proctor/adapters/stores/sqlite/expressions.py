"""`sql=`: read, compute and write inside the database, with the same books and images."""

from __future__ import annotations

import sqlite3
import time

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from proctor.adapters.stores.sqlite.aggregate import Foreseen, at_once, expressions, scope
from proctor.adapters.stores.sqlite.applying import GONE, close_books, take
from proctor.adapters.stores.sqlite.faults import Refusal, is_refusal, reason
from proctor.adapters.stores.sqlite.keys import among, lacking, to_keys
from proctor.adapters.stores.sqlite.rows import Layout, framed, page_images, rows_of_chunk
from proctor.adapters.stores.sqlite.session import Session
from proctor.adapters.stores.sqlite.work import Work, write_work
from proctor.model import Applied, Bucket, Issue, Key, Lease, Outcome, Page, Settled, Spec
from proctor.ports import Terms


def apply_sql(
    session: Session, spec: Spec, lease: Lease, terms: Terms, foreseen: Foreseen | None = None
) -> Applied:
    """Fill a chunk by the spec's expressions; a careful second try finds bad rows."""
    try:
        return _apply(session, spec, lease, terms, foreseen)
    except Refusal as error:
        if not is_refusal(error):
            raise
    return _apply(session, spec, lease, terms, None, careful=True)


def _apply(
    session: Session,
    spec: Spec,
    lease: Lease,
    terms: Terms,
    foreseen: Foreseen | None,
    *,
    careful: bool = False,
) -> Applied:
    began = time.monotonic()
    with session.writing(lease.chunk.run) as connection:
        take(connection, lease)
        form = framed(session, connection, spec)
        done = None if careful else at_once(session, connection, form, lease, foreseen)
        raw: list[tuple[Any, ...]] = []
        bad: list[Issue] = []
        if careful:
            raw, bad = _row_by_row(session, connection, form, lease)
        elif done is None:
            raw = _chunk(session, connection, form, lease)
        work = _work(session, connection, form, raw, careful=careful)
        seen = [*work.keys, *(issue.key for issue in bad)]
        for key in lacking(form.frame.key, lease.chunk.keys or (), seen):
            bad.append(Issue(key=key, bucket=Bucket.GONE, reason=GONE))
        if done is None:
            write_work(work)
        else:
            work.written, work.undo = done
        outcome = Outcome()
        for issue in bad:
            outcome = outcome.plus(issue.bucket)
        applied = close_books(
            work,
            lease,
            terms,
            spec=spec,
            settled=Settled(
                page=_nothing(), index=(), values=(), outcome=outcome, issues=tuple(bad)
            ),
            moved=(),
            began=began,
        )
    return replace(applied, took=timedelta(seconds=time.monotonic() - began))


def _nothing() -> Page:
    """No page was brought here: the database computed by itself."""
    return Page(keys=(), rows=(), versions=(), images=())


def select_computed(form: Layout, condition: str) -> str:
    """The usual SELECT with what each expression gives behind the usual columns."""
    frame = form.frame
    computed = ", ".join(f"{e} AS x{i}" for i, e in enumerate(expressions(frame)))
    return form.select(condition, computed=computed)


def _chunk(
    session: Session, connection: sqlite3.Connection, form: Layout, lease: Lease
) -> list[tuple[Any, ...]]:
    condition, values = scope(session, form.frame, lease)
    sql = select_computed(form, f"{condition} AND {form.frame.eligible}")
    return session.fetch(connection, sql, {**values, **form.frame.values})


def _row_by_row(
    session: Session, connection: sqlite3.Connection, form: Layout, lease: Lease
) -> tuple[list[tuple[Any, ...]], list[Issue]]:
    """Compute what can be computed, by halves; rows whose expression fails are listed."""
    plain = rows_of_chunk(session, connection, form, lease)
    keys = to_keys([[r[i] for r in plain] for i in form.key_at]) if plain else []
    computed: list[tuple[Any, ...]] = []
    bad: list[Issue] = []
    for some, outcome in _halves(session, connection, form, keys):
        if isinstance(outcome, Exception):
            bad.append(Issue(key=some[0], bucket=Bucket.FAILED, reason=reason(outcome)))
        else:
            computed += outcome
    return computed, bad


def _halves(
    session: Session, connection: sqlite3.Connection, form: Layout, keys: Sequence[Key]
) -> Iterator[tuple[Sequence[Key], list[tuple[Any, ...]] | Exception]]:
    pending = [keys] if keys else []
    while pending:
        some = pending.pop()
        condition, values = among([k.sql for k in form.frame.key], some)
        try:
            rows = session.fetch(
                connection, select_computed(form, condition), {**values, **form.frame.values}
            )
        except Refusal as error:
            if not is_refusal(error):
                raise
            if len(some) == 1:
                yield some, error
                continue
            middle = len(some) // 2
            pending += [some[middle:], some[:middle]]
        else:
            yield some, rows


def _work(
    session: Session,
    connection: sqlite3.Connection,
    form: Layout,
    raw: list[tuple[Any, ...]],
    *,
    careful: bool,
) -> Work:
    columns = list(zip(*raw, strict=True))
    count = len(form.frame.fills)
    return Work(
        session=session,
        connection=connection,
        form=form,
        careful=careful,
        keys=to_keys([columns[i] for i in form.key_at]) if raw else [],
        raw=raw,
        before=page_images(form, columns) if raw else [],
        values=[list(c) for c in columns[-count:]] if raw else [],
    )
