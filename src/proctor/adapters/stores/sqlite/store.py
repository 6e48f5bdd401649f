"""The SQLite store: every question of the seam, answered on one thread."""

from __future__ import annotations

import re

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

from proctor.adapters.stores.counts import moments
from proctor.adapters.stores.records import unpack_issues
from proctor.adapters.stores.sqlite import (
    aggregate,
    applying,
    claiming,
    control,
    emitting,
    expressions,
    inspecting,
    measuring,
    pruning,
    remembering,
    rows,
    script,
    surveying,
    sweeping,
    tables,
    touches,
    undoing,
    units,
)
from proctor.adapters.stores.sqlite.session import Desk, ReadSession, Session
from proctor.errors import UsageError
from proctor.model import (
    Applied,
    Bucket,
    ChunkRecord,
    Health,
    Issue,
    Journalled,
    Key,
    Lease,
    Page,
    Run,
    RunState,
    Scalar,
    Settled,
    Shape,
    Span,
    Spec,
    Survey,
    Tuning,
    Undone,
    Unit,
)
from proctor.ports import Manners, Opening, Permit, Store, Terms, UndoTerms, granted


async def open_sqlite(path_or_url: str, manners: Manners) -> Store:
    """A store on a database file, given by path or as `sqlite:///path`.

    Raises Unreachable when there is no such file, or it is no SQLite database.
    """
    store = SqliteStore(path_of(path_or_url), manners)
    try:
        await store.desk.ask(_look)
    except BaseException:
        await store.aclose()
        raise
    return store


def path_of(path_or_url: str) -> Path:
    """The file that a path or a URL names: `sqlite:///relative`, `sqlite:////absolute`."""
    url = re.fullmatch(r"sqlite(?:\+\w+)?://(?:/(.*))?", path_or_url, re.DOTALL)
    text = unquote(url[1] or "") if url else path_or_url
    if text in ("", ":memory:"):
        raise UsageError(
            "a store in memory cannot keep a run",
            found=path_or_url or "an empty path",
            fix="name a file: sqlite:///shop.db",
        )
    return Path(text)


def _look(session: Session) -> None:
    with session.reading(session.quiet) as connection:
        tables.ready(connection)


class SqliteStore(touches.Touches):
    """The user's data in one SQLite file, with the progress of runs on it."""

    def __init__(self, path: Path, manners: Manners) -> None:
        """Nothing is opened before the first question."""
        self.desk = Desk(Session(path, manners))
        self.beside = Desk(ReadSession(self.desk.session))

    async def aclose(self) -> None:
        """Close the file, after what is under way."""
        try:
            await self.beside.close()
        finally:
            await self.desk.close()

    @property
    def reads_beside(self) -> bool:
        """In WAL mode, where a reader keeps no writer waiting."""
        return self.desk.session.is_wal

    # What is there

    async def inspect(self, spec: Spec) -> Shape:
        """See the port."""
        return await self.desk.ask(inspecting.inspect, spec)

    async def survey(self, spec: Spec, span: Span, *, exact: bool = True) -> Survey:
        """See the port."""
        return await self.desk.ask(surveying.survey, spec, span, exact=exact)

    async def lacking(self, spec: Spec) -> tuple[str, ...]:
        """See the port."""
        return await self.desk.ask(surveying.lacking, spec)

    async def sample(
        self, spec: Spec, count: int, *, span: Span, seed: int | None = None, latest: bool = False
    ) -> Page:
        """See the port."""
        return await self.desk.ask(
            surveying.sample, spec, count, span=span, seed=seed, latest=latest
        )

    async def read_keys(self, spec: Spec, keys: Sequence[Key]) -> Page:
        """See the port."""
        return await self.desk.ask(surveying.read_keys, spec, keys)

    def parse_key(self, spec: Spec, text: str) -> Key:
        """See the port."""
        return self.desk.ask_now(surveying.parse_key, spec, text)

    async def health(self) -> Health:
        """See the port."""
        return await self.desk.ask(surveying.health)

    async def unfit(self, spec: Spec, settled: Settled) -> Mapping[int, str]:
        """See the port."""
        return await self.desk.ask(surveying.unfit, spec, settled)

    async def measure(self, sql: str) -> float:
        """See the port."""
        return await self.desk.ask(surveying.measure, sql)

    async def figures(
        self,
        sql: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        within: timedelta | None = None,
        params: Sequence[tuple[str, Scalar]] = (),
    ) -> Mapping[str, int]:
        """See the port."""
        told = dict(params) | moments(since, until)
        return await self.desk.ask(measuring.figures, sql, told, within)

    # Run

    async def open(self, opening: Opening) -> Run:
        """See the port."""
        return await self.desk.ask(control.open_run, opening)

    async def claim(
        self, run: Run, spec: Spec, worker: str, *, count: int, rows: int, lease_for: timedelta
    ) -> list[Lease]:
        """See the port."""
        return await self.desk.ask(
            claiming.claim, run, spec, worker, count=count, rows=rows, lease_for=lease_for
        )

    async def read(
        self, spec: Spec, lease: Lease, *, answered: Callable[[], None] | None = None
    ) -> Page:
        """See the port."""
        if self.reads_beside:
            page = await self.beside.ask(rows.read_beside, spec, lease)
        else:
            page = await self.desk.ask(rows.read, spec, lease)
        if answered is not None:
            answered()
        return page

    async def prepare(self, spec: Spec, settled: Settled) -> Settled:
        """Decide and pack the rows of a chunk before they hold the file's lock."""
        if not self.reads_beside or spec.emits:
            return settled
        return await self.beside.ask(applying.prepare, spec, settled)

    async def apply(self, spec: Spec, lease: Lease, settled: Settled, terms: Terms) -> Applied:
        """See the port."""
        write = emitting.apply if spec.emits else applying.apply
        return await self.desk.ask(write, spec, lease, settled, terms)

    async def apply_sql(
        self, spec: Spec, lease: Lease, terms: Terms, *, permit: Permit = granted
    ) -> Applied:
        """See the port."""
        foreseen = None
        if self.reads_beside:
            foreseen = await self.beside.ask(aggregate.foresee, spec, lease)
        await permit()
        return await self.desk.ask(expressions.apply_sql, spec, lease, terms, foreseen)

    async def reclaim(self, lease: Lease, lease_for: timedelta) -> Lease | None:
        """See the port."""
        return await self.desk.ask(claiming.reclaim, lease, lease_for)

    async def split(self, lease: Lease, page: Page | None) -> None:
        """See the port."""
        await self.desk.ask(_split, lease, page)

    async def release(self, leases: Sequence[Lease]) -> None:
        """See the port."""
        if leases:
            await self.desk.ask(claiming.release, leases)

    async def beat(self, run: Run, workers: Sequence[str], lease_for: timedelta) -> Run:
        """See the port."""
        return await self.desk.ask(control.beat, run, workers, lease_for)

    async def sweep(self, run: Run, spec: Spec, number: int, rows: int) -> int:
        """See the port."""
        return await sweeping.sweep(self.desk, run, spec, number, rows)

    async def move(
        self,
        run: str,
        then: RunState,
        *,
        among: Sequence[RunState],
        reason: str = "",
        epoch: int | None = None,
    ) -> Run:
        """See the port."""
        return await self.desk.ask(control.move, run, then, among=among, reason=reason, epoch=epoch)

    async def tune(self, run: str, tuning: Tuning) -> Run:
        """See the port."""
        return await self.desk.ask(control.tune, run, tuning)

    async def tally(self, run: Run, spec: Spec) -> Mapping[str, int]:
        """See the port."""
        return await sweeping.tally(self.desk, run, spec)

    # Undo

    async def undo(
        self, run: Run, number: int, terms: UndoTerms, *, permit: Permit = granted
    ) -> Undone:
        """See the port."""
        foreseen = None
        if self.reads_beside and not terms.dry_run:
            foreseen = await self.beside.ask(undoing.foresee, run, number, terms)
        await permit()
        return await self.desk.ask(undoing.undo, run, number, terms, foreseen)

    async def verify(self, run: Run, number: int) -> Undone:
        """See the port."""
        return await self.desk.ask(undoing.verify, run, number)

    async def written_keys(self, run: Run, number: int) -> list[Key]:
        """See the port."""
        return await self.desk.ask(remembering.written_keys, run, number)

    async def journalled(self, run: Run, number: int, count: int) -> list[Journalled]:
        """See the port."""
        return await self.desk.ask(remembering.journalled, run, number, count)

    async def undo_script(self, run: Run, numbers: Sequence[int]) -> AsyncIterator[str]:
        """See the port."""
        yield await self.desk.ask(script.heading, run)
        for number in await self.desk.ask(script.numbers_to_undo, run, numbers):
            yield await self.desk.ask(script.chunk_script, run, number)

    async def prune(
        self,
        *,
        older_than: datetime | None = None,
        run: str | None = None,
        keys: Sequence[Key] = (),
    ) -> int:
        """See the port."""
        return await self.desk.ask(pruning.prune, older_than=older_than, run=run, keys=keys)

    # Watch

    async def runs(self, *, backfill: str | None = None) -> list[Run]:
        """See the port."""
        return await self.desk.ask(_runs, backfill)

    async def run(self, run: str) -> Run:
        """See the port."""
        return await self.desk.ask(_run, run)

    async def spec_of(self, run: str) -> Spec:
        """See the port."""
        return await self.desk.ask(_spec_of, run)

    async def chunks(self, run: str) -> list[ChunkRecord]:
        """See the port."""
        return await self.desk.ask(_chunks, run)

    async def units(self, run: str) -> list[Unit]:
        """See the port."""
        return await self.desk.ask(units.every, run)

    async def left_alone(self, run: str) -> Mapping[int, Sequence[Issue]]:
        """See the port."""
        return await self.desk.ask(remembering.left_alone, run)

    async def issues(self, run: str, *, limit: int | None = None) -> list[Issue]:
        """See the port."""
        return await self.desk.ask(_issues, run, limit)


def _split(session: Session, lease: Lease, page: Page | None) -> None:
    spec = undoing.spec_of(session.main, lease.chunk.run)
    claiming.split(session, spec, lease, page)


def _runs(session: Session, backfill: str | None) -> list[Run]:
    with session.reading(session.quiet) as connection:
        if not tables.ready(connection):
            return []
        found = connection.execute(
            f"{tables.RUNS} WHERE :backfill IS NULL OR backfill = :backfill "
            "ORDER BY created DESC, id DESC",
            {"backfill": backfill},
        ).fetchall()
    return [tables.run_of(r) for r in found]


def _run(session: Session, run: str) -> Run:
    with session.reading(session.quiet) as connection:
        return tables.find_run(connection, run)


def _spec_of(session: Session, run: str) -> Spec:
    with session.reading(session.quiet) as connection:
        return undoing.spec_of(connection, run)


def _chunks(session: Session, run: str) -> list[ChunkRecord]:
    with session.reading(session.quiet) as connection:
        id_ = tables.find_run(connection, run).id
        more = tables.UNDO_COLUMNS if tables.keeps_undo_books(connection) else "NULL, NULL"
        found = connection.execute(
            f"SELECT {tables.CHUNK_COLUMNS}, {more} FROM proctor_chunks WHERE run = ? "
            "ORDER BY number",
            (id_,),
        ).fetchall()
    return [tables.record_of(r) for r in found]


def _issues(session: Session, run: str, limit: int | None) -> list[Issue]:
    with session.reading(session.quiet) as connection:
        id_ = tables.find_run(connection, run).id
        still = claiming.conflicted_keys(connection, id_)
        found: list[Issue] = []
        listed: set[Key] = set()
        for (blob,) in connection.execute(
            "SELECT issues FROM proctor_chunks WHERE run = ? AND issues IS NOT NULL "
            "ORDER BY number",
            (id_,),
        ):
            for issue in unpack_issues(blob):
                if issue.bucket is Bucket.CONFLICTED:
                    if issue.key not in still or issue.key in listed:
                        continue
                    listed.add(issue.key)
                found.append(issue)
            if limit is not None and len(found) >= limit:
                return found[:limit]
    return found
