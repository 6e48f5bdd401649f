"""One unit's rows in one transaction: looked up under its lock, written all or none, imaged."""

from __future__ import annotations

import time

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from proctor.adapters.stores.sqlite.applying import close_books, take
from proctor.adapters.stores.sqlite.faults import Refusal, is_refusal
from proctor.adapters.stores.sqlite.keys import ranks, to_keys, to_part
from proctor.adapters.stores.sqlite.rows import Layout, framed, page_images, rows_of_keys
from proctor.adapters.stores.sqlite.session import Session
from proctor.adapters.stores.sqlite.work import Work, write_work
from proctor.errors import EngineError
from proctor.model import Applied, Bucket, Emitted, Key, Lease, Settled, Spec
from proctor.ports import Terms

TWICE = "two of its rows have what is one key in this table"
LOST = "a row was not found under its key after it was written: a trigger changed it"


def apply(session: Session, spec: Spec, lease: Lease, settled: Settled, terms: Terms) -> Applied:
    """Write a unit's rows; a second, careful try finds those that are refused."""
    try:
        return _apply(session, spec, lease, settled, terms, careful=False)
    except Refusal as error:
        if not is_refusal(error):
            raise
    return _apply(session, spec, lease, settled, terms, careful=True)


def _apply(
    session: Session, spec: Spec, lease: Lease, settled: Settled, terms: Terms, *, careful: bool
) -> Applied:
    if len(settled.index) > 1:
        raise EngineError("a chunk holds the rows of one unit")
    began = time.monotonic()
    with session.writing(lease.chunk.run) as connection:
        take(connection, lease)
        unit = Work(
            session=session,
            connection=connection,
            form=framed(session, connection, spec),
            careful=careful,
            keys=[settled.page.keys[i] for i in settled.index],
            raw=[],
            before=[],
            values=[],
        )
        rows = 0
        if unit.keys and spec.only_touches:  # nothing of ours is written: its service did that
            unit.refuse({0: ""}, Bucket.UNCHANGED)
        elif unit.keys:
            rows = _emit(unit, framed(session, connection, spec.written), settled.emitted[0])
        applied = close_books(
            unit,
            lease,
            terms,
            spec=spec,
            settled=settled,
            moved=[],
            began=began,
            emitted=rows,
        )
    return replace(applied, took=timedelta(seconds=time.monotonic() - began))


def _emit(unit: Work, form: Layout, emitted: Sequence[Emitted]) -> int:
    """Write the rows and settle the unit: written, unchanged, or failed with none of them."""
    connection = unit.connection
    connection.execute("SAVEPOINT proctor_unit")
    work = _work(unit, form, emitted)
    why = TWICE if work is None else ""
    if work is not None:
        try:
            write_work(work)
        except KeyError:
            why = LOST
        else:
            why = _failed(work, len(emitted))
    if why:
        connection.execute("ROLLBACK TO proctor_unit")
    connection.execute("RELEASE proctor_unit")
    if why or work is None:
        unit.refuse({0: why})
        return 0
    if not work.written:
        unit.refuse({0: ""}, Bucket.UNCHANGED)
        return 0
    unit.written, unit.undo = 1, work.undo
    return work.written


def _failed(work: Work, rows: int) -> str:
    """Why a unit cannot be written; empty where it was."""
    reasons = Counter(i.reason for i in work.issues if i.bucket is Bucket.FAILED)
    if not reasons:
        return ""
    reason, count = reasons.most_common(1)[0]
    return f"{count} of its {rows} rows cannot be written: {reason}"


def _work(unit: Work, form: Layout, emitted: Sequence[Emitted]) -> Work | None:
    """The rows as they stand now, and what they are to hold; None where two share a key."""
    frame = form.frame
    keys = [_stored(form, key) for key, _ in emitted]
    raw = rows_of_keys(unit.session, unit.connection, form, keys, eligible=False)
    columns = list(zip(*raw, strict=True))
    found = to_keys([columns[i] for i in form.key_at]) if raw else []
    images = page_images(form, columns) if raw else []
    there = {ranks(frame.key, k): n for n, k in enumerate(found)}
    ranked = [ranks(frame.key, key) for key in keys]
    if len(set(ranked)) != len(ranked):
        return None
    places = [there.get(rank) for rank in ranked]
    nothing = (None,) * len(form.source_names)
    return Work(
        session=unit.session,
        connection=unit.connection,
        form=form,
        careful=unit.careful,
        keys=[k if n is None else found[n] for k, n in zip(keys, places, strict=True)],
        raw=[nothing if n is None else raw[n] for n in places],
        before=[None if n is None else images[n] for n in places],
        values=[list(c) for c in zip(*(values for _, values in emitted), strict=True)],
    )


def _stored(form: Layout, key: Key) -> Key:
    """A key as the file would hold it, so that it is found again: '7' in a column of numbers."""
    return tuple(
        to_part(_of_affinity(part, form.frame.source_fields[column.name].affinity))
        for part, column in zip(key, form.frame.key, strict=True)
    )


def _of_affinity(part: str | int, affinity: str) -> Any:
    if affinity == "TEXT":
        return str(part)
    if affinity in ("INTEGER", "NUMERIC") and isinstance(part, str):
        try:
            number = int(part)
        except ValueError:
            return part
        return number if str(number) == part else part
    return part


__all__ = ["apply"]
