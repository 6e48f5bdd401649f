"""One worker: the next chunk is computed while one is written, and nothing else at once."""

import asyncio
import json
import sys

import psycopg

from proctor.app import RunOptions
from proctor.app.wiring import open_app
from proctor.config import load

BACKFILLS = '''
import threading

from proctor import backfill, table

reached, inside, most = threading.Event(), [], []

@backfill(table("items", key="id"), fills="normal", version="1")
def normalise(row):
    """Lower-case it."""
    inside.append(row["id"])
    most.append(len(inside))
    if row["id"] == 11:
        reached.set()
    inside.pop()
    return {"normal": row["style"].lower()}
'''
PATIENCE = 20


async def test_the_next_chunk_is_computed_while_one_waits_to_be_written(pg, tmp_path):
    """Somebody holds a row of the first chunk; the second is computed before they let go."""
    (tmp_path / "overlapping.py").write_text(BACKFILLS)
    (tmp_path / "proctor.toml").write_text(
        f'backfills = ["overlapping"]\nledger = "sqlite:///.proctor/ledger.db"\n'
        f"[env.local]\nstore = {json.dumps(pg)}\n[run]\nchunk_rows = 10\nlock_timeout_s = 60\n"
    )
    with psycopg.connect(pg, autocommit=True) as connection:
        connection.execute("CREATE TABLE items (id int PRIMARY KEY, style text, normal text)")
        connection.execute("INSERT INTO items SELECT n, 'S ' || n FROM generate_series(1, 40) n")
    with psycopg.connect(pg) as holder:
        holder.execute("SELECT FROM items WHERE id = 1 FOR UPDATE")
        async with open_app(load(tmp_path / "proctor.toml")) as app:
            app.backfill("normalise")
            author = sys.modules["overlapping"]
            run = asyncio.create_task(app.run("normalise", RunOptions(workers=1)))
            reached = await asyncio.to_thread(author.reached.wait, PATIENCE)
            written = await asyncio.to_thread(_written_when_waited_for, pg)
            holder.rollback()
            ended = await run
    assert reached, "nothing was computed while a write waited"
    assert written == 0, "one worker writes one chunk at a time, in turn"
    assert set(author.most) == {1}, "one worker computes one row at a time"
    assert ended.run.outcome.written == 40


def _written_when_waited_for(url):
    """Rows that are filled at a moment when somebody waits for the locked row."""
    with psycopg.connect(url, autocommit=True) as connection:
        waits = 0
        while not waits:
            ((waits, filled),) = connection.execute(
                "SELECT (SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                "AND datname = current_database()), count(normal) FROM items"
            ).fetchall()
        return filled
