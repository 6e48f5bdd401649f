"""An error budget that is spent by rows which the server refuses: nobody can know before."""

import sqlite3

from contextlib import closing

import pytest

from proctor.app import RunOptions
from proctor.app.wiring import open_app
from proctor.config import load

BACKFILLS = """
from proctor import ErrorBudget, backfill, table

TIGHT = ErrorBudget(count=4)
ITEMS = table("items", key="id")

inside = backfill(ITEMS, fills="normal", sql="lower(style)", name="inside", budget=TIGHT)

@backfill(ITEMS, fills="normal", version="1", budget=TIGHT)
def outside(row):
    \"\"\"The same in Python.\"\"\"
    return {"normal": row["style"].lower()}
"""
ROWS, CHUNK = 100, 10
IN_HAND = 3  # one is read and computed, and one claimed, while another is written


@pytest.fixture
def shop(tmp_path):
    """Items of which the last five of each ten may not be filled, and a project beside them."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as db:
        db.execute(
            "CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, "
            "normal TEXT CHECK (normal NOT LIKE '%x'))"
        )
        rows = [(n, f"STYLE {n}{'X' if n % CHUNK >= 5 else ''}") for n in range(ROWS)]
        db.executemany("INSERT INTO items (id, style) VALUES (?, ?)", rows)
        db.commit()
    (tmp_path / "backfills.py").write_text(BACKFILLS)
    (tmp_path / "proctor.toml").write_text(
        'backfills = ["backfills"]\nledger = "sqlite:///ledger.db"\n'
        '[env.local]\nstore = "sqlite:///shop.db"\n'
        f"[run]\nchunk_rows = {CHUNK}\nworkers = 1\n"
    )
    return load(tmp_path / "proctor.toml")


@pytest.mark.parametrize("name", ["inside", "outside"])
async def test_rows_that_the_server_refuses_spend_the_budget(shop, name):
    """P1: the run pauses with the chunks that were in hand, and says by how much."""
    async with open_app(shop, "local") as app:
        ended = await app.run(name, RunOptions())
    assert (ended.run.state, ended.exit_code) == ("paused", 1)
    assert "rows failed; the error budget is 4" in ended.run.reason
    assert ended.run.outcome.failed == ended.run.outcome.read // 2
    assert ended.run.outcome.read <= IN_HAND * CHUNK
