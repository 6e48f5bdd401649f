"""A function that is wrong for the first page: nothing at all is written, whatever else is good."""

import sqlite3

from contextlib import closing

from proctor.app import RunOptions
from proctor.app.wiring import open_app
from proctor.config import load
from proctor.errors import AnswerError

BACKFILLS = '''
from proctor import backfill, table

@backfill(table("items", key="id"), fills="normal", version="1")
def normalise(row):
    """Wrong for the first ten, right for the others."""
    return {"wrong" if row["id"] < 10 else "normal": row["style"].lower()}
'''


async def test_pages_behind_a_wrong_first_one_are_not_written(tmp_path):
    """Bad input: it is seen in the first chunk, and the next ones are in hand by then."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as db:
        db.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, normal TEXT)")
        rows = [(n, f"STYLE {n}") for n in range(60)]
        db.executemany("INSERT INTO items (id, style) VALUES (?, ?)", rows)
        db.commit()
    (tmp_path / "wrong_at_first.py").write_text(BACKFILLS)
    (tmp_path / "proctor.toml").write_text(
        'backfills = ["wrong_at_first"]\nledger = "sqlite:///ledger.db"\n'
        '[env.local]\nstore = "sqlite:///shop.db"\n[run]\nchunk_rows = 10\n'
    )
    async with open_app(load(tmp_path / "proctor.toml"), "local") as app:
        ended = await app.run("normalise", RunOptions(workers=1))
    assert isinstance(ended.error, AnswerError)
    assert ended.run.outcome.written == 0
    with closing(sqlite3.connect(tmp_path / "shop.db")) as db:
        assert db.execute("SELECT count(normal) FROM items").fetchone() == (0,)
