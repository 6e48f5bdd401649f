"""Rows that come to the table behind a run's back, while it goes on."""

from proctor.app import RunOptions
from shop import Shop

ARRIVING = '''
import sqlite3

from contextlib import closing
from pathlib import Path

from proctor import backfill, table

SHOP = Path(__file__).with_name("shop.db")

@backfill(table("items", key="id"), fills="normal", version="1")
def fill(row):
    """Somebody inserts a row behind the cursor, once."""
    if row["id"] == 25:
        with closing(sqlite3.connect(SHOP)) as db, db:
            db.execute("INSERT OR IGNORE INTO items VALUES (-1, NULL)")
    return {"normal": "x"}
'''


async def test_a_row_that_arrives_behind_the_cursor_is_swept(tmp_path):
    """P1: the run ends with it in the books, and with nothing still eligible."""
    shop = Shop(tmp_path)
    shop.write(ARRIVING)
    async with shop.by("ada") as app:
        run = (await app.run("fill", RunOptions())).run
    assert (run.outcome.read, run.outcome.written) == (31, 31)
    assert not run.still_eligible
    assert shop.sql("SELECT count(*) FROM items WHERE normal IS NULL") == [(0,)]
    (sweep,) = await shop.told("sweep.started")
    assert sweep.data["keys"] == 1


async def test_rows_that_were_counted_are_not_swept_again(tmp_path):
    """P1: what the function skipped is still eligible for that reason, and read once."""
    shop = Shop(tmp_path)
    skipping = ARRIVING.replace("from proctor import", "from proctor import Skip,")
    returned = '    return {"normal": "x"}'
    shop.write(skipping.replace(returned, f'    if row["id"] < 4: return Skip("no")\n{returned}'))
    async with shop.by("ada") as app:
        run = (await app.run("fill", RunOptions())).run
    assert (run.outcome.read, run.outcome.written, run.outcome.skipped) == (31, 27, 4)
    assert run.still_eligible == {"skipped": 4}
