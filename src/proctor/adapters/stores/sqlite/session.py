"""One thread with the connections of one store, and transactions on them."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeAlias, TypeVar

from proctor.adapters.stores.records import span_from_json
from proctor.adapters.stores.sqlite.faults import translate
from proctor.adapters.stores.sqlite.judging import teach
from proctor.errors import TargetError, Unreachable
from proctor.model import Key, Spec
from proctor.ports import Manners

P = ParamSpec("P")
T = TypeVar("T")

OLDEST: Final = (3, 37, 0)
"""The first SQLite that says of a table all that must be known here."""
STEPS_BETWEEN_LOOKS: Final = 200_000
"""Steps of SQLite's machine between two looks at the statement's time limit: a few ms."""

Values: TypeAlias = Mapping[str, Any] | Sequence[Any]


def lenient(raw: bytes) -> str:
    """Text that is not valid UTF-8, kept exactly in lone surrogates."""
    return raw.decode("utf-8", "surrogateescape")


class Session:
    """The connections of one store; used only on the store's own thread.

    `main` writes and reads what is written afterwards: `PRAGMA data_version` tells it whether
    any other connection has committed since. `quiet` answers questions and cannot write.
    """

    def __init__(self, path: Path, manners: Manners) -> None:
        self.path = path
        self.manners = manners
        self._main: sqlite3.Connection | None = None
        self._quiet: sqlite3.Connection | None = None
        self._pad: sqlite3.Connection | None = None
        self.is_wal = False
        """Whether readers and the writer leave each other alone, known once `quiet` is open."""
        self.deadline = float("inf")
        self.own_commits: Counter[str] = Counter()
        """Commits to the user's tables through this session, by run."""
        self.commits_made = 0
        """All of them together."""
        self.version_seen: int | None = None
        """What `PRAGMA data_version` last said to `main` inside a write transaction."""
        self.frames: dict[Spec, tuple[int, Any]] = {}
        """Specs made ready for this file, with the schema's version that they are for."""
        self._starts: dict[str, Key | None] = {}
        self.waits: deque[tuple[float, float]] = deque(maxlen=256)
        """(when, seconds) that a write waited for the file's lock."""
        self.writes: deque[tuple[float, float]] = deque(maxlen=256)
        """(when, seconds) that a write transaction took."""
        self.commits: deque[tuple[float, float]] = deque(maxlen=256)
        """(when, seconds) that a COMMIT took."""

    @property
    def main(self) -> sqlite3.Connection:
        """The connection that writes; opened when first asked for."""
        if self._main is None:
            self._main = self._connect()
        return self._main

    @property
    def quiet(self) -> sqlite3.Connection:
        """The connection that cannot write.

        Not opened read-only: after a crash it may have to roll a journal back first.
        """
        if self._quiet is None:
            connection = self._connect()
            connection.execute("PRAGMA query_only = ON")
            teach(connection)
            self.is_wal = connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            self.leave_time(connection)
            self._quiet = connection
        return self._quiet

    @property
    def pad(self) -> sqlite3.Connection:
        """A database in memory, to ask SQLite what it makes of values."""
        if self._pad is None:
            self._pad = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        return self._pad

    def _connect(self) -> sqlite3.Connection:
        if not self.path.is_file():
            raise Unreachable(
                f"there is no database file {self.path}",
                found="a directory" if self.path.is_dir() else "nothing at that path",
                fix="check `store` in proctor.toml; Proctor never makes a database",
            )
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=rw",
            uri=True,
            isolation_level=None,
            timeout=self.manners.lock_timeout.total_seconds(),
            check_same_thread=False,  # one thread uses it, but another may close it
        )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            connection.close()
            raise
        connection.set_progress_handler(self.late, STEPS_BETWEEN_LOOKS)
        return connection

    def leave_time(self, connection: sqlite3.Connection) -> None:
        """How long questions on `quiet` may take, when nothing else is said."""
        if self.is_wal:
            # Reading holds nobody up there: a count may take as long as the table is big.
            connection.set_progress_handler(None, 0)
        else:
            connection.set_progress_handler(self.late, STEPS_BETWEEN_LOOKS)

    def late(self) -> int:
        """Whether the question under way has had its time."""
        return int(time.monotonic() > self.deadline)

    def fetch(
        self, connection: sqlite3.Connection, sql: str, values: Values = ()
    ) -> list[tuple[Any, ...]]:
        """All rows of a query; text that is not UTF-8 comes with its bytes in surrogates."""
        try:
            return connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
        connection.text_factory = lenient
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.text_factory = str

    @contextlib.contextmanager
    def reading(self, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
        """A short read transaction: every statement in it sees the same moment."""
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def writing(self, run: str | None = None) -> Iterator[sqlite3.Connection]:
        """A write transaction from its first lock to its commit; `run` where it writes rows."""
        connection = self.main
        asked = time.monotonic()
        connection.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        try:
            yield connection
            (self.version_seen,) = connection.execute("PRAGMA data_version").fetchone()
            committing = time.monotonic()
            try:
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                if error.sqlite_errorcode & 0xFF == 19:
                    raise
                raise translate(error, str(self.path), committing=True) from error
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        if run is not None:
            self.own_commits[run] += 1
            self.commits_made += 1
        ended = time.monotonic()
        self.waits.append((ended, began - asked))
        self.writes.append((ended, ended - began))
        self.commits.append((ended, ended - committing))

    def now(self) -> float:
        """The clock of `waits` and `writes`."""
        return time.monotonic()

    def start_of(self, run: str) -> Key | None:
        """Where the span of a run begins: its first chunk has no key before it."""
        if run not in self._starts:
            row = self.main.execute("SELECT span FROM proctor_runs WHERE id = ?", (run,)).fetchone()
            self._starts[run] = span_from_json(row[0]).start if row else None
        return self._starts[run]

    def close(self) -> None:
        """Give every connection back."""
        for connection in (self._main, self._quiet, self._pad):
            if connection is not None:
                connection.close()
        self._main = self._quiet = self._pad = None


class ReadSession(Session):
    """A session that only reads, on a thread of its own beside the one that writes.

    For files in WAL mode, where neither keeps the other waiting.
    """

    def __init__(self, writer: Session) -> None:
        super().__init__(writer.path, writer.manners)
        self.writer = writer

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        connection.execute("PRAGMA query_only = ON")
        return connection


S = TypeVar("S", bound=Session)


class Desk(Generic[S]):
    """The thread that a store's session lives on."""

    def __init__(self, session: S) -> None:
        self.session = session
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="proctor-sqlite")
        self._closed = False

    async def ask(
        self,
        question: Callable[Concatenate[S, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a blocking function with the session on its thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._pool, lambda: self._answer(question, *args, **kwargs)
        )

    def ask_now(
        self,
        question: Callable[Concatenate[S, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """The same for a caller that cannot wait asynchronously; for short questions only."""
        return self._pool.submit(lambda: self._answer(question, *args, **kwargs)).result()

    def _answer(
        self,
        question: Callable[Concatenate[S, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        session = self.session
        session.deadline = time.monotonic() + session.manners.statement_timeout.total_seconds()
        try:
            return question(session, *args, **kwargs)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise translate(error, str(session.path)) from error
        except UnicodeEncodeError as error:
            raise TargetError(
                "a key or a name holds text that is not valid UTF-8",
                fix="mend it first: such a row cannot be addressed",
            ) from error

    async def close(self) -> None:
        """Close the connections on their thread, after what is under way there."""
        if self._closed:
            return
        self._closed = True
        closing = self._pool.submit(self.session.close)
        self._pool.shutdown(wait=False)
        # Whoever waits may be cancelled; the thread and its connections end all the same.
        await asyncio.shield(asyncio.wrap_future(closing))


def utc_now() -> datetime:
    """This machine's clock: a SQLite file has no server whose clock could be asked."""
    return datetime.now(UTC)
