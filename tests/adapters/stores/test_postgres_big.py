"""Tables that no statement can look through before it times out."""

from datetime import timedelta

import pytest

from pgcases import Case, table_spec
from proctor.model import Guard, KeyPart, Source, Span, Spec
from proctor.testing.conformance.acting import LEASE, begin, process, work

ROWS = 6_000
SLOW = (
    # A millisecond for every tenth row: the time-out comes before all of them were looked at.
    "CREATE FUNCTION wanting(id int, value text) RETURNS boolean STABLE LANGUAGE plpgsql AS $$ "
    "BEGIN IF id % 10 = 0 THEN PERFORM pg_sleep(0.001); END IF; RETURN value IS NULL; END $$"
)
TIMEOUT = timedelta(milliseconds=500)
SPEC = table_spec(missing="wanting(id, normal)")


@pytest.fixture
async def case(pg):
    """A table whose rows are slow to look at; three of them are to be filled."""
    async with Case(pg) as case:
        case.sql(
            SLOW,
            "CREATE TABLE items (id int PRIMARY KEY, style text, normal text)",
            f"INSERT INTO items SELECT n, 'Style ' || n, 'done' FROM generate_series(1, {ROWS}) n",
            f"UPDATE items SET normal = NULL WHERE id IN (1, 4000, {ROWS})",
            "ANALYZE items",
        )
        yield case


async def test_sweeps_and_the_last_count_go_over_a_big_table_in_parts(case):
    """A run whose chunks are all written must come to its end, however big the table is."""
    store = await case.store(statement_timeout=TIMEOUT)
    run = await begin(store, SPEC)
    while leases := await store.claim(run, SPEC, "w", count=4, rows=500, lease_for=LEASE):
        for lease in leases:
            await process(store, SPEC, lease)
    assert await store.sweep(run, SPEC, 1, 500) == 0
    assert await store.tally(run, SPEC) == {}
    case.sql("UPDATE items SET normal = NULL WHERE id IN (1, 5)")
    case.sql(f"INSERT INTO items VALUES ({-ROWS}, 'Late')")
    assert await store.sweep(run, SPEC, 2, 500) == 2
    assert (await work(store, run, SPEC)).written == 5
    assert await store.tally(run, SPEC) == {"written": 1}


async def test_a_big_table_is_counted_in_parts(case, monkeypatch):
    """What asks for a count gets a count, also where one statement would time out."""
    store = await case.store(statement_timeout=TIMEOUT)
    spec = table_spec(missing="wanting(id, normal)", where=f"id < {ROWS}")
    found = await store.survey(spec, Span())
    assert (found.rows, found.eligible, found.estimated) == (ROWS, 2, False)
    monkeypatch.setattr("proctor.adapters.stores.postgres.reading.COUNTED_AT_ONCE", 10)
    part = await store.survey(spec, Span(start=(2,), stop=(4000,)))
    assert (part.rows, part.eligible, part.estimated) == (3999, 1, False)


async def test_what_cannot_be_counted_is_called_an_estimate(case):
    """A query, each of whose parts may cost as much as all of it; and what was asked as a guess."""
    store = await case.store(statement_timeout=TIMEOUT)
    case.sql("CREATE TABLE totals (id int PRIMARY KEY, normal text)")
    query = Spec(
        backfill="case",
        version="1",
        kind=Source.QUERY,
        source="SELECT id, normal FROM items",
        key=(KeyPart(column="id"),),
        fills=("normal",),
        into="totals",
        guard=Guard.TARGET,
        where="wanting(id, normal)",
    )
    assert (await store.survey(query, Span())).estimated
    assert (await store.survey(SPEC, Span(), exact=False)).estimated
    assert (await store.survey(SPEC, Span(start=(10 * ROWS,)))).estimated is False


async def test_a_limit_is_filled_from_wherever_rows_are_left(case):
    """The next eligible rows may lie behind more others than one statement can look through."""
    store = await case.store(statement_timeout=TIMEOUT)
    case.sql("UPDATE items SET normal = 'done' WHERE id < 5")
    run = await begin(store, SPEC, span=Span(limit=2))
    leases = await store.claim(run, SPEC, "w", count=1, rows=10, lease_for=LEASE)
    assert [lease.chunk.keys for lease in leases] == [((4000,), (ROWS,))]
    for lease in leases:
        await process(store, SPEC, lease)
    assert await store.claim(run, SPEC, "w", count=1, rows=10, lease_for=LEASE) == []


async def test_a_sample_is_found_wherever_rows_are_left(case):
    """A plan of a table that is nearly filled shows what it would do."""
    store = await case.store(statement_timeout=TIMEOUT)
    page = await store.sample(SPEC, 5, span=Span(start=(2,)))
    assert page.keys == [(4000,), (ROWS,)]
    assert [row["style"] for row in page.rows] == ["Style 4000", f"Style {ROWS}"]
    assert not (await store.sample(SPEC, 5, span=Span(start=(10 * ROWS,)))).keys


@pytest.mark.parametrize("found", [[(1,)], []], ids=["a few", "none"])
async def test_a_sample_says_that_the_time_was_up(case, found):
    """Fewer rows than were asked for do not mean that there are no more."""
    case.sql(
        "CREATE OR REPLACE FUNCTION wanting(id int, value text) RETURNS boolean STABLE LANGUAGE "
        "plpgsql AS $$ BEGIN IF id BETWEEN 2000 AND 3000 THEN PERFORM pg_sleep(1); END IF; "
        "RETURN value IS NULL; END $$"
    )
    store = await case.store(statement_timeout=TIMEOUT)
    span = Span() if found else Span(start=(2,))
    page = await store.sample(SPEC, 5, span=span)
    assert (page.keys, page.timed_out) == (found, True)
    assert not (await store.sample(SPEC, 5, span=Span(start=(ROWS,)))).timed_out
