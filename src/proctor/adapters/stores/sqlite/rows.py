"""Rows on their way out of the file: selected once, in columns, with images and versions."""

from __future__ import annotations

import json
import sqlite3

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from proctor.adapters.stores.sqlite import documents
from proctor.adapters.stores.sqlite.catalog import ident
from proctor.adapters.stores.sqlite.frame import Fill, Frame, frame_of
from proctor.adapters.stores.sqlite.keys import among, lacking, to_keys
from proctor.adapters.stores.sqlite.session import ReadSession, Session
from proctor.adapters.stores.sqlite.values import images
from proctor.model import Guard, Image, Key, Lease, Page, Row, Source, Spec

SAMPLED_FOR_SIZE = 20
"""Rows of a page that are measured; the rest is taken to be alike."""

Token = tuple[int, int]


class Versions(list[Any]):
    """The rows of a page as they were read, and the moment of the whole file.

    While `token` stands, no other connection has committed and nothing need be compared.
    """

    token: Token | None = None
    schema: int | None = None
    """The version of the file's schema that tells which value stands where in a row."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which value stands where in a selected row: the author's columns first."""

    frame: Frame
    source_names: tuple[str, ...]
    target_names: tuple[str, ...]
    """Columns of an `into` table behind those of the source; the key's first."""

    @cached_property
    def key_at(self) -> list[int]:
        """Positions of the key's parts."""
        return [self.source_names.index(k.name) for k in self.frame.key]

    @cached_property
    def present_at(self) -> int:
        """The position that is null where an `into` row does not exist."""
        return len(self.source_names)

    def at(self, column: str) -> int:
        """The position of a column of the target."""
        if self.frame.into:
            return len(self.source_names) + self.target_names.index(column)
        return self.source_names.index(column)

    @cached_property
    def json_names(self) -> list[str]:
        """Columns given to the author as what their JSON text holds."""
        frame = self.frame
        nested = {f.column.name for f in frame.fills if f.path and not frame.spec.into}
        return [n for n in frame.reads if frame.source_fields[n].is_json or n in nested]

    @cached_property
    def rows(self) -> Callable[[Sequence[Sequence[Any]]], list[Row]]:
        """Makes rows as the author gets them; written out for these names, as namedtuple does.

        A dict of names that the compiler knows is made in a third of the time.
        """
        pairs = ", ".join(f"{name!r}: r[{i}]" for i, name in enumerate(self.frame.reads))
        made = eval(f"lambda raw: [{{{pairs}}} for r in raw]", {})  # noqa: S307 (only literals)
        return cast("Callable[[Sequence[Sequence[Any]]], list[Row]]", made)

    def select(self, condition: str, *, computed: str = "") -> str:
        """The SELECT of these columns for rows of the source under a condition.

        `computed` are expressions over the source, each with a name, to come behind them.
        """
        frame = self.frame
        origin = frame.source.sql if frame.source is not None else None
        owner = origin or ident("proctor_query")
        names = [f"{owner}.{ident(n)}" for n in self.source_names]
        more = [computed] if computed else []
        if not frame.into:
            return (
                f"SELECT {', '.join([*names, *more])} FROM {frame.origin} "
                f"WHERE {condition} ORDER BY {frame.order}"
            )
        inner = ", ".join([*(f"{sql} AS c{i}" for i, sql in enumerate(names)), *more])
        outer = ", ".join(f"s.c{i}" for i in range(len(names)))
        count = len(frame.fills) if computed else 0
        there = ", ".join(
            [
                *(frame.target.column(n) for n in self.target_names),
                *(f"s.x{i}" for i in range(count)),
            ]
        )
        on = " AND ".join(
            f"{frame.target.column(t)} = s.c{i}"
            for t, i in zip(frame.target_key, self.key_at, strict=True)
        )
        keys = ", ".join(
            f"s.c{i}{' DESC' if k.descending else ''}"
            for k, i in zip(frame.key, self.key_at, strict=True)
        )
        return (
            f"SELECT {outer}, {there} FROM (SELECT {inner} FROM {frame.origin} "
            f"WHERE {condition}) AS s LEFT JOIN {frame.target.sql} ON {on} ORDER BY {keys}"
        )


def layout(frame: Frame) -> Layout:
    """Where everything stands."""
    written = [f.column.name for f in frame.fills] + list(frame.spec.preserve)
    key = [k.name for k in frame.key]
    own = [] if frame.into or frame.spec.emits else written
    return Layout(
        frame=frame,
        source_names=tuple(dict.fromkeys([*frame.reads, *key, *own])),
        target_names=tuple(dict.fromkeys([*frame.target_key, *written])) if frame.into else (),
    )


def framed(session: Session, connection: sqlite3.Connection, spec: Spec) -> Layout:
    """The frame of a spec and its layout, made anew when the file's schema has changed."""
    (version,) = connection.execute("PRAGMA schema_version").fetchone()
    known = session.frames.get(spec)
    if known is None or known[0] != version:
        known = session.frames[spec] = (version, layout(frame_of(connection, spec)))
    found: Layout = known[1]
    return found


def schema_of(session: Session, spec: Spec) -> int:
    """The version of the file's schema that the spec was last framed for."""
    version: int = session.frames[spec][0]
    return version


def token_of(session: Session, frame: Frame, run: str) -> Token:
    """The moment of the whole file, as far as rows of this run are concerned.

    `data_version` is silent about our own commits: those of other runs count, and with
    triggers or cascades, which may touch any row, those of this one too.
    """
    (version,) = session.main.execute("PRAGMA data_version").fetchone()
    return version, _commits(session, frame, run)


def _commits(session: Session, frame: Frame, run: str) -> int:
    own = session.commits_made
    return own - session.own_commits[run] if frame.lonely else own


def earlier_token(session: Session, frame: Frame, run: str) -> Token | None:
    """The last moment that the writing session knows of, for what is read beside it hereafter.

    Whatever was committed between that moment and the read makes the two differ when it is
    written: rows are then compared though nothing changed, and never the other way round.
    """
    version = session.version_seen
    return None if version is None else (version, _commits(session, frame, run))


def read_beside(session: ReadSession, spec: Spec, lease: Lease) -> Page:
    """The eligible rows of a chunk, on another connection than the one that writes."""
    form = framed(session, session.main, spec)
    token = earlier_token(session.writer, form.frame, lease.chunk.run)
    with session.reading(session.main) as connection:
        form = framed(session, connection, spec)
        raw, schema = rows_of_chunk(session, connection, form, lease), schema_of(session, spec)
    return _as_of(page_of(form, raw, asked=lease.chunk.keys or ()), token, schema)


def read(session: Session, spec: Spec, lease: Lease) -> Page:
    """The eligible rows of a chunk, in one short read transaction."""
    with session.reading(session.main) as connection:
        form = framed(session, connection, spec)
        token = token_of(session, form.frame, lease.chunk.run)
        raw, schema = rows_of_chunk(session, connection, form, lease), schema_of(session, spec)
    return _as_of(page_of(form, raw, asked=lease.chunk.keys or ()), token, schema)


def _as_of(page: Page, token: Token | None, schema: int) -> Page:
    versions = page.versions
    if isinstance(versions, Versions):
        versions.token, versions.schema = token, schema
    return page


def rows_of_chunk(
    session: Session, connection: sqlite3.Connection, form: Layout, lease: Lease
) -> list[tuple[Any, ...]]:
    """The eligible rows of a chunk as the file holds them now."""
    chunk, frame = lease.chunk, form.frame
    if chunk.keys is not None:
        return rows_of_keys(session, connection, form, chunk.keys)
    first = chunk.after is None
    after = session.start_of(chunk.run) if first else chunk.after
    condition, values = frame.between(after, chunk.upto, inclusive=first)
    sql = form.select(f"{condition} AND {frame.eligible}")
    return session.fetch(connection, sql, {**values, **frame.values})


def rows_of_keys(
    session: Session,
    connection: sqlite3.Connection,
    form: Layout,
    keys: Sequence[Key],
    *,
    eligible: bool = True,
) -> list[tuple[Any, ...]]:
    """Rows with these keys, in scan order."""
    if not keys:
        return []
    frame = form.frame
    condition, values = among([k.sql for k in frame.key], keys)
    if eligible:
        condition = f"{condition} AND {frame.eligible}"
    return session.fetch(connection, form.select(condition), {**values, **frame.values})


def page_of(form: Layout, raw: list[tuple[Any, ...]], *, asked: Sequence[Key] = ()) -> Page:
    """Rows as the engine and the author get them."""
    if not raw:
        return Page(keys=[], rows=[], versions=Versions(), images=[], gone=tuple(asked))
    columns = list(zip(*raw, strict=True))
    rows = form.rows(raw)
    for name in form.json_names:
        for row in rows:
            row[name] = _parsed(row[name])
    keys = to_keys([columns[i] for i in form.key_at])
    return Page(
        keys=keys,
        rows=rows,
        versions=Versions(raw),
        images=page_images(form, columns),
        gone=tuple(lacking(form.frame.key, asked, keys)) if asked else (),
        bytes_read=_size(raw),
    )


def page_images(form: Layout, columns: Sequence[Sequence[Any]]) -> list[tuple[Image, ...] | None]:
    """The images of the written fields, None where an `into` row does not exist."""
    if form.frame.spec.emits:  # the rows that a unit will write are not known yet
        return [()] * len(columns[0])
    fields = [field_images(f, columns[form.at(f.column.name)]) for f in form.frame.fills]
    if not form.frame.into:
        return list(zip(*fields, strict=True))
    present = columns[form.present_at]
    return [
        None if there is None else row
        for there, row in zip(present, zip(*fields, strict=True), strict=True)
    ]


def field_images(fill: Fill, column: Sequence[Any]) -> list[Image]:
    """One field's images from the stored values of its column."""
    if fill.path:
        return [documents.image_at(v, fill.path) for v in column]
    return images(column)


def _parsed(value: Any) -> Any:
    """What JSON text holds; the value itself where it is not JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _size(raw: Sequence[tuple[Any, ...]]) -> int:
    step = max(1, len(raw) // SAMPLED_FOR_SIZE)
    some = raw[::step]
    total = sum(len(v) if isinstance(v, str | bytes) else 8 for r in some for v in r)
    return total * len(raw) // len(some)


def same_rows(form: Layout, then: Sequence[Any], now: Sequence[Any]) -> bool:
    """Whether a row stands as it was read, by type and bytes, as far as its guard looks."""
    start = 0
    if form.frame.spec.guard is Guard.TARGET and form.frame.spec.kind is Source.QUERY:
        start = len(form.source_names)
    a, b = then[start:], now[start:]
    if len(a) != len(b):
        return False
    return all(
        type(x) is type(y) and (x.hex() == y.hex() if type(x) is float else x == y)
        for x, y in zip(a, b, strict=True)
    )


def target_rows(
    session: Session,
    connection: sqlite3.Connection,
    frame: Frame,
    names: Iterable[str],
    keys: Sequence[Key],
) -> dict[Key, tuple[Any, ...]]:
    """Columns of rows of the target by key, for keys as a journal holds them."""
    wanted = list(names)
    columns = [frame.target.column(n) for n in frame.target_key]
    width = len(columns)
    select = ", ".join([*columns, *(frame.target.column(n) for n in wanted)])
    found: dict[Key, tuple[Any, ...]] = {}
    for at in range(0, len(keys), 5000):
        condition, values = among(columns, keys[at : at + 5000])
        sql = f"SELECT {select} FROM {frame.target.sql} WHERE {condition}"
        rows = session.fetch(connection, sql, values)
        if rows:
            parts = list(zip(*(r[:width] for r in rows), strict=True))
            found.update(zip(to_keys(parts), (r[width:] for r in rows), strict=True))
    return found
