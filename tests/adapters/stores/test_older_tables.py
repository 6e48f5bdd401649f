"""Tables that an older Proctor made: looked at as they are, upgraded before they must keep more."""

import pytest

from adapters.stores.away_harness import AwayHarness, AwaySqliteHarness
from adapters.stores.sqlite_harness import SqliteHarness
from adapters.stores.test_postgres_conformance import PostgresHarness
from proctor.errors import Denied
from proctor.model import Outcome, RunState, Span, UnitState
from proctor.ports import UndoTerms
from proctor.testing.conformance.acting import (
    BOB,
    begin,
    claim_one,
    filled,
    items_spec,
    make_items,
    process,
    roll_back,
    work,
)
from proctor.testing.conformance.emitting import WORKS, books_spec, done, states, taken_back
from servers import role_of

IN_SQLITE = [
    "DROP TABLE proctor_touches",
    "DROP TABLE proctor_units",
    *(f"ALTER TABLE proctor_chunks DROP COLUMN {n}" for n in ("undo_rows", "undo_books")),
    "ALTER TABLE proctor_chunks DROP COLUMN undo_left",
    "ALTER TABLE proctor_runs DROP COLUMN estimated",
    "UPDATE proctor_meta SET value = '1' WHERE key = 'version'",
]
IN_POSTGRES = [
    "DROP TABLE proctor.touches",
    "DROP TABLE proctor.units",
    "ALTER TABLE proctor.chunks DROP COLUMN undo_books, DROP COLUMN undo_left",
    "ALTER TABLE proctor.runs DROP COLUMN estimated",
    "UPDATE proctor.meta SET version = 1",
]
AWAY = [
    *(f"ALTER TABLE proctor_away_chunks DROP COLUMN {n}" for n in ("undo_books", "undo_left")),
    "ALTER TABLE proctor_away_runs DROP COLUMN estimated",
    "UPDATE proctor_away_meta SET version = 1",
]


def sqlite(request):
    """Beside the rows, in their file."""
    harness = SqliteHarness(request.getfixturevalue("tmp_path") / "shop.db")

    async def age():
        await harness.sql(*IN_SQLITE)

    return harness, age


def postgres(request):
    """Beside the rows, in their database."""
    harness = PostgresHarness(request.getfixturevalue("pg"))

    async def age():
        await harness.sql(*IN_POSTGRES)

    return harness, age


def away(request):
    """In the ledger's file."""
    folder = request.getfixturevalue("tmp_path")
    harness = AwaySqliteHarness(folder / "shop.db", f"sqlite:///{folder / 'ledger.db'}")

    async def age():
        for statement in AWAY:
            harness.tell(statement)

    return harness, age


def away_on_postgres(request):
    """In the ledger's own schema on Postgres."""
    url = request.getfixturevalue("pg")
    harness = AwayHarness(url, url)

    async def age():
        named = (s.replace("proctor_away", "proctor_ledger.proctor_away") for s in AWAY)
        await harness.sql(*named)

    return harness, age


@pytest.fixture(params=[sqlite, postgres, away, away_on_postgres])
async def older(request):
    """A harness, and a function that makes the tables what they were."""
    harness, age = request.param(request)
    yield harness, age
    await harness.close()


async def test_a_run_of_an_older_proctor_is_shown_and_undone(older):
    """A look changes nothing; a rollback finds where to keep what it comes to."""
    harness, age = older
    await make_items(harness, [1, 2])
    old = await harness.store()
    run = await filled(old, items_spec())
    await old.aclose()
    await age()
    store = await harness.store()
    before = await harness.dump()
    assert [r.estimated for r in await store.runs()] == [False]
    assert (await store.run(run.id)).outcome == run.outcome
    (record,) = await store.chunks(run.id)
    assert (record.forgotten, record.taken_back.written) == (0, 0)
    assert await store.left_alone(run.id) == {}
    assert (await store.verify(run, record.chunk.number)).restored == 2
    forecast = await store.undo(run, record.chunk.number, UndoTerms(dry_run=True))
    assert (forecast.written, forecast.restored) == (2, 2)
    assert await harness.dump() == before
    await harness.sql("UPDATE items SET normal = 'theirs' WHERE id = 1")
    run = await roll_back(store, run)
    await store.undo(run, record.chunk.number, UndoTerms())
    (record,) = await store.chunks(run.id)
    books = record.taken_back
    assert (books.written, books.restored, books.changed) == (2, 1, 1)
    assert [i.key for i in (await store.left_alone(run.id))[record.chunk.number]] == [(1,)]


async def test_images_of_an_older_proctor_are_pruned(older):
    """What a person asked to be forgotten is forgotten, whoever wrote it."""
    harness, age = older
    await make_items(harness, [1, 2])
    old = await harness.store()
    run = await filled(old, items_spec())
    await old.aclose()
    await age()
    store = await harness.store()
    assert await store.prune(run=run.id, keys=[(1,)]) == 1
    (record,) = await store.chunks(run.id)
    assert record.forgotten == 1


async def test_a_run_of_an_older_proctor_goes_on(older):
    """Paused then, resumed now: what was settled is not read again, and the books add up."""
    harness, age = older
    await make_items(harness, range(1, 7))
    old = await harness.store()
    run = await begin(old, items_spec())
    await process(old, items_spec(), await claim_one(old, run, items_spec(), rows=4))
    for now, then in ((RunState.RUNNING, RunState.PAUSING), (RunState.PAUSING, RunState.PAUSED)):
        await old.move(run.id, then, among=[now])
    await old.aclose()
    await age()
    store = await harness.store()
    assert (await store.health()).runs == 1
    run = await begin(store, items_spec(), holder=BOB, resume=True)
    assert await work(store, run, items_spec()) == Outcome(read=6, written=6)
    assert await harness.fetch("SELECT count(normal) FROM items") == [(6,)]


@pytest.mark.parametrize("older", [sqlite, postgres], indirect=True)
async def test_units_that_were_kept_without_their_target_stay_done(older):
    """P2: they are not done twice, neither before the tables are upgraded nor after."""
    harness, _ = older
    await harness.sql(WORKS)
    old = await harness.store()
    run = await done(old, books_spec((2024,)))
    await old.aclose()
    in_file = isinstance(harness, SqliteHarness)
    tables = "proctor_" if in_file else "proctor."
    await harness.sql(
        f"UPDATE {tables}units SET backfill = (SELECT DISTINCT backfill FROM {tables}runs)",
        "UPDATE proctor_meta SET value = '4' WHERE key = 'version'"
        if in_file
        else "UPDATE proctor.meta SET version = 4",
    )
    store = await harness.store()
    assert set((await states(store, run)).values()) == {UnitState.COMPLETED}
    more = books_spec((2023, 2024))
    assert (await store.survey(more, Span())).eligible == 2
    await done(store, more, name="run-2")
    assert set((await states(store, run)).values()) == {UnitState.COMPLETED}
    assert await harness.fetch(f"SELECT count(*) FROM {tables}units") == [(4,)]
    await taken_back(store, run)
    assert set((await states(store, run)).values()) == {UnitState.PENDING}


async def test_a_role_that_may_not_alter_older_tables_hears_who_may(pg):
    """Only their owner can: the role is named, and what was asked for was not done."""
    harness = PostgresHarness(pg)
    await make_items(harness, [1])
    run = await filled(await harness.store(), items_spec())
    role = role_of("clerk")
    await harness.sql(
        *IN_POSTGRES,
        f"CREATE ROLE {role} LOGIN",
        f"GRANT ALL ON SCHEMA proctor TO {role}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA proctor TO {role}",
    )
    clerk = PostgresHarness(pg.replace("postgres@", f"{role}@"))
    store = await clerk.store()
    with pytest.raises(Denied, match="older Proctor") as denied:
        await roll_back(store, run)
    assert "owner postgres" in denied.value.fix
    assert (await store.run(run.id)).state is RunState.SUCCEEDED
    await clerk.close()
    await harness.sql(f"DROP OWNED BY {role}", f"DROP ROLE {role}")
    await harness.close()
