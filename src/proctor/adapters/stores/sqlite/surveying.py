"""How much is there, and what does it look like: questions that write nothing."""

from __future__ import annotations

import csv
import random
import sqlite3

from collections.abc import Sequence
from typing import Any, Final

from proctor.adapters.stores.numbers import one_number
from proctor.adapters.stores.sqlite import tables
from proctor.adapters.stores.sqlite.catalog import ident
from proctor.adapters.stores.sqlite.expressions import select_computed
from proctor.adapters.stores.sqlite.frame import Frame
from proctor.adapters.stores.sqlite.keys import KeyColumn, among, in_order, to_keys
from proctor.adapters.stores.sqlite.rows import Layout, framed, page_of
from proctor.adapters.stores.sqlite.session import Session, utc_now
from proctor.adapters.stores.sqlite.values import MOST
from proctor.adapters.stores.sqlite.work import unstorable
from proctor.errors import UsageError
from proctor.model import Health, Key, Page, Settled, Signal, Span, Spec, Survey

KEYS_A_QUESTION: Final = 5_000
COUNT_UP_TO: Final = 2_000_000
"""Rows that are counted even where an estimate would do: it takes a moment."""
PROBED: Final = 20_000
MEASURED: Final = 200
LOAD_WINDOW: Final = 10.0
"""Seconds that the throttle's signals look back."""
LEAST_WAIT: Final = 0.05
"""Seconds of waiting in that window that say nothing yet."""
BUSY_LIMIT: Final = 0.75
COMMIT_LIMIT: Final = 1.0


LEAST_ROW: Final = 8
"""Bytes that a row takes in a page, with its place in the page's list."""


def survey(session: Session, spec: Spec, span: Span, *, exact: bool) -> Survey:
    """Rows, eligible rows and bounds of a span, in one read transaction."""
    with session.reading(session.quiet) as connection:
        form = framed(session, connection, spec)
        frame = form.frame
        condition, values = _scope(frame, span)
        values |= frame.values
        first = _end(session, frame, condition, values, frame.order)
        last = _end(session, frame, condition, values, frame.backwards)
        counted = exact or bool(span.keys) or not _is_big(connection, frame)
        if counted:
            rows, eligible = _counts(connection, frame, condition, values)
        else:
            rows, eligible = _estimates(connection, frame, condition, values)
        if span.limit is not None:
            eligible = min(eligible, span.limit)
        return Survey(
            rows=rows,
            eligible=eligible,
            first=first,
            last=last,
            row_bytes=_row_bytes(session, connection, frame),
            writes_per_row=_writes_per_row(frame),
            estimated=not counted,
        )


def lacking(session: Session, spec: Spec) -> tuple[str, ...]:
    """Filled columns that are null in any row of the whole target."""
    with session.reading(session.quiet) as connection:
        target = framed(session, connection, spec).frame.target
        return tuple(
            name
            for name in spec.fills
            if "." not in name
            and connection.execute(
                f"SELECT EXISTS (SELECT 1 FROM {target.sql} WHERE {target.column(name)} IS NULL)"
            ).fetchone()[0]
        )


def _scope(frame: Frame, span: Span) -> tuple[str, dict[str, Any]]:
    condition, values = frame.between(span.start, span.stop, inclusive=True)
    if span.keys:
        listed, more = among([k.sql for k in frame.key], span.keys)
        return f"{condition} AND {listed}", {**values, **more}
    return condition, values


def _counts(
    connection: sqlite3.Connection, frame: Frame, condition: str, values: dict[str, Any]
) -> tuple[int, int]:
    rows, eligible = connection.execute(
        f"SELECT count(*), coalesce(sum(coalesce({frame.eligible}, 0) <> 0), 0) "
        f"FROM {frame.origin} WHERE {condition}",
        values,
    ).fetchone()
    return int(rows), int(eligible)


def _is_big(connection: sqlite3.Connection, frame: Frame) -> bool:
    return _rows_guessed(connection, frame) > COUNT_UP_TO


def _rows_guessed(connection: sqlite3.Connection, frame: Frame) -> int:
    """At most how many rows, at no cost: from ANALYZE, or the ends of the rowid and the file."""
    if frame.source is None:
        return 0
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'").fetchone():
        row = connection.execute(
            "SELECT stat FROM sqlite_stat1 WHERE tbl = ? AND stat GLOB '[0-9]*' LIMIT 1",
            (frame.source.name,),
        ).fetchone()
        if row:
            return int(str(row[0]).split()[0])
    if frame.source.rowid is None:
        return 0
    column = frame.source.column(frame.source.rowid)
    low, high = connection.execute(
        f"SELECT (SELECT min({column}) FROM {frame.source.sql}), "
        f"(SELECT max({column}) FROM {frame.source.sql})"
    ).fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    # Keys may have wide holes; no file holds more rows than have room in it.
    return 0 if low is None else min(int(high) - int(low) + 1, pages * size // LEAST_ROW)


def _estimates(
    connection: sqlite3.Connection, frame: Frame, condition: str, values: dict[str, Any]
) -> tuple[int, int]:
    """The guess of rows, and the share of eligible ones among the first that are looked at."""
    rows = _rows_guessed(connection, frame)
    seen, eligible = connection.execute(
        f"SELECT count(*), coalesce(sum(e), 0) FROM (SELECT coalesce({frame.eligible}, 0) <> 0 "
        f"AS e FROM {frame.origin} WHERE {condition} ORDER BY {frame.order} LIMIT {PROBED})",
        values,
    ).fetchone()
    return rows, round(rows * eligible / seen) if seen else 0


def _end(
    session: Session,
    frame: Frame,
    condition: str,
    values: dict[str, Any],
    order: str,
) -> Key | None:
    rows = session.fetch(
        session.quiet,
        f"SELECT {', '.join(k.sql for k in frame.key)} FROM {frame.origin} "
        f"WHERE {condition} ORDER BY {order} LIMIT 1",
        values,
    )
    return to_keys([[v] for v in rows[0]])[0] if rows else None


def _row_bytes(session: Session, connection: sqlite3.Connection, frame: Frame) -> float:
    if frame.source is None:
        return 0.0
    rows = session.fetch(connection, f"SELECT * FROM {frame.source.sql} LIMIT {MEASURED}")
    total = sum(len(v) + 1 if isinstance(v, str | bytes) else 9 for row in rows for v in row)
    return total / len(rows) if rows else 0.0


def _writes_per_row(frame: Frame) -> float:
    """The row itself, and every index that holds a column that is written."""
    columns = {f.column.name for f in frame.fills}
    touched = [
        i for i in frame.target.indexes.values() if any(c is None or c in columns for c in i)
    ]
    return 1.0 + len(touched)


def sample(
    session: Session, spec: Spec, count: int, *, span: Span, seed: int | None, latest: bool
) -> Page:
    """Some rows to look at, in scan order."""
    with session.reading(session.quiet) as connection:
        form = framed(session, connection, spec)
        frame = form.frame
        if span.keys:
            return _page(session, connection, form, in_order(frame.key, span.keys))
        condition, values = _scope(frame, span)
        values |= frame.values
        eligible = f"{condition} AND {frame.eligible}"
        names = ", ".join(k.sql for k in frame.key)
        order = frame.backwards if latest else frame.order
        sql = f"SELECT {names} FROM {frame.origin} WHERE {eligible} ORDER BY {order}"
        if seed is not None and not latest:
            rows = _drawn(connection.execute(sql, values), count, seed)
        else:
            rows = session.fetch(connection, f"{sql} LIMIT :count", {**values, "count": count})
        keys = to_keys(list(zip(*rows, strict=True))) if rows else []
        return _page(session, connection, form, in_order(frame.key, keys))


def _drawn(rows: sqlite3.Cursor, count: int, seed: int) -> list[tuple[Any, ...]]:
    """A simple random sample of a stream, with little memory: reservoir sampling."""
    dice = random.Random(seed)  # noqa: S311 - a sample, not a secret
    kept: list[tuple[Any, ...]] = []
    for n, row in enumerate(rows):
        if n < count:
            kept.append(row)
        elif (place := dice.randrange(n + 1)) < count:
            kept[place] = row
    return kept


def read_keys(session: Session, spec: Spec, keys: Sequence[Key]) -> Page:
    """These rows as they stand, eligible or not."""
    with session.reading(session.quiet) as connection:
        form = framed(session, connection, spec)
        return _page(session, connection, form, in_order(form.frame.key, keys))


def _page(
    session: Session, connection: sqlite3.Connection, form: Layout, keys: Sequence[Key]
) -> Page:
    """Rows of these keys, with what the expressions of a spec give for each, as text."""
    raw: list[tuple[Any, ...]] = []
    frame = form.frame
    for at in range(0, len(keys), KEYS_A_QUESTION):
        condition, values = among([k.sql for k in frame.key], keys[at : at + KEYS_A_QUESTION])
        select = select_computed if frame.spec.sql else Layout.select
        raw += session.fetch(connection, select(form, condition), {**values, **frame.values})
    page = page_of(form, raw, asked=tuple(keys))
    if frame.spec.sql:
        width = len(frame.fills)
        for row, values_ in zip(page.rows, raw, strict=True):
            for fill, value in zip(frame.fills, values_[-width:], strict=True):
                if fill.name != frame.spec.stamp:
                    row[f"= {fill.name}"] = _text(value)
    return page


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.hex() if isinstance(value, bytes) else str(value)


def parse_key(session: Session, spec: Spec, text: str) -> Key:
    """A key as a person types it: parts separated by commas, quoted as in CSV where needed."""
    with session.reading(session.quiet) as connection:
        columns = framed(session, connection, spec).frame.key
    parts = [text] if len(columns) == 1 else next(csv.reader([text]), [])
    if len(parts) != len(columns):
        raise UsageError(
            f"{text!r} is not a key of {spec.source if spec.into is None else spec.backfill}",
            found=f"{len(parts)} parts instead of {len(columns)}",
            fix=f"type {','.join(c.name.upper() for c in columns)}",
        )
    return to_keys([[_typed(c, p)] for c, p in zip(columns, parts, strict=True)])[0]


def _typed(column: KeyColumn, text: str) -> Any:
    try:
        if column.kind == "integer":
            number = int(text.strip())
            if -MOST <= number < MOST:
                return number
        elif column.kind == "blob":
            return bytes.fromhex(text.strip().removeprefix("X'").removesuffix("'"))
        else:
            # Keys are typed as they are printed: text like a mark has a quote in front there.
            return text[1:] if text.startswith(("''", "'X'")) else text
    except ValueError:
        pass
    kinds = {"integer": "a whole number", "blob": "a blob in hexadecimal digits"}
    raise UsageError(
        f"{text!r} cannot be a key",
        found=f"{ident(column.name)} holds {kinds[column.kind]}",
        fix="write keys as `proctor failures` and the reports print them",
    )


def health(session: Session) -> Health:
    """How long writes of this process waited for the file and took, and who else is at work."""
    now = session.now()
    waited = sum(seconds for at, seconds in session.waits if now - at < LOAD_WINDOW)
    wrote = sum(seconds for at, seconds in session.writes if now - at < LOAD_WINDOW)
    commits = [seconds for at, seconds in session.commits if now - at < LOAD_WINDOW]
    with session.reading(session.quiet) as connection:
        runs = 0
        if tables.ready(connection):
            rows = connection.execute(f"{tables.RUNS} WHERE state = 'running'").fetchall()
            runs = sum(not tables.run_of(r).interrupted for r in rows)
    return Health(
        at=utc_now(),
        signals=(
            Signal(
                name="busy",
                value=waited / (waited + wrote) if waited > LEAST_WAIT else 0.0,
                limit=BUSY_LIMIT,
                why="share of this process's time at the file that went by waiting for others",
            ),
            Signal(
                name="commit_latency",
                value=sum(commits) / len(commits) if commits else 0.0,
                limit=COMMIT_LIMIT,
                unit="s",
            ),
        ),
        runs=max(1, runs),
    )


def unfit(session: Session, spec: Spec, settled: Settled) -> dict[int, str]:
    """Rows that could not be stored, on the connection that cannot write."""
    with session.reading(session.quiet) as connection:
        return {} if spec.emits else unstorable(framed(session, connection, spec), settled)


def measure(session: Session, sql: str) -> float:
    """The one number of a user's SELECT, on the connection that cannot write."""
    with session.reading(session.quiet) as connection:
        return one_number(session.fetch(connection, sql))
