"""Rows in SQLite under progress kept away: the store's own functions over a scratch pad.

A file has no witness of a transaction: only the images tell whether it took place, once nobody
holds the file's write lock.
"""

from __future__ import annotations

import sqlite3

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import sqlalchemy as sa

from proctor.adapters.stores import journal
from proctor.adapters.stores.away.chunks import Cursor, Half, Want
from proctor.adapters.stores.away.data import Book, Bound, Fate
from proctor.adapters.stores.away.progress import Progress
from proctor.adapters.stores.away.scratch import Intending, ScratchSession
from proctor.adapters.stores.away.tables import CHUNKS, RUNS
from proctor.adapters.stores.records import key_from_json, keys_from_json
from proctor.adapters.stores.sqlite import (
    applying,
    claiming,
    control,
    expressions,
    remembering,
    rows,
    script,
    standing,
    undoing,
)
from proctor.adapters.stores.sqlite.keys import among, compare, to_keys
from proctor.adapters.stores.sqlite.rows import framed
from proctor.adapters.stores.sqlite.session import Desk, ReadSession, Session
from proctor.adapters.stores.sqlite.store import SqliteStore, path_of
from proctor.errors import Busy
from proctor.model import (
    Applied,
    Chunk,
    Journalled,
    Key,
    Lease,
    Page,
    Run,
    Settled,
    Span,
    Spec,
    Undone,
)
from proctor.ports import Manners, Store, Terms, UndoTerms

EPOCH: Final = datetime.fromtimestamp(0, UTC)
SCANNED: Final = 20_000
"""Keys that one statement looks at, eligible or not, and holds in memory at most."""


class ScratchStore(SqliteStore):
    """The store's questions on a session with a scratch pad."""

    def __init__(self, session: ScratchSession, progress: Progress) -> None:
        """The progress tells where a run's span begins."""
        self.session = session
        self.desk = Desk[Session](session)
        self.beside = Desk(ReadSession(session))
        self._progress = progress

    @property
    def reads_beside(self) -> bool:
        """No other connection sees the pad."""
        return False

    async def read(
        self, spec: Spec, lease: Lease, *, answered: Callable[[], None] | None = None
    ) -> Page:
        """The eligible rows of a chunk."""
        page = await self.desk.ask(self._read, spec, lease)
        if answered is not None:
            answered()
        return page

    def _read(self, session: Session, spec: Spec, lease: Lease) -> Page:
        self.session.tell(run_row(self._progress, lease.chunk.run))
        return rows.read(session, spec, lease)


def run_row(progress: Progress, run: str) -> sa.RowMapping:
    """A run's row as the progress has it; for the store's own thread."""
    query = sa.select(RUNS).where(RUNS.c.id == run)
    return progress.now(lambda c: c.execute(query).mappings().one())


def chunk_row(progress: Progress, run: str, number: int) -> sa.RowMapping:
    """A chunk's row with its blobs."""
    query = sa.select(CHUNKS).where(CHUNKS.c.run == run, CHUNKS.c.number == number)
    return progress.now(lambda c: c.execute(query).mappings().one())


class SqliteData:
    """`Data` on a SQLite file."""

    warning = (
        "a crash in the middle of a chunk is settled by comparing images: a row that somebody "
        "else changed before that is no longer known as ours"
    )

    def __init__(self, url: str, manners: Manners, progress: Progress) -> None:
        """Nothing is opened before the first question."""
        path = path_of(url)
        self._session = ScratchSession(path, manners)
        self._store = ScratchStore(self._session, progress)
        self._desk = self._store.desk
        self._progress = progress
        self.rows: Store = self._store
        self.patience = manners.statement_timeout

    async def aclose(self) -> None:
        """Close the file."""
        await self._store.aclose()

    async def place(self, spec: Spec) -> str:
        """The table as the file spells it."""

        def ask(session: Session) -> str:
            return framed(session, session.main, spec).frame.target.name

        return await self._desk.ask(ask)

    async def span(self, spec: Spec, span: Span) -> tuple[list[Key], Key | None]:
        """Listed keys as the file spells them; here a span says by itself where it begins."""

        def ask(session: Session) -> list[Key]:
            with session.reading(session.main) as connection:
                return control.as_stored(session, connection, spec, span.keys)

        return (await self._desk.ask(ask))[: span.limit] if span.keys else [], None

    async def cut(
        self, spec: Spec, run: Run, want: Want, cursor: Cursor
    ) -> tuple[list[Chunk], Cursor]:
        """As the store cuts; what it notes on the pad is dropped with the read."""

        def ask(session: Session) -> tuple[list[Chunk], Key | None]:
            self._session.tell(run_row(self._progress, run.id), planned=cursor.cut)
            with session.reading(session.main) as connection:
                frame = framed(session, connection, spec).frame
                cutter = claiming.Cutter(session, connection, frame, run.id)
                return list(cutter.cut(want.count, want.rows)), cutter.cursor

        made, at = await self._desk.ask(ask)
        cut = cursor.cut + sum(len(c.keys or ()) for c in made)
        limit = run.span.limit
        ended = len(made) < want.count or (limit is not None and cut >= limit)
        return made, Cursor(at=at, cut=cut, exhausted=ended)

    async def halves(self, spec: Spec, chunk: Chunk, page: Page | None) -> list[Half]:
        """As the store splits, on the pad."""

        def ask(session: Session) -> list[Half]:
            row = chunk_row(self._progress, chunk.run, chunk.number)
            self._session.tell(run_row(self._progress, chunk.run), row)
            lease = Lease(chunk=chunk, fence=row["fence"], worker="", until=EPOCH)
            claiming.split(session, spec, lease, page)
            found = session.main.execute(
                "SELECT after, upto, keys FROM proctor_chunks WHERE number > ? ORDER BY number",
                (chunk.number,),
            ).fetchall()
            return [
                (key_from_json(a), key_from_json(u) or (), keys_from_json(k)) for a, u, k in found
            ]

        return await self._desk.ask(ask)

    async def eligible(self, spec: Spec, run: Run) -> AsyncIterator[list[Key]]:
        """Page by page, each in a short read of its own: a file must not be held for long."""
        stop = run.last if run.span.limit is None else run.cursor
        after: Key | None = None
        while stop is not None:
            page, upto = await self._desk.ask(_page, spec, run, (after, stop))
            if page:
                yield page
            if upto == stop:
                return
            after = upto

    async def meeting(
        self, spec: Spec, bounds: Sequence[Bound], first: Key, last: Key
    ) -> list[int]:
        """Compared here, by the collations of the file."""

        def ask(session: Session) -> list[int]:
            columns = framed(session, session.main, spec).frame.key
            found = []
            for number, after, upto in bounds:
                low, high = key_from_json(after), key_from_json(upto) or ()
                begins = low is None or compare(columns, low, last) < 0
                if begins and compare(columns, high, first) >= 0:
                    found.append(number)
            return found

        return await self._desk.ask(ask)

    async def apply(
        self, spec: Spec, lease: Lease, settled: Settled, terms: Terms, book: Book
    ) -> Applied:
        """The store's guarded write."""

        def ask(session: Session) -> Applied:
            return applying.apply(session, spec, lease, settled, terms)

        return await self._write(lease, terms, book, ask)

    async def apply_sql(self, spec: Spec, lease: Lease, terms: Terms, book: Book) -> Applied:
        """The store's statement for expressions."""

        def ask(session: Session) -> Applied:
            return expressions.apply_sql(session, spec, lease, terms)

        return await self._write(lease, terms, book, ask)

    async def _write(self, lease: Lease, terms: Terms, book: Book, ask: Any) -> Applied:
        await book.check(lease)
        chunk = lease.chunk
        intending = Intending(book=book)

        def intend(connection: sqlite3.Connection) -> None:
            intending.write(connection, lease, terms)

        def work(session: Session) -> Applied:
            row = chunk_row(self._progress, chunk.run, chunk.number)
            self._session.tell(run_row(self._progress, chunk.run), row)
            self._session.before_commit = intend
            try:
                done: Applied = ask(session)
            finally:
                self._session.before_commit = None
            return done

        applied = await self._desk.ask(work)
        if intending.intent is None:
            raise AssertionError("a chunk was written without an intent")
        retry = await book.done(chunk.run, chunk.number, intending.intent)
        return replace(applied, retry=retry)

    async def undo(
        self,
        spec: Spec,  # noqa: ARG002 (the seam gives it)
        run: Run,
        number: int,
        terms: UndoTerms,
        book: Book,
    ) -> Undone:
        """The store's undo."""
        found = await book.kept(run.id, number)
        if found is None or found.undone or found.undo is None:
            return Undone()
        intending = Intending(book=book)

        def intend(connection: sqlite3.Connection) -> None:
            intending.undo(connection, run.id, found)

        def work(session: Session) -> Undone:
            row = chunk_row(self._progress, run.id, number)
            told = run_row(self._progress, run.id)
            self._session.tell(told, row, quiet=terms.dry_run)
            self._session.before_commit = intend
            try:
                return undoing.undo(session, run, number, terms)
            finally:
                self._session.before_commit = None

        undone = await self._desk.ask(work)
        if intending.intent is not None:
            await book.done(run.id, number, intending.intent)
        return undone

    async def verify(
        self,
        spec: Spec,  # noqa: ARG002 (the seam gives it)
        run: Run,
        number: int,
        book: Book,  # noqa: ARG002 (the seam gives it)
    ) -> Undone:
        """The store's comparison."""

        def ask(session: Session) -> Undone:
            row = chunk_row(self._progress, run.id, number)
            self._session.tell(run_row(self._progress, run.id), row, quiet=True)
            return undoing.verify(session, run, number)

        return await self._desk.ask(ask)

    async def script(
        self,
        spec: Spec,  # noqa: ARG002 (the seam gives it)
        run: Run,
        numbers: Sequence[int],
        book: Book,  # noqa: ARG002 (the seam gives it)
    ) -> AsyncIterator[str]:
        """The store's script."""

        def heading(session: Session) -> str:
            self._session.tell(run_row(self._progress, run.id), quiet=True)
            return script.heading(session, run)

        def one(session: Session, number: int) -> str:
            row = chunk_row(self._progress, run.id, number)
            self._session.tell(run_row(self._progress, run.id), row, quiet=True)
            wanted = script.numbers_to_undo(session, run, [number])
            return script.chunk_script(session, run, number) if wanted else ""

        yield await self._desk.ask(heading)
        for number in sorted(numbers, reverse=True):
            if piece := await self._desk.ask(one, number):
                yield piece

    async def shown(self, spec: Spec, undo: bytes, count: int) -> list[Journalled]:
        """As they are kept: here the images of fields are never digests."""
        return remembering.shown(undo, spec, count)

    async def fate(
        self,
        witness: Mapping[str, Any],  # noqa: ARG002 (the seam gives it)
    ) -> Fate:
        """Whoever writes holds the file's lock: once we have had it, that write has ended."""
        try:
            await self._desk.ask(_lock)
        except Busy:
            return Fate.GOING
        return Fate.UNKNOWN

    async def standing(
        self,
        spec: Spec,
        chunk: Chunk,  # noqa: ARG002 (the seam gives it)
        undo: journal.Undo,
    ) -> Collection[int]:
        """Compare images."""

        def ask(session: Session) -> list[int]:
            with session.reading(session.main) as connection:
                frame = framed(session, connection, spec).frame
                return standing.standing(session, connection, frame, undo).same

        return await self._desk.ask(ask)


def _lock(session: Session) -> None:
    with session.writing():
        pass


def _page(
    session: Session, spec: Spec, run: Run, part: tuple[Key | None, Key]
) -> tuple[list[Key], Key]:
    """The eligible keys among the next ones of a run's target set, and the last one seen."""
    after, stop = part
    low = after if after is not None else run.span.start
    with session.reading(session.main) as connection:
        frame = framed(session, connection, spec).frame
        select = f"SELECT {', '.join(k.sql for k in frame.key)} FROM {frame.origin} WHERE"

        def ask(upto: Key, rest: str) -> list[Key]:
            condition, values = frame.between(low, upto, inclusive=after is None)
            if run.span.keys:
                listed, more = among([k.sql for k in frame.key], run.span.keys)
                condition, values = f"{condition} AND {listed}", {**values, **more}
            sql = f"{select} {condition} {rest}"
            found = session.fetch(connection, sql, {**values, **frame.values})
            return to_keys(list(zip(*found, strict=True))) if found else []

        end = ask(stop, f"ORDER BY {frame.order} LIMIT 1 OFFSET {SCANNED - 1}")
        upto = end[0] if end else stop
        return ask(upto, f"AND {frame.eligible} ORDER BY {frame.order}"), upto
