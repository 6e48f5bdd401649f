"""What the Postgres tests share: a case is one database with stores on it and SQL beside them."""

import asyncio
import contextlib
import struct
import threading

import psycopg

from psycopg.pq import ExecStatus, PGconn

from proctor.adapters.stores.postgres import open_postgres
from proctor.model import KeyPart, RunState, Source, Spec
from proctor.ports import Manners, UndoTerms
from proctor.testing.conformance.acting import begin, claim, process


def table_spec(source="items", key=("id",), fills=("normal",), **more):
    """A backfill of one table; a key part with a minus before it is descending."""
    parts = tuple(KeyPart(column=k.lstrip("-"), descending=k.startswith("-")) for k in key)
    return Spec(
        backfill="case",
        version="1",
        kind=Source.TABLE,
        source=source,
        key=parts,
        fills=fills,
        **more,
    )


class Beside:
    """Somebody else at a database: one session that is as new at each call, more where it waits.

    A session costs the server more than most statements do.
    """

    def __init__(self, url):
        self.url = url
        self._session = None
        self._taken = threading.Lock()

    def sql(self, *statements):
        """Run statements, each in a transaction of its own; the rows of the last."""
        if not self._taken.acquire(blocking=False):
            with psycopg.connect(self.url, autocommit=True) as another:
                return self._run(another, statements)
        try:
            return self._run(self._as_new(), statements)
        finally:
            self._taken.release()

    def _as_new(self):
        if self._session is not None:
            try:
                self._session.execute("DISCARD ALL")
            except psycopg.OperationalError:  # the server was killed meanwhile
                self.close()
        if self._session is None:
            self._session = psycopg.connect(self.url, autocommit=True, prepare_threshold=None)
        return self._session

    def _run(self, session, statements):
        for statement in statements:
            cursor = session.execute(statement)
        return cursor.fetchall() if cursor.description else []

    def close(self):
        """Leave."""
        if self._session is not None:
            self._session.close()
            self._session = None


class Case:
    """One database of a test's own."""

    def __init__(self, url):
        self.url = url
        self._stack = contextlib.AsyncExitStack()
        self._beside = Beside(url)
        self._stack.callback(self._beside.close)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        await self._stack.aclose()

    async def store(self, url=None, **manners):
        """One more store, closed at the end."""
        store = await open_postgres(url or self.url, Manners(**manners))
        self._stack.push_async_callback(store.aclose)
        return store

    def sql(self, *statements):
        """Run statements as somebody else; the rows of the last."""
        return self._beside.sql(*statements)

    def items(self, count, *, column="normal text", schema=""):
        """A table of `count` rows with a style each."""
        self.sql(
            f"CREATE TABLE {schema}items (id int PRIMARY KEY, style text, {column})",
            f"INSERT INTO {schema}items (id, style) SELECT n, 'Style ' || n "
            f"FROM generate_series(1, {count}) n",
        )

    def image(self, table):
        """A table in the server's own binary form."""
        copy = f"COPY (SELECT * FROM {table} ORDER BY 1) TO STDOUT (FORMAT BINARY)"
        with psycopg.connect(self.url) as connection, connection.cursor().copy(copy) as parts:
            return b"".join(bytes(part) for part in parts)


class Replica:
    """What the server takes for a replica: a session that streams WAL and says it has replayed."""

    def __init__(self, url):
        self.session = PGconn.connect(f"{url}?replication=true".encode())
        at = self.session.exec_(b"IDENTIFY_SYSTEM").get_value(0, 2)
        started = self.session.exec_(b"START_REPLICATION PHYSICAL " + at)
        assert started.status == ExecStatus.COPY_BOTH, self.session.error_message
        high, low = (int(part, 16) for part in at.split(b"/"))
        lsn = (high << 32) + low
        self.session.put_copy_data(b"r" + struct.pack("!QQQQB", lsn, lsn, lsn, 0, 0))
        self.session.flush()

    def close(self):
        """Break off without a word."""
        self.session.finish()


class PostgresHarness:
    """What the store suite asks of one database."""

    json_type = "jsonb"

    def __init__(self, url):
        self.url = url
        self.stores = []
        self.beside = Beside(url)

    async def store(self):
        self.stores.append(await open_postgres(self.url, Manners()))
        return self.stores[-1]

    async def sql(self, *statements):
        await asyncio.to_thread(self.beside.sql, *statements)

    async def fetch(self, query):
        return await asyncio.to_thread(self.beside.sql, query)

    async def script(self, text):
        await self.sql(text)

    async def log_writes(self, table):
        await self.sql(
            "CREATE TABLE write_log (what text)",
            "CREATE FUNCTION log_write() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN INSERT INTO write_log VALUES (TG_OP); RETURN NULL; END $$",
            f"CREATE TRIGGER logged AFTER INSERT OR UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION log_write()",
        )

    async def stamp_writes(self, table, column):
        await self.sql(
            "CREATE FUNCTION stamp_write() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN NEW.{column} = coalesce(OLD.{column}, 0) + 1; RETURN NEW; END $$",
            f"CREATE TRIGGER stamped BEFORE UPDATE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION stamp_write()",
        )

    async def dump(self):
        tables = await self.fetch(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n "
            "ON n.oid = c.relnamespace WHERE c.relkind = 'r' "
            "AND n.nspname IN ('public', 'proctor') ORDER BY 1, 2"
        )
        parts = []
        for schema, name in tables:
            rows = await self.fetch(f'SELECT t::text FROM "{schema}"."{name}" t ORDER BY 1')
            parts.append(f"{schema}.{name}\n" + "\n".join(r[0] for r in rows))
        return "\n".join(parts)

    async def proctor_tables(self):
        return (await self.fetch("SELECT to_regclass('proctor.runs') IS NOT NULL"))[0][0]

    async def close(self):
        self.beside.close()
        for store in self.stores:
            await store.aclose()


async def until(case, sql):
    """The rows of a query, once it has any: what somebody else is doing at that moment."""
    for _ in range(1000):
        if found := case.sql(sql):
            return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"never: {sql}")


WAITING = "SELECT pid FROM pg_locks WHERE NOT granted"
"""Whoever waits for a lock."""


async def first_page(store, spec, *, rows=1000, **opening):
    """A run with its first chunk claimed and read."""
    run = await begin(store, spec, **opening)
    (lease,) = await claim(store, run, spec, rows=rows)
    return run, lease, await store.read(spec, lease)


async def fill(store, spec, answer, *, rows=1000, **opening):
    """One chunk from opening to applied, with the chunks of moved rows; run and last result."""
    run = await begin(store, spec, **opening)
    (lease,) = await claim(store, run, spec, rows=rows)
    applied = await process(store, spec, lease, answer)
    while applied.retry is not None:
        applied = await process(store, spec, applied.retry, answer)
    return run, applied


async def take_back(store, run, terms=None):
    """End a run and undo its chunks, newest first; the books of all of them together."""
    await store.move(run.id, RunState.SUCCEEDED, among=[RunState.RUNNING])
    run = await store.move(run.id, RunState.ROLLING_BACK, among=[RunState.SUCCEEDED])
    undone = [
        await store.undo(run, c.chunk.number, terms or UndoTerms())
        for c in reversed(await store.chunks(run.id))
    ]
    total = sum(undone[1:], undone[0])
    assert total.balances
    return total
