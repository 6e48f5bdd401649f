"""Two processes that undo the same chunk at once: one does, the other finds nothing left."""

import asyncio

import psycopg

from pgcases import Case, fill, table_spec, until
from proctor.model import RunState
from proctor.ports import UndoTerms
from proctor.testing.conformance.acting import lower, roll_back

BOTH_WAIT = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
    "AND wait_event_type = 'Lock' HAVING count(*) = 2"
)


async def test_the_second_of_two_undos_waits_and_counts_no_row(pg):
    """P3: else it would list as changed by others what the first has just restored."""
    async with Case(pg) as case:
        case.items(3)
        stores = [await case.store(), await case.store()]
        run, _ = await fill(stores[0], table_spec(), lower)
        await stores[0].move(run.id, RunState.SUCCEEDED, among=[RunState.RUNNING])
        run = await roll_back(stores[0], run)
        ((number,),) = case.sql("SELECT number FROM proctor.chunks")
        with psycopg.connect(pg) as other:
            other.execute("SELECT FROM items FOR UPDATE")
            undos = [asyncio.create_task(s.undo(run, number, UndoTerms())) for s in stores]
            await until(case, BOTH_WAIT)
        first, second = await asyncio.gather(*undos)
        total = first + second
        assert (total.written, total.restored, total.changed) == (3, 3, 0)
        assert case.sql("SELECT count(normal) FROM items") == [(0,)]
