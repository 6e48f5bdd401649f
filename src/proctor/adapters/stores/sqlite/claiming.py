"""Chunks: cut from the key space, claimed under a fence, handed back, cut in two."""

from __future__ import annotations

import sqlite3

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from proctor.adapters.stores.records import (
    key_from_json,
    key_to_json,
    keys_from_json,
    keys_to_json,
    span_from_json,
    time_to_text,
    unpack_issues,
)
from proctor.adapters.stores.sqlite import tables, units
from proctor.adapters.stores.sqlite.frame import Frame
from proctor.adapters.stores.sqlite.keys import to_keys
from proctor.adapters.stores.sqlite.rows import framed
from proctor.adapters.stores.sqlite.session import Session, utc_now
from proctor.errors import Fenced, TooSlow
from proctor.model import Bucket, Chunk, Key, Lease, Page, Run, Span, Spec


def claim(
    session: Session,
    run: Run,
    spec: Spec,
    worker: str,
    *,
    count: int,
    rows: int,
    lease_for: timedelta,
) -> list[Lease]:
    """Open or expired chunks first, then new ones; committed before it returns."""
    now = utc_now()
    until = now + lease_for
    with session.writing() as connection:
        _granting(connection, run)
        free = _free(connection, run.id, now, count)
        units.lose(connection, spec, run.id, [c.number for c, _, state in free if state != "open"])
        leases = [_take(connection, c, fence, worker, until) for c, fence, _ in free]
        if len(leases) < count:
            frame = framed(session, connection, spec).frame
            rows = spec.chunk_rows(rows)
            cutter = Cutter(session, connection, frame, run.id)
            new = cutter.cut(count - len(leases), rows)
            leases += [_take(connection, chunk, 0, worker, until) for chunk in new]
    return leases


def _granting(connection: sqlite3.Connection, run: Run) -> None:
    row = connection.execute(
        "SELECT state, epoch FROM proctor_runs WHERE id = ?", (run.id,)
    ).fetchone()
    if row != ("running", run.epoch):
        why = "it is gone" if row is None else f"it is {row[0]}"
        if row is not None and row[1] != run.epoch:
            why = "another process took it over"
        raise Fenced(f"run {run.id} grants no claims", found=why)


def _free(
    connection: sqlite3.Connection, run: str, now: datetime, count: int
) -> list[tuple[Chunk, int, str]]:
    """Chunks that may be claimed, each with its fence and the state that it is in."""
    rows = connection.execute(
        f"SELECT {tables.CHUNK_COLUMNS} FROM proctor_chunks WHERE run = ? "
        "AND state IN ('open', 'claimed') AND (state = 'open' OR claimed_until < ?) "
        "ORDER BY number LIMIT ?",
        (run, time_to_text(now), count),
    ).fetchall()
    return [(tables.chunk_of(r), r[9], r[8]) for r in rows]


def _take(
    connection: sqlite3.Connection, chunk: Chunk, fence: int, worker: str, until: datetime
) -> Lease:
    connection.execute(
        "UPDATE proctor_chunks SET state = 'claimed', fence = ?, worker = ?, claimed_until = ? "
        "WHERE run = ? AND number = ?",
        (fence + 1, worker, time_to_text(until), chunk.run, chunk.number),
    )
    return Lease(chunk=chunk, fence=fence + 1, worker=worker, until=until)


class Cutter:
    """Cuts new chunks of the first pass behind the run's cursor."""

    def __init__(
        self, session: Session, connection: sqlite3.Connection, frame: Frame, run: str
    ) -> None:
        self.session = session
        self.connection = connection
        self.frame = frame
        self.run = run
        cursor, last, span = connection.execute(
            "SELECT cursor, last, span FROM proctor_runs WHERE id = ?", (run,)
        ).fetchone()
        self.cursor = key_from_json(cursor)
        self.last = key_from_json(last)
        self.span: Span = span_from_json(span)

    def cut(self, count: int, rows: int) -> Iterable[Chunk]:
        """Up to `count` new chunks; the run's cursor moves behind them."""
        chunks: list[Chunk] = []
        if self.last is None or self.span.keys:
            return chunks
        left = self._left()
        while len(chunks) < count and left != 0:
            wanted = rows if left is None else min(rows, left)
            chunk = self._next(wanted, explicit=left is not None)
            if chunk is None:
                self.cursor = self.last
                break
            chunks.append(chunk)
            if left is not None:
                left -= len(chunk.keys or ())
        self.connection.execute(
            "UPDATE proctor_runs SET cursor = ? WHERE id = ?", (key_to_json(self.cursor), self.run)
        )
        return chunks

    def _left(self) -> int | None:
        """How many rows the run's limit still allows; None without one."""
        if self.span.limit is None:
            return None
        (planned,) = self.connection.execute(
            "SELECT coalesce(sum(planned), 0) FROM proctor_chunks WHERE run = ?", (self.run,)
        ).fetchone()
        return max(0, self.span.limit - int(planned))

    def _next(self, rows: int, *, explicit: bool) -> Chunk | None:
        """The next range of `rows` keys; under a limit the next eligible keys themselves."""
        keys = self._keys(rows) if explicit else self._end(rows)
        if not keys:
            return None
        chunk = Chunk(
            run=self.run,
            number=tables.next_number(self.connection, self.run),
            after=self.cursor,
            upto=keys[-1],
            keys=tuple(keys) if explicit else None,
        )
        add_chunk(self.connection, chunk, planned=len(keys) if explicit else 0)
        self.cursor = chunk.upto
        return chunk

    def _scope(self) -> tuple[str, dict[str, Any]]:
        if self.cursor is None:
            return self.frame.between(self.span.start, self.last, inclusive=True)
        return self.frame.between(self.cursor, self.last)

    def _keys(self, rows: int) -> list[Key]:
        condition, values = self._scope()
        frame = self.frame
        found = self.session.fetch(
            self.connection,
            f"SELECT {', '.join(k.sql for k in frame.key)} FROM {frame.origin} "
            f"WHERE {condition} AND {frame.eligible} ORDER BY {frame.order} LIMIT :rows",
            {**values, **frame.values, "rows": rows},
        )
        return to_keys(list(zip(*found, strict=True))) if found else []

    def _end(self, rows: int) -> list[Key]:
        """The last of the next `rows` keys, without bringing them here."""
        condition, values = self._scope()
        frame = self.frame
        inner = ", ".join(f"{k.sql} AS k{i}" for i, k in enumerate(frame.key))
        names = [f"k{i}" for i in range(len(frame.key))]
        if len(names) == 1:
            what = f"{'min' if frame.key[0].descending else 'max'}(k0)"
            tail = ""
        else:
            what = ", ".join(names)
            ends = zip(names, frame.key, strict=True)
            order = ", ".join(n if k.descending else f"{n} DESC" for n, k in ends)
            tail = f"ORDER BY {order} LIMIT 1"
        if frame.spec.alone:  # each of the others would cost a claim and a transaction
            condition = f"{condition} AND {frame.eligible}"
        found = self.session.fetch(
            self.connection,
            f"SELECT {what} FROM (SELECT {inner} FROM {frame.origin} "
            f"WHERE {condition} ORDER BY {frame.order} LIMIT :rows) {tail}",
            {**values, **frame.values, "rows": rows},
        )
        if not found or found[0][0] is None:
            return []
        return to_keys(list(zip(*found, strict=True)))


def add_chunk(
    connection: sqlite3.Connection,
    chunk: Chunk,
    *,
    planned: int = 0,
    fence: int = 0,
    worker: str = "",
    until: datetime | None = None,
) -> None:
    """A new chunk's row: open, or claimed at once where a worker is given."""
    tables.insert(
        connection,
        "proctor_chunks",
        {
            "run": chunk.run,
            "number": chunk.number,
            "after": key_to_json(chunk.after),
            "upto": key_to_json(chunk.upto),
            "keys": keys_to_json(chunk.keys),
            "sweep": chunk.sweep,
            "attempt": chunk.attempt,
            "revisited": chunk.revisited,
            "planned": planned,
            "state": "claimed" if worker else "open",
            "fence": fence,
            "worker": worker,
            "claimed_until": time_to_text(until),
        },
    )


def add_key_chunks(
    connection: sqlite3.Connection,
    run: str,
    keys: Sequence[Key],
    *,
    size: int,
    sweep: int = 0,
    planned: bool = False,
    conflicted: frozenset[Key] | set[Key] = frozenset(),
) -> None:
    """Open chunks of explicit keys, which are in scan order."""
    number = tables.next_number(connection, run)
    for at in range(0, len(keys), size):
        some = tuple(keys[at : at + size])
        chunk = Chunk(
            run=run,
            number=number,
            after=None,
            upto=some[-1],
            keys=some,
            sweep=sweep,
            revisited=sum(k in conflicted for k in some),
        )
        add_chunk(connection, chunk, planned=len(some) if planned else 0)
        number += 1


def reclaim(session: Session, lease: Lease, lease_for: timedelta) -> Lease | None:
    """A new claim on a chunk in doubt; None where its write had taken place."""
    chunk = lease.chunk
    with session.writing() as connection:
        row = connection.execute(
            "SELECT state, fence FROM proctor_chunks WHERE run = ? AND number = ?",
            (chunk.run, chunk.number),
        ).fetchone()
        if row is not None and row[0] == "applied":
            return None
        if row != ("claimed", lease.fence):
            raise _lost(lease)
        return _take(connection, chunk, lease.fence, lease.worker, utc_now() + lease_for)


def release(session: Session, leases: Sequence[Lease]) -> None:
    """Chunks that were not worked on are open again at once."""
    with session.writing() as connection:
        connection.executemany(
            "UPDATE proctor_chunks SET state = 'open', claimed_until = NULL, worker = '', "
            "fence = fence + 1 WHERE run = ? AND number = ? AND fence = ? AND state = 'claimed'",
            [(x.chunk.run, x.chunk.number, x.fence) for x in leases],
        )


def split(session: Session, spec_of: Spec, lease: Lease, page: Page | None) -> None:
    """Two open chunks in the place of one that was too slow."""
    chunk = lease.chunk
    with session.writing() as connection:
        frame = framed(session, connection, spec_of).frame
        taken = connection.execute(
            "UPDATE proctor_chunks SET state = 'split', planned = 0 "
            "WHERE run = ? AND number = ? AND fence = ? AND state = 'claimed'",
            (chunk.run, chunk.number, lease.fence),
        ).rowcount
        if not taken:
            raise _lost(lease)
        keys = chunk.keys or (page.keys if page is not None and len(page.keys) > 1 else None)
        if keys is None:
            keys = _all_keys(session, connection, frame, chunk)
        if len(keys) < 2:
            raise TooSlow(
                f"chunk {chunk.number} of run {chunk.run} cannot be cut",
                found="it has a single row, which alone is too slow",
                fix="raise the statement time-out, or look for locks on that row",
            )
        middle = keys[(len(keys) - 1) // 2]
        number = tables.next_number(connection, chunk.run)
        first = replace(chunk, number=number, upto=middle)
        second = replace(chunk, number=number + 1, after=middle)
        planned = (0, 0)
        if chunk.keys is not None:
            half = (len(keys) + 1) // 2
            first = replace(first, keys=chunk.keys[:half])
            second = replace(second, keys=chunk.keys[half:])
            first, second = _share(connection, chunk, first, second)
            span: Span = span_from_json(
                connection.execute(
                    "SELECT span FROM proctor_runs WHERE id = ?", (chunk.run,)
                ).fetchone()[0]
            )
            if span.limit is not None and chunk.sweep == 0 and chunk.attempt == 1:
                planned = (half, len(keys) - half)
        add_chunk(connection, first, planned=planned[0])
        add_chunk(connection, second, planned=planned[1])


def _share(
    connection: sqlite3.Connection, parent: Chunk, first: Chunk, second: Chunk
) -> tuple[Chunk, Chunk]:
    """Say of each half how many of its rows an earlier chunk had counted as conflicted."""
    if not parent.revisited:
        return first, second
    before = conflicted_keys(connection, parent.run, before=parent.number)
    mine = sum(k in before for k in first.keys or ())
    return replace(first, revisited=mine), replace(second, revisited=parent.revisited - mine)


def conflicted_keys(
    connection: sqlite3.Connection, run: str, *, before: int | None = None
) -> set[Key]:
    """Keys that are conflicted as the run's books stand."""
    found: set[Key] = set()
    rows = connection.execute(
        "SELECT number, revisited, keys, issues FROM proctor_chunks WHERE run = ? "
        "AND state = 'applied' AND (issues IS NOT NULL OR revisited) ORDER BY number",
        (run,),
    )
    for number, revisited, keys, issues in rows:
        if before is not None and number >= before:
            break
        if revisited:
            found -= set(keys_from_json(keys) or ())
        found |= {i.key for i in unpack_issues(issues) if i.bucket is Bucket.CONFLICTED}
    return found


def _all_keys(
    session: Session, connection: sqlite3.Connection, frame: Frame, chunk: Chunk
) -> Sequence[Key]:
    first = chunk.after is None
    after = session.start_of(chunk.run) if first else chunk.after
    condition, values = frame.between(after, chunk.upto, inclusive=first)
    rows = session.fetch(
        connection,
        f"SELECT {', '.join(k.sql for k in frame.key)} FROM {frame.origin} "
        f"WHERE {condition} ORDER BY {frame.order}",
        {**values, **frame.values},
    )
    return to_keys(list(zip(*rows, strict=True))) if rows else []


def _lost(lease: Lease) -> Fenced:
    return Fenced(
        f"chunk {lease.chunk.number} of run {lease.chunk.run} has another owner",
        found="a newer claim, or the run has ended",
    )
