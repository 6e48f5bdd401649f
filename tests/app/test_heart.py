"""The holder of a run lives for as long as it works on it, also where it only looks."""

import asyncio
import json

import psycopg
import pytest

from proctor.app import RunOptions
from proctor.app.wiring import open_app
from proctor.config import load

BACKFILLS = '''
from proctor import backfill, table

@backfill(table("items", key="id"), fills="normal", version="1", missing="wanting(normal)")
def normalise(row):
    """Lower-case it."""
    return {"normal": row["style"].lower()}
'''
WANTING = """
CREATE FUNCTION wanting(value text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
  IF value IS NULL THEN RETURN true; END IF;
  IF NOT EXISTS (SELECT FROM items WHERE normal IS NULL) THEN
    PERFORM pg_advisory_xact_lock_shared(7);
  END IF;
  RETURN false;
END $$
"""
"""Once no row is left to fill, whoever looks for one waits for the test."""
PATIENCE = 30


@pytest.fixture
def shop(pg, tmp_path):
    """Twenty items and a project beside them."""
    (tmp_path / "beating.py").write_text(BACKFILLS)
    (tmp_path / "proctor.toml").write_text(
        f'backfills = ["beating"]\nledger = "sqlite:///.proctor/ledger.db"\n'
        f"[env.local]\nstore = {json.dumps(pg)}\n[run]\nlock_timeout_s = 60\nlease_s = 5\n"
    )
    with psycopg.connect(pg, autocommit=True) as connection:
        connection.execute("CREATE TABLE items (id int PRIMARY KEY, style text, normal text)")
        connection.execute("INSERT INTO items SELECT n, 'S ' || n FROM generate_series(1, 20) n")
        connection.execute(WANTING)
    return tmp_path


async def test_the_heart_beats_while_rows_that_are_left_are_looked_for(shop, pg):
    """Nobody may take over a run that sweeps or counts: its process is alive and at work."""
    with psycopg.connect(pg) as holder:
        holder.execute("SELECT pg_advisory_lock(7)")
        async with open_app(load(shop / "proctor.toml")) as app:
            run = asyncio.create_task(app.run("normalise", RunOptions()))
            beats = await asyncio.to_thread(_beats_while_it_looks, pg)
            holder.execute("SELECT pg_advisory_unlock(7)")
            ended = await run
    assert len(beats) == 3, "the heart stood still while the run was swept"
    assert (ended.run.state, ended.run.outcome.written) == ("succeeded", 20)


def _beats_while_it_looks(url):
    """Heartbeats of the run, up to three, that were kept while its sweep waited."""
    with psycopg.connect(url, autocommit=True) as connection:
        seen = set()
        for _ in range(PATIENCE * 10):
            waits = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            if connection.execute(waits).rowcount:
                seen |= set(connection.execute("SELECT heartbeat FROM proctor.runs"))
            if len(seen) == 3:
                break
            connection.execute("SELECT pg_sleep(0.1)")
        return seen
