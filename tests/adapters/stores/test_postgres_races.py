"""Two transactions at once: what one of them cannot see of the other at that moment."""

import asyncio

import psycopg
import pytest

from pgcases import WAITING, first_page, table_spec, until
from proctor.errors import Fenced
from proctor.model import RunState
from proctor.testing.conformance.acting import (
    BOB,
    TERMS,
    answered,
    begin,
    claim,
    finish,
    lower,
    process,
)

LOCK = 77
HELD_UP = (
    (
        "CREATE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN PERFORM pg_advisory_xact_lock({LOCK}); RETURN NEW; END $$"
    ),
    (
        "CREATE TRIGGER held_up BEFORE UPDATE OF normal ON items "
        "FOR EACH ROW EXECUTE FUNCTION hold_up()"
    ),
)
BEHIND = f"{WAITING} AND locktype <> 'advisory'"
"""Whoever waits for the one that is held up."""
ENDS = {
    "cancel": (RunState.CANCELLING, RunState.CANCELLED),
    "give up": (RunState.FAILED, RunState.CANCELLED),
    "finish": (RunState.SUCCEEDED,),
}


async def _ended(store, run, end):
    before = RunState.RUNNING
    for then in ENDS[end]:
        await store.move(run.id, then, among=[before])
        before = then


async def _beside_an_apply(case, spec, act):
    """Do something while an apply with a moved row is held up; what the apply came to."""
    case.items(5)
    case.sql(*HELD_UP)
    worker = await case.store()
    run, lease, page = await first_page(worker, spec)
    case.sql("UPDATE items SET style = 'Moved' WHERE id = 2")
    with psycopg.connect(case.url, autocommit=True) as gate:
        gate.execute(f"SELECT pg_advisory_lock({LOCK})")
        applying = asyncio.create_task(worker.apply(spec, lease, answered(page, spec), TERMS))
        await until(case, WAITING)
        acting = asyncio.create_task(act(run))
        await until(case, BEHIND)
        gate.execute(f"SELECT pg_advisory_unlock({LOCK})")
        applied = await applying
        await acting
    assert applied.outcome.written == 4
    return worker, applied


@pytest.mark.parametrize("end", ENDS)
async def test_no_write_follows_the_end_of_a_run_that_overtook_an_apply(case, end):
    """Fence: the chunk of moved rows that a write in flight leaves ends with the run."""
    spec, other = table_spec(), await case.store()
    worker, applied = await _beside_an_apply(case, spec, lambda run: _ended(other, run, end))
    page = await worker.read(spec, applied.retry)
    with pytest.raises(Fenced):
        await worker.apply(spec, applied.retry, answered(page, spec), TERMS)
    assert case.sql("SELECT normal FROM items WHERE id = 2") == [(None,)]
    assert case.sql("SELECT state FROM proctor.chunks ORDER BY number") == [
        ("applied",),
        ("closed",),
    ]


async def test_a_takeover_frees_the_moved_rows_of_an_apply_that_it_waited_for(case):
    """Fence: the former worker may not write them, and the new one need not wait for a lease."""
    spec, other = table_spec(), await case.store()

    async def take_over(run):
        await begin(other, spec, run=run.id, holder=BOB, resume=True, dead=True)

    worker, applied = await _beside_an_apply(case, spec, take_over)
    page = await worker.read(spec, applied.retry)
    with pytest.raises(Fenced):
        await worker.apply(spec, applied.retry, answered(page, spec), TERMS)
    assert case.sql("SELECT state FROM proctor.chunks ORDER BY number") == [("applied",), ("open",)]


async def test_chunks_handed_back_are_locked_behind_their_run(case):
    """A cancel locks the run and then its chunks: it cannot meet the release half-way."""
    case.items(6)
    store, spec = await case.store(), table_spec()
    run = await begin(store, spec)
    leases = await claim(store, run, spec, count=2, rows=3)
    with psycopg.connect(case.url) as other:
        other.execute("SELECT FROM proctor.runs FOR UPDATE")
        releasing = asyncio.create_task(store.release(leases))
        await until(case, WAITING)
        other.execute("SELECT FROM proctor.chunks FOR UPDATE NOWAIT")
        other.rollback()
        await releasing
    assert case.sql("SELECT state, fence FROM proctor.chunks") == [("open", 2)] * 2


async def test_chunks_whose_images_are_forgotten_are_locked_in_order(case):
    """Two who prune at once wait for one another, and not each for the other."""
    case.items(6)
    store, spec = await case.store(), table_spec()
    run = await begin(store, spec)
    for lease in await claim(store, run, spec, count=2, rows=3):
        await process(store, spec, lease, lower)
    await finish(store, run)
    case.sql("UPDATE proctor.chunks SET fence = fence WHERE number = 1")  # now the table's last
    with psycopg.connect(case.url) as other:
        other.execute("SELECT FROM proctor.chunks WHERE number = 1 FOR UPDATE")
        pruning = asyncio.create_task(store.prune())
        await until(case, WAITING)
        other.execute("SELECT FROM proctor.chunks WHERE number = 2 FOR UPDATE NOWAIT")
        other.rollback()
        assert await pruning == 6
