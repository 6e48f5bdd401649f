"""Rows in one database, the ledger on a Postgres: a whole life from plan to rollback."""

import contextlib
import json
import sqlite3

import psycopg
import pytest

from proctor.app import RollbackOptions, RunOptions
from proctor.app.wiring import open_app
from proctor.config import load
from proctor.model import RunState
from proctor.ui.reports import html, markdown
from proctor.ui.reports import json as statistics

BACKFILLS = '''
from proctor import Skip, backfill, table

@backfill(
    table("items", key="id"), fills=("normal", "secret"),
    missing="normal IS NULL OR normal = 'old'", version="1", sensitive=["secret"],
)
def normalise(row):
    """Lower-case it."""
    if row["id"] == 7:
        return Skip("no need")
    return {"normal": row["style"].lower(), "secret": "hidden " + row["style"]}
'''
ROWS = [(n, f"Style {n}", "old" if n % 2 else None, "hush" if n == 1 else None) for n in range(300)]


class InSqlite:
    """Rows in a file."""

    def __init__(self, tmp_path, _pg):
        self.url = f"sqlite:///{tmp_path / 'shop.db'}"
        self.path = tmp_path / "shop.db"
        with contextlib.closing(sqlite3.connect(self.path)) as file, file:
            file.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, style, normal, secret)")
            file.executemany("INSERT INTO items VALUES (?, ?, ?, ?)", ROWS)

    def rows(self):
        with contextlib.closing(sqlite3.connect(self.path)) as file:
            return file.execute("SELECT * FROM items ORDER BY id").fetchall()

    def ours(self):
        """What Proctor has made there."""
        with contextlib.closing(sqlite3.connect(self.path)) as file:
            return file.execute(
                "SELECT name FROM sqlite_master WHERE name LIKE 'proctor%'"
            ).fetchall()


class InPostgres:
    """Rows in a database of a server."""

    def __init__(self, _tmp_path, pg):
        self.url = pg
        with psycopg.connect(pg) as connection, connection.cursor() as cursor:
            cursor.execute(
                "CREATE TABLE items (id int PRIMARY KEY, style text, normal text, secret text)"
            )
            cursor.executemany("INSERT INTO items VALUES (%s, %s, %s, %s)", ROWS)

    def rows(self):
        with psycopg.connect(self.url) as connection:
            return connection.execute("SELECT * FROM items ORDER BY id").fetchall()

    def ours(self):
        """What Proctor has made there, other than a ledger."""
        with psycopg.connect(self.url) as connection:
            return connection.execute(
                "SELECT table_name FROM information_schema.tables "
                "WHERE table_schema = 'proctor' AND table_name IN ('runs', 'chunks')"
            ).fetchall()


@pytest.fixture
def ledger(pg_server):
    """A database of its own for the ledger."""
    url = pg_server.create_database()
    yield url
    pg_server.drop_database(url)


@pytest.mark.parametrize("progress", ["store", "ledger"])
@pytest.mark.parametrize("kind", [InSqlite, InPostgres])
async def test_a_whole_life_with_the_ledger_on_postgres(tmp_path, pg, ledger, kind, progress):
    """The same story wherever rows and progress are; nothing of ours where it was not wanted."""
    data = kind(tmp_path, pg)
    before = data.rows()
    (tmp_path / "backfills.py").write_text(BACKFILLS)
    (tmp_path / "proctor.toml").write_text(
        f'backfills = ["backfills"]\n[env.local]\nstore = {json.dumps(data.url)}\n'
        f'ledger = {json.dumps(ledger)}\nprogress = "{progress}"\n[run]\nchunk_rows = 50\n'
    )
    async with open_app(load(tmp_path / "proctor.toml"), "local") as app:
        plan = await app.plan("normalise")
        dry = await app.dry_run("normalise", sample=10)
        assert data.rows() == before
        ended = await app.run("normalise", RunOptions())
        run = ended.run.id
        verified = await app.verify(run)
        report = await app.report(run)
        filled = data.rows()
    # Another process, later: everything is found again.
    async with open_app(load(tmp_path / "proctor.toml"), "local") as app:
        (seen,) = await app.status()
        back = await app.rollback(run, RollbackOptions())
        again = await app.report(run)
        record = [e.name for e in await app.record(run)]
        assert all(f.ok for f in await app.doctor())
    assert plan.survey.eligible == 300
    assert dry.counts == {"read": 10, "skipped": 1, "written": 9}
    assert ended.exit_code == 0
    assert (ended.run.outcome.written, ended.run.outcome.skipped) == (299, 1)
    assert len(filled) == 300
    assert all(r[2] == r[1].lower() and r[3] == f"hidden {r[1]}" for r in filled if r[0] != 7)
    assert verified.verdict == "pass"
    assert seen.run.state is RunState.SUCCEEDED
    assert (back.undone.restored, back.undone.written) == (299, 299)
    assert data.rows() == before
    assert bool(data.ours()) is (progress == "store")
    assert ("progress and undo data are kept in the ledger" in " ".join(plan.warnings)) is (
        progress == "ledger"
    )
    assert {"run.opened", "run.succeeded", "rollback.started", "rollback.finished"} <= set(record)
    for told in (report, again):
        looked = {p.key[0]: p for p in told.sample}
        assert looked.keys() >= {0}
        assert len(looked) == 10
        assert max(looked) > 200
        assert looked[0].before == {"normal": None, "secret": None}
        assert looked[0].after == {"normal": "style 0", "secret": "•••"}
        for form in (markdown, html, statistics):
            assert "style 0" in form.render(told)
            assert "hidden" not in form.render(told).replace("overflow: hidden", "")
            assert "hush" not in form.render(told)
    assert again.rollback.restored == 299


async def test_one_postgres_may_hold_the_rows_and_the_ledger(tmp_path, pg):
    """The same database twice: a schema each for progress and the record, and the user's table."""
    data = InPostgres(tmp_path, pg)
    before = data.rows()
    (tmp_path / "backfills.py").write_text(BACKFILLS)
    (tmp_path / "proctor.toml").write_text(
        f'backfills = ["backfills"]\nledger = {json.dumps(pg)}\n'
        f"[env.local]\nstore = {json.dumps(pg)}\n"
    )
    async with open_app(load(tmp_path / "proctor.toml"), "local") as app:
        ended = await app.run("normalise", RunOptions())
        assert ended.run.outcome.written == 299
        assert (await app.verify(ended.run.id)).verdict == "pass"
        assert (await app.rollback(ended.run.id, RollbackOptions())).undone.restored == 299
        assert "run.opened" in [e.name for e in await app.record(ended.run.id)]
    assert data.rows() == before
