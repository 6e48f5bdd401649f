"""Units on Postgres: rows that appear, or change, while a unit is being written."""

import asyncio

import psycopg
import pytest

from pgcases import WAITING, until
from proctor.errors import TargetError
from proctor.model import Outcome, UnitState
from proctor.ports import UndoTerms
from proctor.testing.conformance.acting import begin, claim_one, finish, roll_back
from proctor.testing.conformance.emitting import WORKS, book, books_spec, one_unit, process, work

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
