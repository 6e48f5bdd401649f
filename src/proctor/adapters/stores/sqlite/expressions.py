"""`sql=`: read, compute and write inside the database, with the same books and images."""

from __future__ import annotations

import operator
import re
import sqlite3
import time

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from proctor.adapters.stores.journal import Undo, pack
from proctor.adapters.stores.sqlite.applying import GONE, close_books, take
from proctor.adapters.stores.sqlite.catalog import ident
from proctor.adapters.stores.sqlite.faults import Refusal, is_refusal, reason
from proctor.adapters.stores.sqlite.frame import Frame
from proctor.adapters.stores.sqlite.keys import among, lacking, to_keys
from proctor.adapters.stores.sqlite.rows import Layout, framed, page_images, rows_of_chunk
from proctor.adapters.stores.sqlite.session import Session
from proctor.adapters.stores.sqlite.values import prepare
from proctor.adapters.stores.sqlite.work import Work, write_work
from proctor.model import Applied, Bucket, Issue, Key, Lease, Outcome, Spec
from proctor.ports import Terms

_FICKLE: Final = re.compile(
    r"\b(random\w*|changes|total_changes|last_insert_rowid|now|current_\w+|unixepoch|date\w*|"
    r"time\w*|julianday|strftime|select)\b",
    re.IGNORECASE,
)
"""Words of expressions that may give another value when they are computed a second time."""


def apply_sql(session: Session, spec: Spec, lease: Lease, terms: Terms) -> Applied:
    """Fill a chunk by the spec's expressions; a careful second try finds bad rows."""
    try:
        return _apply(session, spec, lease, terms, careful=False)
    except Refusal as error:
        if not is_refusal(error):
            raise
    return _apply(session, spec, lease, terms, careful=True)


def _apply(session: Session, spec: Spec, lease: Lease, terms: Terms, *, careful: bool) -> Applied:
    began = time.monotonic()
    with session.writing(lease.chunk.run) as connection:
        take(connection, lease)
        form = framed(session, connection, spec)
        if careful:
            raw, bad = _row_by_row(session, connection, form, lease)
        else:
            raw, bad = _chunk(session, connection, form, lease), []
        work = _work(session, connection, form, raw, careful=careful)
        seen = [*work.keys, *(issue.key for issue in bad)]
        for key in lacking(form.frame.key, lease.chunk.keys or (), seen):
            bad.append(Issue(key=key, bucket=Bucket.GONE, reason=GONE))
        if careful or not _by_range(work, lease):
            write_work(work)
        outcome = Outcome()
        for issue in bad:
            outcome = outcome.plus(issue.bucket)
        applied = close_books(
            work, lease, terms, outcome=outcome, issues=bad, moved=(), began=began
        )
    return replace(applied, took=timedelta(seconds=time.monotonic() - began))


def expressions(frame: Frame) -> list[str]:
    """The author's expressions in the order of the fields; the stamp comes as a constant."""
    by_name = dict(frame.spec.sql)
    return [
        f"({frame.author(by_name[f.name])}\n)" if f.name in by_name else ":stamp"
        for f in frame.fills
    ]


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


def scope(session: Session, frame: Frame, lease: Lease) -> tuple[str, dict[str, Any]]:
    """The condition of a chunk's rows and its values."""
    chunk = lease.chunk
    if chunk.keys is not None:
        return among([k.sql for k in frame.key], chunk.keys)
    first = chunk.after is None
    after = session.start_of(chunk.run) if first else chunk.after
    return frame.between(after, chunk.upto, inclusive=first)


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


def _by_range(work: Work, lease: Lease) -> bool:
    """Write a whole chunk by one statement, where it would write just what was computed.

    Not with triggers, documents, another table or an expression that may change its mind;
    and not where a row would not change: it must not be touched.
    """
    form = work.form
    frame = form.frame
    spec = frame.spec
    if (
        frame.into
        or spec.preserve
        or frame.target.triggers
        or any(f.path or f.column.not_null for f in frame.fills)
        or _FICKLE.search(" ".join(sql for _, sql in spec.sql))
        or not work.keys
    ):
        return False
    made = [
        prepare(work.connection, v, f.column.affinity, name=f.name)
        for f, v in zip(frame.fills, work.values, strict=True)
    ]
    after = zip(*(m.stored for m in made), strict=True)
    if any(m.bad for m in made) or any(map(operator.eq, work.before, after)):
        return False
    condition, values = scope(work.session, frame, lease)
    assigned = ", ".join(
        f"{ident(f.column.name)} = {e}"
        for f, e in zip(frame.fills, expressions(frame), strict=True)
    )
    written = work.connection.execute(
        f"UPDATE OR ABORT {frame.target.sql} SET {assigned} WHERE {condition} AND {frame.eligible}",
        {**values, **frame.values},
    ).rowcount
    if written != len(work.keys):
        raise sqlite3.IntegrityError("the database left rows unwritten")
    work.written = written
    work.undo = pack(
        Undo(
            fields=tuple(f.name for f in frame.fills),
            keys=work.keys,
            before=list(zip(*work.before, strict=True)),
            after=[m.stored for m in made],
        )
    )
    return True
