"""A small project on SQLite, and operators who act on it, each in a process of his own."""

import sqlite3

from contextlib import asynccontextmanager, closing

from proctor.app import RunOptions, Stop
from proctor.app.wiring import open_app
from proctor.config import load
from proctor.ui import documents

BACKFILLS = '''
from proctor import backfill, table

@backfill(table("items", key="id"), fills="normal", version="1")
def fill(row):
    """Anything."""
    return {"normal": "x"}
'''
CONFIG = """
backfills = ["backfills"]
ledger = "sqlite:///ledger.db"

[env.local]
store = "sqlite:///shop.db"

[run]
chunk_rows = 10
"""


class Shop:
    """Items to fill, thirty unless said otherwise."""

    def __init__(self, root, rows=30):
        self.root = root
        self.sql("CREATE TABLE items (id INTEGER PRIMARY KEY, normal TEXT)")
        self.add(rows)
        self.write(BACKFILLS)
        self.configure(CONFIG)

    def sql(self, text):
        with closing(sqlite3.connect(self.root / "shop.db")) as db, db:
            return db.execute(text).fetchall()

    def add(self, rows):
        numbers = (
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
        )
        self.sql(f"{numbers} INSERT INTO items (normal) SELECT NULL FROM n")

    def write(self, code):
        (self.root / "backfills.py").write_text(code)

    def configure(self, text):
        (self.root / "proctor.toml").write_text(text)

    @asynccontextmanager
    async def by(self, who, env="local"):
        async with open_app(load(self.root / "proctor.toml"), env, who=who) as app:
            yield app

    async def told(self, *names, run=None):
        """What a reader of the ledger finds, of these events or of all."""
        async with self.by("a reader") as app:
            found = await app.record(run)
        return [event for event in found if not names or event.name in names]

    async def paused(self, who="ada"):
        """A run that is asked to stop before its first chunk."""
        stop = Stop()
        stop.ask("lunch")
        async with self.by(who) as app:
            return (await app.run("fill", RunOptions(stop=stop))).run

    async def planned(self, who="pat", **words):
        """A plan's file, and its digest."""
        async with self.by(who) as app:
            plan = await app.plan("fill", **words)
        documents.write(plan, self.root / "plan.json")
        return self.root / "plan.json", plan.digest
