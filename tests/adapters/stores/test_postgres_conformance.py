"""The store suite on a real Postgres server."""

import psycopg
import pytest

from proctor.adapters.stores.postgres import open_postgres
from proctor.ports import Manners
from proctor.testing.conformance import StoreConformance


class PostgresHarness:
    """One database of a test's own."""

    json_type = "jsonb"

    def __init__(self, url):
        self.url = url
        self.stores = []

    async def store(self):
        self.stores.append(await open_postgres(self.url, Manners()))
        return self.stores[-1]

    async def sql(self, *statements):
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                await connection.execute(statement)

    async def fetch(self, query):
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            return await (await connection.execute(query)).fetchall()

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
        for store in self.stores:
            await store.aclose()


class TestPostgresStore(StoreConformance):
    @pytest.fixture
    async def harness(self, pg):
        harness = PostgresHarness(pg)
        yield harness
        await harness.close()
