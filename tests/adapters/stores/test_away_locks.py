"""In which order the progress in a Postgres ledger is locked: in one order nobody deadlocks."""

import asyncio

from dataclasses import replace

import psycopg
import pytest

from adapters.stores.away_harness import AwayHarness
from pgcases import WAITING, Case, until
from proctor.adapters.stores.away import intents
from proctor.adapters.stores.away.intents import WRITE, Intent
from proctor.model import RunState
from proctor.testing.conformance.acting import (
    BOB,
    TERMS,
    answered,
    begin,
    claim,
    claim_one,
    finish,
    items_spec,
    make_items,
    work,
)

RUNS = "proctor_ledger.proctor_away_runs"
CHUNKS = "proctor_ledger.proctor_away_chunks"
SPEC = items_spec()


@pytest.fixture
async def ledger(pg_server):
    url = pg_server.create_database()
    async with Case(url) as case:
        yield case
    pg_server.drop_database(url)


@pytest.fixture
async def harness(pg, ledger):
    harness = AwayHarness(pg, ledger.url)
    yield harness
    await harness.close()


@pytest.fixture
async def store(harness):
    return await harness.store()


async def _apply(store, run):
    """The row of the chunk that moved makes a chunk of its own, whose number is the run's."""
    lease = await claim_one(store, run, SPEC)
    page = await store.read(SPEC, lease)
    moved = replace(page, versions=["0" for _ in page.versions])
    return lambda: store.apply(SPEC, lease, answered(moved, SPEC), TERMS)


async def _split(store, run):
    lease = await claim_one(store, run, SPEC)
    return lambda: store.split(lease, None)


async def _release(store, run):
    leases = await claim(store, run, SPEC, rows=2, count=2)
    return lambda: store.release(leases)


async def _drop(store, run):
    lease = await claim_one(store, run, SPEC)
    intent, progress = Intent(kind=WRITE, witness={}), store._progress
    await progress.write(lambda c: intents.note(c, lease, intent))
    return lambda: progress.write(lambda c: intents.drop(c, run.id, 1, intent.token))


async def _take_over(store, run):
    await claim(store, run, SPEC, rows=2, count=2)
    return lambda: begin(store, SPEC, holder=BOB, resume=True, dead=True)


async def _beat(store, run):
    await claim(store, run, SPEC, rows=2, count=2)
    return lambda: store.beat(run, ["worker-1"], TERMS.lease_for)


async def _cancel(store, run):
    await claim(store, run, SPEC, rows=2, count=2)
    return lambda: store.move(run.id, RunState.CANCELLING, among=[RunState.RUNNING])


@pytest.mark.parametrize(
    "prepared",
    [_apply, _split, _release, _drop, _take_over, _beat, _cancel],
    ids=lambda f: f.__name__,
)
async def test_whoever_locks_chunks_locks_their_run_first(harness, ledger, store, prepared):
    """Two that take both rows in different orders would each wait for the other."""
    await make_items(harness, range(1, 5))
    act = await prepared(store, await begin(store, SPEC))
    with psycopg.connect(ledger.url) as other:
        other.execute(f"SELECT FROM {RUNS} FOR UPDATE")
        acting = asyncio.create_task(act())
        await until(ledger, WAITING)
        other.execute(f"SELECT FROM {CHUNKS} FOR UPDATE NOWAIT")
        other.rollback()
        await acting


async def test_chunks_whose_images_are_forgotten_are_locked_in_order(harness, ledger):
    """Two who prune at once wait for one another, and not each for the other."""
    database = ledger.url.rpartition("/")[2]
    ledger.sql(f"ALTER DATABASE {database} SET enable_nestloop = off")  # as with many chunks
    store = await harness.store()
    await make_items(harness, range(1, 5))
    run = await begin(store, SPEC)
    await work(store, run, SPEC, rows=2)
    await finish(store, run)
    ledger.sql(f"UPDATE {CHUNKS} SET fence = fence WHERE number = 1")  # now the last in its table
    with psycopg.connect(ledger.url) as other:
        other.execute(f"SELECT FROM {CHUNKS} WHERE number = 1 FOR UPDATE")
        pruning = asyncio.create_task(store.prune())
        await until(ledger, WAITING)
        other.execute(f"SELECT FROM {CHUNKS} WHERE number = 2 FOR UPDATE NOWAIT")
        other.rollback()
        assert await pruning == 4
