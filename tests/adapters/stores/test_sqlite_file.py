"""A SQLite store's file: missing, foreign, locked, read-only, old, new, and slow."""

import asyncio
import sqlite3

from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from proctor.adapters.stores.sqlite import SqliteStore, open_sqlite, path_of, tables
from proctor.adapters.stores.sqlite.session import Session
from proctor.errors import Busy, Denied, TargetError, TooSlow, Unreachable, UsageError
from proctor.model import Outcome, Span
from proctor.ports import Manners, UndoTerms
from proctor.testing.conformance.acting import (
    LEASE,
    TERMS,
    answered,
    begin,
    books,
    claim_one,
    filled,
    finish,
    items_spec,
    make_items,
    process,
    roll_back,
    work,
)

MANNERS = Manners(lock_timeout=timedelta(milliseconds=50))


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir()], ids=["missing", "a folder"])
async def test_a_file_that_is_not_there_is_named_and_never_made(tmp_path, make):
    """A typing error in a path does not become an empty database."""
    path = tmp_path / "shop.db"
    make(path)
    with pytest.raises(Unreachable, match=r"shop\.db"):
        await open_sqlite(str(path), MANNERS)
    assert not path.is_file()


async def test_a_file_of_another_kind_is_refused(tmp_path):
    """With its name and what to check."""
    path = tmp_path / "shop.db"
    path.write_text("this is no database, whatever its name says" * 30)
    with pytest.raises(Unreachable, match="SQLite"):
        await open_sqlite(f"sqlite:///{path}", MANNERS)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///shop.db", "shop.db"),
        ("sqlite:////var/shop.db", "/var/shop.db"),
        ("sqlite+aiosqlite:///a%20b.db", "a b.db"),
        ("some/shop.db", "some/shop.db"),
    ],
)
def test_a_store_is_named_by_path_or_url(url, path):
    """Three slashes are relative, four absolute, as everywhere."""
    assert str(path_of(url)) == path


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", ":memory:", "sqlite:///:memory:", ""])
def test_a_store_in_memory_is_refused(url):
    """It could not be resumed."""
    with pytest.raises(UsageError, match="memory"):
        path_of(url)


async def test_hostile_paths_are_only_paths(tmp_path):
    """Question marks and percent signs do not become options of the connection."""
    path = tmp_path / "sh?p #1 %41.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, normal TEXT)")
    store = await open_sqlite(str(path), MANNERS)
    assert (await store.survey(items_spec(), Span())).rows == 0
    await store.aclose()
    assert {p.name for p in tmp_path.iterdir()} == {path.name}


async def test_a_locked_file_is_busy_and_nothing_of_the_chunk_is_written(lite):
    """The engine tries again; the chunk is still claimed under the same fence."""
    await make_items(lite, [1, 2])
    store = await open_sqlite(str(lite.path), MANNERS)
    lite.stores.append(store)
    spec = items_spec()
    run = await begin(store, spec)
    lease = await claim_one(store, run, spec)
    page = await store.read(spec, lease)
    with lite.connect() as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy, match="busy"):
            await store.apply(spec, lease, answered(page, spec), TERMS)
    await store.apply(spec, lease, answered(page, spec), TERMS)
    assert await books(store, run) == Outcome(read=2, written=2)
    busy = {s.name: s for s in (await store.health()).signals}["busy"]
    assert busy.value is not None
    assert busy.limit > 0


async def test_readers_of_a_rollback_journal_make_the_commit_busy(lite):
    """COMMIT waits for readers there, and gives up: the transaction is rolled back whole."""
    await lite.sql("PRAGMA journal_mode = DELETE")
    await make_items(lite, [1, 2])
    store = await open_sqlite(str(lite.path), MANNERS)
    lite.stores.append(store)
    spec = items_spec()
    run = await begin(store, spec)
    lease = await claim_one(store, run, spec)
    page = await store.read(spec, lease)
    with lite.connect() as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM items").fetchall()
        with pytest.raises(Busy):
            await store.apply(spec, lease, answered(page, spec), TERMS)
    await store.apply(spec, lease, answered(page, spec), TERMS)
    assert await books(store, run) == Outcome(read=2, written=2)


async def test_a_file_that_may_not_be_written_says_so(lite):
    """A run is denied with what to do; root may write every file, so SQLite is told to refuse."""
    await make_items(lite, [1])
    store = await lite.store()
    await store.desk.ask(lambda session: session.main.execute("PRAGMA query_only = ON"))
    with pytest.raises(Denied, match="chmod"):
        await begin(store, items_spec())
    assert not await lite.proctor_tables()


async def test_a_statement_that_takes_too_long_is_cut_short(lite):
    """The chunk can then be cut in two."""
    await make_items(lite, range(1, 4))
    slow = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1e9) "
    spec = items_spec(sql=(("normal", f"{slow} SELECT max(i) FROM n)"),))
    store = await open_sqlite(
        str(lite.path), replace(MANNERS, statement_timeout=timedelta(milliseconds=50))
    )
    lite.stores.append(store)
    run = await begin(store, spec)
    lease = await claim_one(store, run, spec)
    with pytest.raises(TooSlow):
        await store.apply_sql(spec, lease, TERMS)
    await store.split(lease, None)
    assert await lite.fetch("SELECT count(normal) FROM items") == [(0,)]


async def test_a_chunk_of_one_row_cannot_be_cut(lite):
    """It would be cut for ever."""
    await make_items(lite, [1])
    store = await lite.store()
    run = await begin(store, items_spec())
    lease = await claim_one(store, run, items_spec())
    with pytest.raises(TooSlow, match="single row"):
        await store.split(lease, None)
    await process(store, items_spec(), lease)


async def test_tables_of_a_newer_proctor_are_left_alone(lite):
    """An older Proctor refuses before it reads or writes them."""
    await make_items(lite, [1])
    store = await lite.store()
    await filled(store, items_spec())
    await lite.sql("UPDATE proctor_meta SET value = '99' WHERE key = 'version'")
    for question in (store.runs(), begin(store, items_spec(), run="run-2")):
        with pytest.raises(TargetError, match="newer Proctor"):
            await question
    with pytest.raises(TargetError, match="newer Proctor"):
        await open_sqlite(str(lite.path), MANNERS)


async def test_tables_of_an_older_proctor_are_upgraded_step_by_step(lite):
    """Runs of then can be read and rolled back now."""
    await make_items(lite, [1])
    store = await lite.store()
    run = await filled(store, items_spec())
    steps = (
        *tables.STEPS,
        "ALTER TABLE proctor_runs ADD COLUMN extra TEXT",
        "CREATE TABLE proctor_more (id INTEGER); INSERT INTO proctor_more VALUES (7)",
    )
    with lite.connect() as db:
        db.execute("BEGIN IMMEDIATE")
        tables.upgrade(db, steps)
        tables.upgrade(db, steps)
        db.execute("COMMIT")
        assert tables.version_of(db) == len(steps)
        assert db.execute("SELECT id, extra FROM proctor_runs").fetchall() == [(run.id, None)]
        assert db.execute("SELECT * FROM proctor_more").fetchall() == [(7,)]


async def test_a_journal_left_by_a_crash_is_rolled_back_by_whoever_looks(lite, tmp_path):
    """After a kill in the middle of a write, `status` still answers, with the state before it."""
    await lite.sql("PRAGMA journal_mode = DELETE")
    await make_items(lite, range(1, 500))
    store = await lite.store()
    run = await filled(store, items_spec())
    copy = tmp_path / "copy.db"
    with lite.connect() as db:
        db.execute("PRAGMA cache_size = 1")
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE items SET normal = 'half written'")
        copy.write_bytes(lite.path.read_bytes())
        journal = lite.path.with_name(lite.path.name + "-journal")
        copy.with_name("copy.db-journal").write_bytes(journal.read_bytes())
        db.execute("ROLLBACK")
    after = await open_sqlite(str(copy), MANNERS)
    lite.stores.append(after)
    assert [r.id for r in await after.runs()] == [run.id]
    assert (await after.verify(run, 1)).changed == 0


async def test_a_store_gives_its_file_back(lite):
    """Closing twice is no error; nothing is left open."""
    await make_items(lite, [1])
    store = SqliteStore(lite.path, MANNERS)
    await filled(store, items_spec())
    await store.aclose()
    await store.aclose()
    assert store.desk.session._main is None


async def test_a_big_table_is_estimated_where_an_estimate_will_do(lite, monkeypatch):
    """From the ends of the rowid and the share of eligible rows in front; the bounds are exact."""
    await make_items(lite, range(1, 101))
    await lite.sql(
        "UPDATE items SET normal = 'x' WHERE id % 2 = 0", "DELETE FROM items WHERE id = 7"
    )
    monkeypatch.setattr("proctor.adapters.stores.sqlite.surveying.COUNT_UP_TO", 10)
    store = await lite.store()
    guess = await store.survey(items_spec(), Span(), exact=False)
    exact = await store.survey(items_spec(), Span(), exact=True)
    assert (exact.rows, exact.eligible) == (99, 49)
    assert guess.rows == 100
    assert 45 <= guess.eligible <= 55
    assert (guess.first, guess.last) == (exact.first, exact.last)


@pytest.mark.parametrize("look", ["sweep", "tally"])
async def test_a_heartbeat_gets_in_between_while_rows_that_are_left_are_looked_for(lite, look):
    """One thread answers everything: a question about the whole file would keep the heart still."""
    await make_items(lite, range(1, 41))
    store, spec = await lite.store(), items_spec()
    run = await begin(store, spec)
    await work(store, run, spec, rows=1)
    asked = {
        "sweep": lambda: store.sweep(run, spec, 1, 10),
        "tally": lambda: store.tally(run, spec),
    }
    ended = []

    async def told(name, asking):
        ended.append((name, await asking))

    beating = store.beat(run, [], LEASE)
    await asyncio.gather(told("looked", asked[look]()), told("beat", beating))
    assert [name for name, _ in ended] == ["beat", "looked"]
    assert not ended[1][1]


async def test_a_run_survives_its_store(lite):
    """Another process goes on from the file alone."""
    await make_items(lite, range(1, 8))
    spec = items_spec()
    first = await open_sqlite(str(lite.path), MANNERS)
    run = await begin(first, spec)
    await process(first, spec, await claim_one(first, run, spec, rows=3))
    await first.aclose()
    second = await lite.store()
    run = await begin(second, await second.spec_of(run.id), run=run.id, resume=True)
    assert await work(second, run, spec) == Outcome(read=7, written=7)
    await finish(second, run)


def test_a_session_needs_a_sqlite_of_today():
    """What is asked of it came with 3.37."""
    assert sqlite3.sqlite_version_info >= (3, 37)
    assert Session


@pytest.mark.parametrize(
    "added",
    [
        "TEXT DEFAULT plain",
        "TEXT COLLATE NOCASE DEFAULT 'It''s'",
        "INTEGER DEFAULT '5'",
        "REAL DEFAULT -1",
        "TEXT DEFAULT 7",
        "BLOB DEFAULT x'00ff'",
        "INTEGER DEFAULT TRUE",
        "INTEGER AS (item + 1) VIRTUAL",
    ],
)
async def test_a_column_added_later_is_known_by_its_default(lite, added):
    """P3: an inserted row is deleted again while nobody has written to its newer columns."""
    await make_items(lite, [1, 2])
    await lite.sql("CREATE TABLE about (item INTEGER PRIMARY KEY, normal TEXT)")
    store = await lite.store()
    spec = items_spec(into="about", into_key=("item",))
    run = await roll_back(store, await filled(store, spec))
    await lite.sql(f"ALTER TABLE about ADD COLUMN later {added}")
    kept = []
    if "AS (" not in added:
        await lite.sql("UPDATE about SET later = 'IT''S' WHERE item = 2")
        kept = [(2,)]
    (record,) = await store.chunks(run.id)
    done = await store.undo(run, record.chunk.number, UndoTerms())
    assert (done.restored, done.changed) == (2 - len(kept), len(kept))
    assert await lite.fetch("SELECT item FROM about") == kept
