"""One connection to the ledger's database, and the thread that all its statements run in."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final, Self, TypeVar

import sqlalchemy as sa

from proctor.adapters.clock import SystemClock
from proctor.adapters.ledger.engines import WRITES, be_patient, make_engine
from proctor.adapters.ledger.faults import translate
from proctor.adapters.ledger.schema import STAND_IN, schema_of, upgrade
from proctor.ports import Clock

T = TypeVar("T")

TRIES: Final = 3
"""How often a write that may be repeated is tried when the connection breaks under it."""


class Connected:
    """What everything that keeps something in the ledger's database has in common.

    All statements of one object run one after the other in a thread of its own, over one
    connection. Several, also of other processes and machines, may share a database.
    """

    def __init__(self, engine: sa.Engine, clock: Clock | None = None) -> None:
        """Wrap an engine; `ready` brings its tables up to date.

        clock: another time than the database's, or than the machine's where that is a file.
        """
        self._lite = engine.dialect.name == "sqlite"
        self._clock = clock or (SystemClock() if self._lite else None)
        self._engine = engine.execution_options(
            schema_translate_map={STAND_IN: schema_of(engine.dialect.name)}
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="proctor-ledger")

    @staticmethod
    def engine_for(url: str) -> sa.Engine:
        """An engine for a URL; its folder is there, nothing is connected yet."""
        try:
            return make_engine(url)
        except OSError as error:
            raise translate(error, sa.make_url(url)) from None

    async def ready(self) -> Self:
        """Connect and bring the tables up to date; closed again if that fails."""
        try:
            await self._in_thread(self._prepare)
        except BaseException:
            await self.aclose()
            raise
        return self

    async def aclose(self) -> None:
        """Give the connection back and end the thread; harmless when done twice."""
        with contextlib.suppress(RuntimeError):  # the thread has ended already
            await self._in_thread(self._engine.dispose)
        self._thread.shutdown(wait=True)

    def _prepare(self) -> None:
        """What must be there before anything is asked."""
        upgrade(self._engine)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run it to its end, also when we are cancelled meanwhile."""

        def translated() -> T:
            try:
                return work()
            except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
                # From None: the cause's text holds statements and their values.
                raise translate(error, self._engine.url) from None

        future = asyncio.get_running_loop().run_in_executor(self._thread, translated)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            future.result()  # a failure is more important than the cancellation
            raise

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with (
            self._engine.connect().execution_options(**{WRITES: True}) as connection,
            connection.begin(),
        ):
            be_patient(connection)
            yield connection

    def _repeated(self, write: Callable[[], None]) -> None:
        """Do a write that may be repeated, again if the connection breaks under it."""
        for left in reversed(range(TRIES)):
            try:
                write()
            except sa.exc.DBAPIError as error:
                if not (error.connection_invalidated and left):
                    raise
            else:
                return

    def _now(self, connection: sa.Connection) -> datetime:
        """The time that all who share the database go by: their machines' may differ."""
        if self._clock is not None:
            return self._clock.now()
        at: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
        return at.astimezone(UTC)

    def _rows(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        with self._engine.connect() as connection:
            return connection.execute(query).all()


__all__ = ["Connected"]
