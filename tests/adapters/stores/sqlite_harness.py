"""The store suite's harness on a SQLite file."""

import sqlite3

from contextlib import closing
from datetime import timedelta

from proctor.adapters.stores.sqlite import open_sqlite
from proctor.ports import Manners


class SqliteHarness:
    """One file of a test's own."""

    json_type = "JSON"

    def __init__(self, path, *, journal_mode="wal"):
        self.path = path
        self.stores = []
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"PRAGMA journal_mode = {journal_mode}")

    async def store(self):
        manners = Manners(lock_timeout=timedelta(seconds=2))
        store = await open_sqlite(str(self.path), manners)
        self.stores.append(store)
        return store

    def connect(self):
        db = sqlite3.connect(self.path, isolation_level=None)
        db.execute("PRAGMA foreign_keys = ON")
        db.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        return closing(db)

    async def sql(self, *statements):
        with self.connect() as db:
            for statement in statements:
                db.execute(statement)

    async def fetch(self, query):
        with self.connect() as db:
            return db.execute(query).fetchall()

    async def script(self, text):
        with self.connect() as db:
            db.executescript(text)

    async def log_writes(self, table):
        await self.sql("CREATE TABLE IF NOT EXISTS write_log (what TEXT)")
        for event in ("INSERT", "UPDATE", "DELETE"):
            await self.sql(
                f"CREATE TRIGGER {table}_{event} AFTER {event} ON {table} "
                f"BEGIN INSERT INTO write_log VALUES ('{event}'); END"
            )

    async def stamp_writes(self, table, column):
        await self.sql(
            f"CREATE TRIGGER {table}_stamp AFTER UPDATE ON {table} BEGIN UPDATE {table} "
            f"SET {column} = coalesce(old.{column}, 0) + 1 WHERE rowid = new.rowid; END"
        )

    async def dump(self):
        with self.connect() as db:
            return "\n".join(db.iterdump())

    async def proctor_tables(self):
        found = await self.fetch("SELECT count(*) FROM sqlite_master WHERE name GLOB 'proctor_*'")
        return found[0][0] > 0

    async def close(self):
        for store in self.stores:
            await store.aclose()
