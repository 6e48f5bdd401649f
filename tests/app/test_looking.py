"""Whoever only looks at a run leaves everything in the target as it is, Proctor's own rows too."""

import json
import sqlite3

from contextlib import closing

import psycopg
import pytest

from proctor.app import Forgetting, Part, RollbackOptions, RunOptions
from shop import CONFIG, Shop


class OnPostgres(Shop):
    """The same items on a server."""

    def __init__(self, root, url):
        super().__init__(root)
        self.url = url
        self.configure(CONFIG.replace('"sqlite:///shop.db"', json.dumps(url)))
        with psycopg.connect(url) as db:
            db.execute("CREATE TABLE items (id int PRIMARY KEY, normal text)")
            db.execute("INSERT INTO items SELECT n, NULL FROM generate_series(1, 30) n")

    def all_rows(self):
        """With the transaction that wrote each of them."""
        tables = ("items", "proctor.runs", "proctor.chunks")
        with psycopg.connect(self.url) as db:
            return [
                db.execute(f"SELECT xmin::text, t.* FROM {t} t ORDER BY t").fetchall()
                for t in tables
            ]


class OnSqlite(Shop):
    """The same items in a file."""

    def __init__(self, root, _url):
        super().__init__(root)

    def all_rows(self):
        with closing(sqlite3.connect(self.root / "shop.db")) as db:
            return list(db.iterdump())


@pytest.mark.parametrize("kind", [OnSqlite, OnPostgres])
async def test_looking_at_a_run_writes_nothing(tmp_path, pg, kind):
    """P7: a dry rollback, also in part, verify, report, failures, and what prune would forget."""
    shop = kind(tmp_path, pg)
    async with shop.by("ada") as app:
        run = (await app.run("fill", RunOptions())).run.id
    before = shop.all_rows()
    async with shop.by("vera") as app:
        for part in (Part(), Part(stop="9")):
            dry = await app.rollback(run, RollbackOptions(dry_run=True, part=part))
            assert dry.undone.restored == (9 if part.stop else 30)
        assert (await app.verify(run)).verdict == "pass"
        assert [part.rows for part in await app.prunable(Forgetting(run=run))] == [30]
        assert [line async for line in app.rollback_script(run)]
        for look in (app.status, app.report, app.failures, app.unwritten):
            await look(run)
        await app.plan("fill")
        await app.dry_run("fill")
        await app.ensure("fill")
        await app.doctor()
    assert shop.all_rows() == before
    async with shop.by("bob") as app:
        await app.rollback(run, RollbackOptions())
    assert shop.all_rows() != before, "the trap itself must work"
