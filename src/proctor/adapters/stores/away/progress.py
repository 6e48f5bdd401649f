"""The database that progress is kept in: one thread, one connection, short transactions."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import sqlalchemy as sa

from proctor.adapters.ledger.engines import WRITES, be_patient, make_engine
from proctor.adapters.ledger.faults import translate
from proctor.adapters.ledger.schema import STAND_IN, schema_of
from proctor.adapters.stores.away import tables
from proctor.errors import ConfigError

T = TypeVar("T")


class Progress:
    """Runs and chunks of one home in the ledger's database; opened by `connect`."""

    def __init__(self, engine: sa.Engine, home: str) -> None:
        """`home` names the environment and the database whose runs these are."""
        self.home = home
        self._engine = engine.execution_options(
            schema_translate_map={STAND_IN: schema_of(engine.dialect.name)}
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="proctor-progress")
        self._present = False

    @classmethod
    async def connect(cls, url: str, home: str) -> Progress:
        """Connect; ConfigError for a ledger that keeps nothing, Unreachable or Denied."""
        if url.partition(":")[0] == "memory":
            raise ConfigError(
                "progress cannot be kept in a ledger in memory",
                found="ledger = memory:// together with progress = ledger",
                fix="give the environment a ledger on disk or on Postgres",
            )
        progress = cls(make_engine(url), home)
        try:
            await progress.present()
        except BaseException:
            await progress.aclose()
            raise
        return progress

    async def present(self) -> bool:
        """Whether the tables are there; once seen they stay."""
        if not self._present:
            self._present = await self._run(tables.present, writes=False)
            if self._present and await self._run(tables.version_of, writes=False) < tables.VERSION:
                await self._run(tables.upgrade, writes=True)
        return self._present

    async def write(self, do: Callable[[sa.Connection], T]) -> T:
        """One transaction, run to its end also when we are cancelled meanwhile."""
        return await self._run(do, writes=True)

    async def read(self, do: Callable[[sa.Connection], T]) -> T:
        """One transaction that only looks."""
        return await self._run(do, writes=False)

    def now(self, do: Callable[[sa.Connection], T]) -> T:
        """The same for a caller on another thread, which waits."""
        return self._thread.submit(lambda: self._work(do, writes=True)).result()

    def _work(self, do: Callable[[sa.Connection], T], *, writes: bool) -> T:
        try:
            with (
                self._engine.connect().execution_options(**{WRITES: writes}) as connection,
                connection.begin(),
            ):
                be_patient(connection)
                return do(connection)
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            # From None: the cause's text holds statements and their values.
            raise translate(error, self._engine.url) from None

    async def _run(self, do: Callable[[sa.Connection], T], *, writes: bool) -> T:
        future = asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: self._work(do, writes=writes)
        )
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            future.result()  # a failure is more important than the cancellation
            raise

    async def aclose(self) -> None:
        """Give the connection back and end the thread; harmless when done twice."""
        with contextlib.suppress(RuntimeError):  # the thread has ended already
            await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown(wait=True)
