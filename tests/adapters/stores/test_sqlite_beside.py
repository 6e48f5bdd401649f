"""What is done beside the writer, and what may happen between that and the write."""

import asyncio
import threading

import pytest

from proctor.model import Outcome
from proctor.ports import UndoTerms
from proctor.testing.conformance.acting import (
    TERMS,
    answered,
    begin,
    books,
    claim,
    claim_one,
    finish,
    items_spec,
    lower,
    make_items,
    process,
    roll_back,
)

ROWS = "SELECT id, normal FROM items ORDER BY id"
FILLED = "(SELECT count(*) FROM items AS others WHERE others.id < 3 AND others.normal NOTNULL)"


async def taken_back(store, run):
    """Roll a run back, every chunk."""
    back = await roll_back(store, await finish(store, run))
    for record in await store.chunks(run.id):
        await store.undo(back, record.chunk.number, UndoTerms())


async def test_rows_that_become_eligible_by_our_own_write_are_journalled(lite):
    """Which rows of the second chunk are eligible depends on what the first one wrote."""
    await make_items(lite, range(1, 5))
    store = await lite.store()
    where = f"id < 3 OR id = 3 + ({FILLED} > 0)"
    spec = items_spec(sql=(("normal", "lower(style)"),), where=where)
    run = await begin(store, spec)
    one, two = [lease for _ in range(2) for lease in await claim(store, run, spec, rows=2)]

    async def meanwhile():
        await store.apply_sql(spec, one, TERMS)

    assert (await store.apply_sql(spec, two, TERMS, permit=meanwhile)).outcome.written == 1
    wrote = [(1, "style 1"), (2, "style 2"), (3, None), (4, "style 4")]
    assert await lite.fetch(ROWS) == wrote
    await taken_back(store, run)
    assert await lite.fetch(ROWS) == [(n, None) for n in (1, 2, 3, 4)]


async def test_rows_that_our_own_write_makes_ineligible_are_left_alone(lite):
    """A row of each kind is enough: those read before the first was written are not filled."""
    await make_items(lite, range(1, 5))
    store = await lite.store()
    spec = items_spec(where=f"id < 3 OR {FILLED} = 0")
    run = await begin(store, spec)
    one, two = [lease for _ in range(2) for lease in await claim(store, run, spec, rows=2)]
    page = await store.read(spec, two)
    await process(store, spec, one)
    settled = await store.prepare(spec, answered(page, spec))
    assert (await store.apply(spec, two, settled, TERMS)).outcome == Outcome(read=2, gone=2)


async def test_rows_that_become_eligible_in_time_are_journalled(lite):
    """A clock in `where` goes on between what is done ahead and the write."""
    await make_items(lite, [1, 2])
    store = await lite.store()
    where = "id = 1 + (julianday(:clock) > julianday(:then))"
    ((then,),) = await lite.fetch("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now', '+0.5 seconds')")
    params = (("clock", "now"), ("then", then))
    spec = items_spec(sql=(("normal", "lower(style)"),), where=where, params=params)
    run = await begin(store, spec)
    lease = await claim_one(store, run, spec)

    async def meanwhile():
        await asyncio.sleep(0.7)

    assert (await store.apply_sql(spec, lease, TERMS, permit=meanwhile)).outcome.written == 1
    assert await lite.fetch(ROWS) == [(1, None), (2, "style 2")]
    await taken_back(store, run)
    assert await lite.fetch(ROWS) == [(1, None), (2, None)]


async def test_rows_that_chance_chooses_are_journalled(lite):
    """Asked twice, `random()` often chooses as many rows, but others."""
    await make_items(lite, range(1, 81))
    store = await lite.store()
    spec = items_spec(sql=(("normal", "lower(style)"),), where="random() % 2 = 0")
    run = await begin(store, spec)
    while leases := await claim(store, run, spec, rows=2):
        await store.apply_sql(spec, leases[0], TERMS)
    await taken_back(store, run)
    assert await lite.fetch("SELECT id FROM items WHERE normal IS NOT NULL") == []


async def test_a_column_that_comes_while_a_page_is_computed_moves_its_rows(lite):
    """What was read stands elsewhere in a row by then: nothing is made ready of it."""
    await make_items(lite, [1, 2])
    await lite.sql(
        "CREATE TABLE about (item INTEGER PRIMARY KEY, facts JSON)",
        "INSERT INTO about VALUES (1, '{\"a\": 1}'), (2, NULL)",
    )
    store = await lite.store()
    spec = items_spec(into="about", into_key=("item",), fills=("facts.normal",))
    run = await begin(store, spec)
    lease = await claim_one(store, run, spec)
    page = await store.read(spec, lease)
    await lite.sql("ALTER TABLE items ADD COLUMN later TEXT")
    settled = await store.prepare(spec, answered(page, spec, lower))
    moved = await store.apply(spec, lease, settled, TERMS)
    assert moved.retry is not None
    assert (await process(store, spec, moved.retry)).outcome.written == 2
    assert await books(store, run) == Outcome(read=2, written=2)


async def test_a_store_whose_closing_is_cancelled_is_closed(lite):
    """Behind what is under way, on either thread, both end."""
    before = set(threading.enumerate())
    store = await lite.store()
    held, go = threading.Event(), threading.Event()

    def hold(session):
        session.main.execute("SELECT 1").fetchone()
        held.set()
        go.wait(10)

    asking = asyncio.create_task(store.beside.ask(hold))
    await asyncio.to_thread(held.wait, 10)
    closing = asyncio.create_task(store.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await asyncio.gather(asking, return_exceptions=True)
    mine = [t for t in set(threading.enumerate()) - before if t.name.startswith("proctor-sqlite")]
    for thread in mine:
        await asyncio.to_thread(thread.join, 5)
    assert not [t for t in mine if t.is_alive()]
