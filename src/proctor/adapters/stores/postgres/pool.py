"""Connections and transactions that leave nothing behind in a session, so a pooler may share it.

Every setting is local to its transaction and travels with the first statement in one message.
Reads go out whole, BEGIN to COMMIT, in one round trip.
"""

from __future__ import annotations

import asyncio
import contextlib
import select

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, TypeAlias

import psycopg

from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.pq import TransactionStatus

from proctor.adapters.stores.postgres import codecs
from proctor.adapters.stores.postgres.faults import lost, translate, unreachable
from proctor.adapters.stores.postgres.literal import comment, text
from proctor.errors import ProctorError
from proctor.ports import Manners

Rows: TypeAlias = list[tuple[Any, ...]]
Head: TypeAlias = tuple[str, ...]
"""The statements that begin a transaction."""

IMAGE_SETTINGS: Final = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmloption": "content",
}
"""Under these an output function says the same on every server and in every session."""
MARGIN: Final = timedelta(seconds=15)
"""Beyond the server's own time-outs, how long to wait for a network that swallows everything."""
CONNECT_WITHIN: Final = 10
LATEST: Final = 0.2
"""Weight of the latest commit in the moving mean."""


class Transaction:
    """One transaction on a borrowed connection; its first message begins it."""

    def __init__(self, lane: _Lane, connection: AsyncConnection, *, reused: bool) -> None:
        """`reused` says that a first failure may be the breakage of a session long idle."""
        self._pool = lane.pool
        self.connection = connection
        self._head = lane.head
        self._note = comment(lane.run)
        self._reused = reused
        self.begun = False
        self.commit_sent = False

    @property
    def longest(self) -> timedelta:
        """How long a statement of it may take."""
        return self._pool.manners.statement_timeout

    async def run(self, sql: str) -> list[Rows]:
        """Send statements in one message; the rows of each, none for those without rows."""
        return await self._message(sql, "")

    async def fetch(self, sql: str) -> Rows:
        """Send statements in one message; the rows of the last."""
        return (await self._message(sql, ""))[-1]

    async def with_arrays(self, sql: str, arrays: Sequence[codecs.Packed]) -> Rows:
        """Send one statement with `$1`, `$2` … for packed arrays; its rows."""
        if not self.begun:
            await self._message("", "")
        async with self._pool.deadline(), AsyncRawCursor(self.connection) as cursor:
            await cursor.execute(f"{self._note} {sql}", arrays, prepare=False)
            return codecs.rows_of(cursor)

    async def answer(self, sql: str, *, within: timedelta | None = None) -> tuple[list[str], Rows]:
        """Names and rows of one statement: with a second one behind it the server refuses it.

        within: instead of the usual time-out.
        """
        limit = within or self.longest
        told = text(_milliseconds(limit))
        await self._message(f"SELECT pg_catalog.set_config('statement_timeout', {told}, true)", "")
        async with (
            asyncio.timeout((limit + MARGIN).total_seconds()),
            AsyncRawCursor(self.connection) as cursor,
        ):
            # Nothing asks for this value: with one the statement is sent by the protocol that
            # takes a single statement, so that none can end the read-only transaction.
            await cursor.execute(f"{self._note} {sql}", [True], prepare=False)
            names = [column.name for column in cursor.description or ()]
            return names, codecs.rows_of(cursor)

    async def describe(self, sql: str) -> list[tuple[str, int, int]]:
        """Name, type and modifier of each column of a SELECT, without keeping its rows."""
        if not self.begun:
            await self._message("", "")
        async with self._pool.deadline(), self.connection.cursor() as cursor:
            await cursor.execute(sql)
            result = cursor.pgresult
            if result is None or cursor.description is None:
                return []
            return [
                (column.name, column.type_code, result.fmod(i))
                for i, column in enumerate(cursor.description)
            ]

    async def commit(self, sql: str = "") -> Rows:
        """Send the last statements together with COMMIT; the rows of the last of them."""
        return (await self._message(sql, "COMMIT"))[-1]

    async def rollback(self) -> None:
        """Drop what was done; the transaction can be begun again on the same connection."""
        if self.begun:
            self.begun = False
            async with self._pool.deadline(), self.connection.cursor() as cursor:
                await cursor.execute("ROLLBACK")

    async def _message(self, sql: str, end: str) -> list[Rows]:
        first = not self.begun
        parts = [*(self._head if first else ()), sql, end]
        message = ";\n".join(p for p in parts if p)
        if not message:
            return [[]]
        message = f"{self._note} {message}"
        found = await self._send(message, ending=bool(end), first=first)
        self.begun = not end
        skip = len(self._head) if first else 0
        return found[skip : len(found) - 1 if end else None] or [[]]

    async def _send(self, message: str, *, ending: bool, first: bool) -> list[Rows]:
        try:
            return await self._execute(message, ending=ending)
        except psycopg.Error as error:
            if not (first and self._reused and lost(error) and not ending):
                raise
        # The connection had died while it lay idle, and nothing of this transaction was sent
        # on another: once more on a fresh one.
        await self._pool.discard(self.connection)
        self.connection = await self._pool.connect()
        self._reused = False
        return await self._execute(message, ending=ending)

    async def _execute(self, message: str, *, ending: bool) -> list[Rows]:
        async with self._pool.deadline(), self.connection.cursor() as cursor:
            self.begun = True
            self.commit_sent = self.commit_sent or ending
            await cursor.execute(message)
            found = [codecs.rows_of(cursor)]
            while cursor.nextset():
                found.append(codecs.rows_of(cursor))
            return found


class _Lane:
    """Takes a connection, gives a transaction, and leaves nothing open whatever happens."""

    def __init__(
        self, pool: Pool, run: str, head: Head, *, control: bool = False, writes: bool = False
    ) -> None:
        self.pool = pool
        self.run = run
        self.head = head
        self.gate = pool.control if control else pool.work
        self.writes = writes

    async def __aenter__(self) -> Transaction:
        await self.gate.acquire()
        try:
            connection, reused = await self.pool.borrow()
        except BaseException:
            self.gate.release()
            raise
        self.work = Transaction(self, connection, reused=reused)
        return self.work

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            await self._leave(error)
        finally:
            self.gate.release()
        if isinstance(error, psycopg.Error):
            # Without the chain: the server's own error can hold values of rows.
            sent = self.work.commit_sent and self.writes
            raise translate(error, commit_sent=sent, writes=self.writes) from None
        if isinstance(error, TimeoutError):
            broken = psycopg.OperationalError("no answer in time")
            raise translate(broken, commit_sent=self.work.commit_sent and self.writes) from None

    async def _leave(self, error: BaseException | None) -> None:
        work, connection = self.work, self.work.connection
        if error is not None and not isinstance(error, psycopg.Error | ProctorError):
            # Cancelled or timed out in the middle: what the session is doing is not known.
            await self.pool.discard(connection)
            return
        if not connection.closed and work.begun:
            with contextlib.suppress(psycopg.Error, TimeoutError):
                await work.rollback()
        await self.pool.give_back(connection)


class Pool:
    """A few connections to one database: lanes for work, and one more for claims and beats."""

    def __init__(self, url: str, manners: Manners) -> None:
        """Nothing connects before it is asked to."""
        self._url = url
        self.manners = manners
        self.work = asyncio.Semaphore(manners.connections)
        self.control = asyncio.Semaphore(1)
        self._free: list[AsyncConnection] = []
        self.closed = False
        self.commit_seconds = 0.0
        """How long the last message of a write, with its COMMIT, takes of late: a moving mean."""

    def write(
        self,
        run: str = "",
        *,
        control: bool = False,
        deferred: bool = True,
        patient: bool | None = None,
    ) -> _Lane:
        """A READ COMMITTED transaction that may write; `control` for claims and heartbeats.

        Unless `deferred` constraints may stay so, they are made immediate at once. Whoever locks
        rows of Proctor's alone may be `patient`, as control is.
        """
        begin = "BEGIN ISOLATION LEVEL read committed READ WRITE"
        tail = () if deferred else ("SET CONSTRAINTS ALL IMMEDIATE",)
        head = (*self._head(begin, patient=control if patient is None else patient), *tail)
        return _Lane(self, run, head, control=control, writes=True)

    def read(self, run: str = "", *, control: bool = False, snapshot: bool = False) -> _Lane:
        """A read-only transaction; with `snapshot` all its statements see the same moment."""
        level = "repeatable read" if snapshot else "read committed"
        begin = f"BEGIN ISOLATION LEVEL {level} READ ONLY"
        return _Lane(self, run, self._head(begin), control=control)

    def _head(self, begin: str, *, patient: bool = False) -> Head:
        """`patient` is for Proctor's own rows, where waiting for an apply is in nobody's way."""
        manners = self.manners
        lock_timeout = manners.statement_timeout if patient else manners.lock_timeout
        settings = IMAGE_SETTINGS | {
            "application_name": manners.application,
            "lock_timeout": _milliseconds(lock_timeout),
            "statement_timeout": _milliseconds(manners.statement_timeout),
            "idle_in_transaction_session_timeout": _milliseconds(manners.idle_timeout),
        }
        calls = ", ".join(
            f"pg_catalog.set_config({text(name)}, {text(value)}, true)"
            for name, value in settings.items()
        )
        return (begin, f"SELECT {calls}")

    def committed(self, seconds: float) -> None:
        """One more commit for the moving mean."""
        self.commit_seconds += LATEST * (seconds - self.commit_seconds)

    @contextlib.asynccontextmanager
    async def deadline(self) -> AsyncIterator[None]:
        """Give a message up when even the server's own time-outs must have answered."""
        wait = self.manners.statement_timeout + self.manners.lock_timeout + MARGIN
        async with asyncio.timeout(wait.total_seconds()):
            yield

    async def borrow(self) -> tuple[AsyncConnection, bool]:
        """An idle connection that still looks alive, or a new one; whether it was used before."""
        while self._free:
            connection = self._free.pop()
            if _alive(connection):
                return connection, True
            await self.discard(connection)
        return await self.connect(), False

    async def connect(self) -> AsyncConnection:
        """A new connection; Unreachable with the server's reason where there is none."""
        try:
            said = psycopg.conninfo.conninfo_to_dict(self._url)
            within: dict[str, Any] = (
                {} if "connect_timeout" in said else {"connect_timeout": CONNECT_WITHIN}
            )
            connection = await AsyncConnection.connect(
                self._url,
                autocommit=True,
                prepare_threshold=None,
                application_name=self.manners.application,
                client_encoding="utf8",
                **within,
            )
        except psycopg.Error as error:
            raise unreachable(error) from None
        codecs.register(connection)
        return connection

    async def give_back(self, connection: AsyncConnection) -> None:
        """Keep a connection that is idle and whole; close any other."""
        idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
        if connection.closed or not idle or self.closed:
            await self.discard(connection)
        else:
            self._free.append(connection)

    async def discard(self, connection: AsyncConnection) -> None:
        """Close a connection whatever state it is in."""
        with contextlib.suppress(psycopg.Error, OSError):
            await connection.close()

    async def aclose(self) -> None:
        """Close what is idle now, and what is in use when it comes back."""
        self.closed = True
        while self._free:
            await self.discard(self._free.pop())


def _alive(connection: AsyncConnection) -> bool:
    """Whether an idle session is quiet: one that the server ended has its end to be read."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
    return not poll.poll(0)


def _milliseconds(time: timedelta) -> str:
    return str(max(1, round(time.total_seconds() * 1000)))
