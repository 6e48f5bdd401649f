"""What a function sees of the time is the run's beginning, in every chunk and after a pause."""

import sqlite3

from contextlib import closing
from datetime import timedelta

import pytest

from proctor.app import RunOptions
from proctor.app.wiring import open_app
from proctor.config import load

BACKFILLS = '''
import os
from proctor import backfill, table

@backfill(table("items", key="id"), fills="seen", version="1")
def note(row, ctx):
    """When, as the function is told; it breaks where the test says so."""
    if row["id"] == int(os.environ["BREAKS_AT"]):
        raise SystemExit
    return {"seen": ctx.now.isoformat()}
'''


@pytest.fixture
def shop(tmp_path):
    """Thirty items and a project beside them."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as db:
        db.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, seen TEXT)")
        db.executemany("INSERT INTO items (id) VALUES (?)", [(n,) for n in range(30)])
        db.commit()
    (tmp_path / "backfills.py").write_text(BACKFILLS)
    (tmp_path / "proctor.toml").write_text(
        'backfills = ["backfills"]\nledger = "sqlite:///ledger.db"\n'
        '[env.local]\nstore = "sqlite:///shop.db"\n'
        "[run]\nchunk_rows = 10\nworkers = 1\n"
    )
    return tmp_path


async def test_every_row_is_told_the_moment_at_which_the_run_began(shop, monkeypatch):
    """P2: a row that is computed again, after whatever crash, gets the same answer again."""
    async with open_app(load(shop / "proctor.toml"), "local") as app:
        monkeypatch.setenv("BREAKS_AT", "25")
        broken = await app.run("note", RunOptions())
        assert broken.run.state == "failed"
        monkeypatch.setenv("BREAKS_AT", "-1")
        ended = await app.run("note", RunOptions())
    assert (ended.run.id, ended.run.state) == (broken.run.id, "succeeded")
    with closing(sqlite3.connect(shop / "shop.db")) as db:
        seen = db.execute("SELECT seen, count(*) FROM items GROUP BY seen").fetchall()
    assert seen == [(ended.run.created.isoformat(), 30)]
    assert ended.run.created.utcoffset() == timedelta(0)
