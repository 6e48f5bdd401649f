"""The store suite's harness where progress is kept in the ledger's database."""

import asyncio
import contextlib
import sqlite3

from datetime import timedelta

from adapters.stores.sqlite_harness import SqliteHarness
from adapters.stores.test_postgres_conformance import PostgresHarness
from pgcases import Beside
from proctor.adapters.stores.away import open_away
from proctor.ports import Manners


class AwayHarness(PostgresHarness):
    """One database with rows, and another for the progress of runs on them."""

    def __init__(self, url, ledger):
        super().__init__(url)
        self.ledger = ledger
        self.asked = Beside(ledger)

    async def store(self, *, manners=None):
        self.stores.append(await open_away(self.url, self.ledger, manners or Manners(), env="test"))
        return self.stores[-1]

    async def ask(self, query):
        """The rows of a query on the progress."""
        if not self.ledger.startswith("sqlite"):
            place = "SET search_path TO proctor_ledger"
            return await asyncio.to_thread(self.asked.sql, place, query)
        with contextlib.closing(sqlite3.connect(self.ledger.removeprefix("sqlite:///"))) as file:
            return file.execute(query).fetchall()

    async def close(self):
        self.asked.close()
        await super().close()

    async def proctor_tables(self):
        beside = (await self.fetch("SELECT to_regnamespace('proctor') IS NOT NULL"))[0][0]
        assert not beside
        if self.ledger.startswith("sqlite"):
            query = "SELECT count(*) > 0 FROM sqlite_master WHERE name = 'proctor_away_runs'"
        else:
            query = "SELECT to_regclass('proctor_ledger.proctor_away_runs') IS NOT NULL"
        return bool((await self.ask(query))[0][0])

    def tell(self, statement, *values):
        """Change the progress, which is a SQLite file, as nobody should."""
        with contextlib.closing(sqlite3.connect(self.ledger.removeprefix("sqlite:///"))) as file:
            file.execute(statement, values)
            file.commit()


class AwaySqliteHarness(SqliteHarness):
    """One file with rows, and another for the progress of runs on them."""

    def __init__(self, path, ledger, **how):
        super().__init__(path, **how)
        self.url = f"sqlite:///{path}"
        self.ledger = ledger

    async def store(self, *, manners=None):
        manners = manners or Manners(lock_timeout=timedelta(seconds=2))
        self.stores.append(await open_away(self.url, self.ledger, manners, env="test"))
        return self.stores[-1]

    async def proctor_tables(self):
        beside = await self.fetch("SELECT name FROM sqlite_master WHERE name LIKE 'proctor%'")
        assert not beside
        query = "SELECT count(*) > 0 FROM sqlite_master WHERE name = 'proctor_away_runs'"
        return bool((await self.ask(query))[0][0])

    ask = AwayHarness.ask
    tell = AwayHarness.tell
