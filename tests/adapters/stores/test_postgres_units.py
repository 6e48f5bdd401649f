"""Units on Postgres: rows that appear, or change, while a unit is being written."""

import asyncio

import psycopg
import pytest

from pgcases import WAITING, until
from proctor.adapters.stores.postgres.emitting import TWICE
from proctor.authoring import Failure
from proctor.errors import TargetError, UsageError
from proctor.model import Outcome, Span, UnitState
from proctor.ports import UndoTerms
from proctor.testing.conformance.acting import (
    begin,
    claim,
    claim_one,
    every_script,
    finish,
    roll_back,
)
from proctor.testing.conformance.emitting import (
    WORKS,
    book,
    books_spec,
    done,
    one_unit,
    process,
    work,
)

MINE = "INSERT INTO works VALUES ('both', 'Mine', 'Me', 'mine')"
ALL = "SELECT * FROM works ORDER BY isbn"


async def _beside(case, statement, key="both"):
    """Write a unit of one row while somebody's statement on that row is not yet committed."""
    store, spec = await case.store(), books_spec((2024,))
    run = await begin(store, spec)
    lease = await claim_one(store, run, spec)
    with psycopg.connect(case.url) as other:
        other.execute(statement)
        writing = asyncio.create_task(
            process(store, spec, lease, lambda _unit: [book(key, "Ours", "Us")])
        )
        await until(case, WAITING)
        other.commit()
    return store, run, await writing


@pytest.mark.parametrize(
    ("before", "statement"),
    [
        ([], MINE),
        ([MINE], "UPDATE works SET title = 'Newer' WHERE isbn = 'both'"),
    ],
)
async def test_a_row_that_somebody_writes_meanwhile_is_what_undo_restores(case, before, statement):
    """P3, P4: the unit waits, looks again, and keeps what the other one left as before-image."""
    case.sql(WORKS, *before)
    store, run, applied = await _beside(case, statement)
    assert applied.outcome == Outcome(read=1, written=1)
    ((isbn, title, author, note),) = case.sql(ALL)
    assert (isbn, title, author, note) == ("both", "Ours", "Us", "mine")
    back = await roll_back(store, await finish(store, run))
    undone = await store.undo(back, 1, UndoTerms())
    assert (undone.written, undone.restored) == (1, 1)
    ((_, title, author, note),) = case.sql(ALL)
    assert (title, author, note) == ("Newer" if before else "Mine", "Me", "mine")


async def test_a_row_that_somebody_deletes_meanwhile_is_inserted(case):
    """The look is taken again: there is nothing to update any more."""
    case.sql(WORKS, MINE)
    store, run, applied = await _beside(case, "DELETE FROM works WHERE isbn = 'both'")
    assert applied.outcome == Outcome(read=1, written=1)
    assert case.sql(ALL) == [("both", "Ours", "Us", None)]
    back = await roll_back(store, await finish(store, run))
    assert (await store.undo(back, 1, UndoTerms())).restored == 1
    assert case.sql(ALL) == []


async def test_keys_are_what_the_server_prints_of_them(case):
    """A UUID in capitals and a number as text find the rows that stand there."""
    case.sql(
        "CREATE TABLE works (isbn uuid, n int, title text, author text, PRIMARY KEY (isbn, n))",
        "INSERT INTO works VALUES ('a0000000-0000-0000-0000-00000000000b', 7, 'Old', NULL)",
    )
    store = await case.store()
    spec = books_spec((2024,), into_key=("isbn", "n"))
    run = await begin(store, spec)
    row = book("A0000000-0000-0000-0000-00000000000B", "New") | {"n": "7"}
    odd = book("a0000000-0000-0000-0000-00000000000b", "New") | {"n": "seven"}
    outcome = await work(store, run, spec, lambda unit: [row] if unit["month"] == 1 else [odd])
    assert outcome == Outcome(read=2, written=1, failed=1)
    assert [row[2] for row in case.sql(ALL)] == ["New"]
    unit = await one_unit(store, run, (2024, 2))
    assert unit.state is UnitState.RETRY
    assert "n is integer" in unit.reason
    assert "seven" not in unit.reason


async def test_a_table_without_a_unique_key_is_refused(case):
    """An upsert needs one index that tells its rows apart, and says which is missing."""
    case.sql("CREATE TABLE works (isbn text NOT NULL, title text, author text)")
    store = await case.store()
    with pytest.raises(TargetError, match="key of emits"):
        await store.inspect(books_spec())


NOCASE = (
    "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize(
    ("kind", "first", "second"), [("numeric", "1", "1.0"), ("text COLLATE nocase", "abc", "ABC")]
)
async def test_two_rows_whose_keys_are_one_to_the_server_fail_their_unit(
    case, kind, first, second, before
):
    """No row is lost without a word, whatever texts the type or a collation takes for one."""
    case.sql(NOCASE, f"CREATE TABLE works (isbn {kind} PRIMARY KEY, title text, author text)")
    stood = case.sql(f"INSERT INTO works VALUES ('{first}') RETURNING *") if before else []
    store, spec = await case.store(), books_spec((2024,))
    run = await begin(store, spec)
    lease = await claim_one(store, run, spec)
    both = [book(first, "One"), book(second, "Two")]
    applied = await process(store, spec, lease, lambda _unit: both)
    assert applied.outcome == Outcome(read=1, failed=1)
    assert applied.issues[0].reason == TWICE
    assert case.sql(ALL) == stood


async def test_two_units_that_give_rows_in_opposite_orders_do_not_wait_for_each_other(case):
    """Neither is a deadlock: the second waits for the first, looks again, and updates its rows."""
    case.sql(WORKS)
    store, spec = await case.store(), books_spec((2024,))
    run = await begin(store, spec)
    leases = await claim(store, run, spec, count=2)
    with psycopg.connect(case.url) as other:
        other.execute("INSERT INTO works VALUES ('m', 'Mine')")
        writing = []
        for n, (lease, isbns) in enumerate(zip(leases, ("amz", "zma"), strict=True), 1):
            rows = [book(isbn, "Ours") for isbn in isbns]
            given = process(store, spec, lease, lambda _unit, rows=rows: rows)
            writing.append(asyncio.create_task(given))
            await until(case, f"{WAITING} OFFSET {n - 1}")
        other.rollback()
    first, second = await asyncio.gather(*writing)
    assert first.outcome == Outcome(read=1, written=1)
    assert second.outcome == Outcome(read=1, unchanged=1)
    assert [row[:2] for row in case.sql(ALL)] == [("a", "Ours"), ("m", "Ours"), ("z", "Ours")]


async def test_a_key_that_is_none_here_is_told_and_not_stumbled_over(case):
    """A plan looks up whatever keys a function gives: that of the wrong type is nobody's row."""
    case.sql("CREATE TABLE works (isbn int PRIMARY KEY, title text, author text)")
    store, spec = await case.store(), books_spec((2024,))
    with pytest.raises(UsageError, match="seven"):
        await store.read_keys(spec.written, [("seven",)])


async def test_a_script_that_undoes_units_lets_them_be_done_again(case):
    """What psql took back is to be done, as what a rollback did; the words of others are words."""
    case.sql(WORKS)
    store, spec = await case.store(), books_spec((2024,))
    said = "it's $proctor$; \\ DROP"
    await done(store, spec, lambda _unit: Failure(said))
    run = await done(store, spec, name="run-2")
    assert (await store.survey(spec, Span())).eligible == 0
    case.sql(await every_script(store, run))
    assert case.sql(ALL) == []
    assert (await store.survey(spec, Span())).eligible == 2
    unit = await one_unit(store, run, (2024, 2))
    assert (unit.state, unit.attempts, unit.reason) == (UnitState.RETRY, 1, said)
