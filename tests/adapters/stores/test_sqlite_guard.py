"""The guard costs nothing while nobody else writes, and misses nothing when somebody does."""

import pytest

from proctor.model import Bucket, Outcome
from proctor.ports import UndoTerms
from proctor.testing.conformance.acting import (
    ALICE,
    TERMS,
    answered,
    begin,
    books,
    claim,
    claim_one,
    filled,
    items_spec,
    make_items,
    process,
    roll_back,
    work,
)


async def trace(store, action):
    """What an action says to the database."""
    said = []

    def start(session):
        session.main.set_trace_callback(said.append)

    def stop(session):
        session.main.set_trace_callback(None)

    await store.desk.ask(start)
    try:
        await action
    finally:
        await store.desk.ask(stop)
    return said


async def test_rows_are_not_read_again_while_nobody_else_wrote(lite):
    """`PRAGMA data_version` answers for the whole file: one question for a chunk."""
    await make_items(lite, range(1, 50))
    store = await lite.store()
    spec = items_spec()
    run = await begin(store, spec)
    one, two = await claim(store, run, spec, count=2, rows=20)
    pages = [await store.read(spec, lease) for lease in (one, two)]
    for lease, page in zip((one, two), pages, strict=True):
        said = await trace(store, store.apply(spec, lease, answered(page, spec), TERMS))
        assert not [s for s in said if s.startswith("SELECT") and '"items"' in s]
        assert said[0] == "BEGIN IMMEDIATE"
        assert said[1].startswith("UPDATE proctor_chunks SET state = 'applied'")
    await lite.sql("CREATE TABLE elsewhere (id INTEGER)")
    lease = await claim_one(store, run, spec)
    page = await store.read(spec, lease)
    await lite.sql("INSERT INTO elsewhere VALUES (1)")
    said = await trace(store, store.apply(spec, lease, answered(page, spec), TERMS))
    assert [s for s in said if s.startswith("SELECT") and '"items"' in s]
    assert await books(store, run) == Outcome(read=49, written=49)


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("1", "1.0"),
        ("1", "'1'"),
        ("'1'", "X'31'"),
        ("0.0", "-0.0"),
        ("NULL", "''"),
        ("'a'", "'a' || char(0)"),
        ("CAST(X'FF' AS TEXT)", "CAST(X'FE' AS TEXT)"),
        ("'a'", "'A'"),
    ],
)
async def test_a_change_of_type_or_bytes_is_seen(lite, was, now):
    """Values that SQLite calls equal are not the same."""
    await lite.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, x COLLATE NOCASE, normal TEXT)",
        f"INSERT INTO t VALUES (1, {was}, NULL)",
    )
    store = await lite.store()
    spec = items_spec(source="t")
    run = await begin(store, spec)
    lease = await claim_one(store, run, spec)
    page = await store.read(spec, lease)
    await lite.sql(f"UPDATE t SET x = {now}")
    moved = await store.apply(spec, lease, answered(page, spec, lambda _row: "new"), TERMS)
    assert moved.outcome == Outcome()
    assert moved.retry is not None
    page = await store.read(spec, moved.retry)
    await lite.sql(f"UPDATE t SET x = {now}")
    same = await store.apply(spec, moved.retry, answered(page, spec, lambda _row: "new"), TERMS)
    assert same.outcome == Outcome(read=1, written=1)


async def test_a_trigger_of_our_own_write_counts_as_somebody_else(lite):
    """Writing row 1 changes row 2, which was read before: it is read again."""
    await make_items(lite, [1, 2])
    await lite.sql(
        "CREATE TRIGGER chain AFTER UPDATE OF normal ON items WHEN new.id = 1 "
        "BEGIN UPDATE items SET style = 'Changed' WHERE id = 2; END"
    )
    store = await lite.store()
    spec = items_spec()
    run = await begin(store, spec)
    one, two = await claim(store, run, spec, count=2, rows=1)
    pages = [await store.read(spec, lease) for lease in (one, two)]
    await store.apply(spec, one, answered(pages[0], spec), TERMS)
    applied = await store.apply(spec, two, answered(pages[1], spec), TERMS)
    assert applied.retry is not None
    await process(store, spec, applied.retry)
    assert await lite.fetch("SELECT normal FROM items WHERE id = 2") == [("changed",)]


async def test_another_run_through_the_same_store_counts_as_somebody_else(lite):
    """Our own connection's commits do not move data_version; they are counted."""
    await make_items(lite, [1])
    store = await lite.store()
    one, two = items_spec(), items_spec(backfill="style", fills=("note",))
    first = await begin(store, one)
    second = await begin(store, two, run="run-2")
    lease = await claim_one(store, first, one)
    page = await store.read(one, lease)
    await work(store, second, two)
    applied = await store.apply(one, lease, answered(page, one), TERMS)
    assert applied.retry is not None


async def test_a_trigger_that_ignores_a_write_is_found_out(lite):
    """RAISE(IGNORE) reports success: the row is listed, the others are written."""
    await make_items(lite, range(1, 9))
    await lite.sql(
        "CREATE TRIGGER no BEFORE UPDATE ON items WHEN old.id IN (3, 4) "
        "BEGIN SELECT RAISE(IGNORE); END"
    )
    store = await lite.store()
    run = await begin(store, items_spec())
    assert await work(store, run, items_spec()) == Outcome(read=8, written=6, failed=2)
    assert [i.key for i in await store.issues(run.id)] == [(3,), (4,)]


async def test_a_trigger_that_aborts_is_quoted(lite):
    """Its message is the schema's, not the row's."""
    await make_items(lite, range(1, 9))
    await lite.sql(
        "CREATE TRIGGER no BEFORE UPDATE ON items WHEN old.id = 5 "
        "BEGIN SELECT RAISE(ABORT, 'row is sealed'); END"
    )
    store = await lite.store()
    run = await begin(store, items_spec())
    assert await work(store, run, items_spec()) == Outcome(read=8, written=7, failed=1)
    (issue,) = await store.issues(run.id)
    assert (issue.key, issue.bucket) == ((5,), Bucket.FAILED)


async def test_on_conflict_replace_deletes_nobody(lite):
    """A table's own conflict clause would take another row away; ours says ABORT."""
    await lite.sql(
        "CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, "
        "normal TEXT UNIQUE ON CONFLICT REPLACE)",
        "INSERT INTO items VALUES (1, 'A', NULL), (2, 'A', NULL), (3, 'B', NULL), (9, 'Z', 'b')",
    )
    store = await lite.store()
    run = await begin(store, items_spec())
    assert await work(store, run, items_spec()) == Outcome(read=3, written=1, failed=2)
    assert await lite.fetch("SELECT id FROM items ORDER BY id") == [(1,), (2,), (3,), (9,)]


async def test_a_referenced_field_with_deferred_checks_is_listed(lite):
    """Filling a parent's key would orphan its children at COMMIT: only those rows fail."""
    await lite.sql(
        "CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, normal TEXT UNIQUE)",
        "CREATE TABLE child (id INTEGER PRIMARY KEY, name TEXT REFERENCES items (normal) "
        "DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO items VALUES (1, 'A', 'old 1'), (2, 'B', 'old 2'), (3, 'C', 'old 3')",
        "INSERT INTO child VALUES (1, 'old 2')",
    )
    store = await lite.store()
    spec = items_spec(missing="normal LIKE 'old%'")
    run = await begin(store, spec)
    assert await work(store, run, spec) == Outcome(read=3, written=2, failed=1)
    assert await lite.fetch("SELECT id, normal FROM items ORDER BY id") == [
        (1, "a"),
        (2, "old 2"),
        (3, "c"),
    ]


async def test_a_preserved_column_is_put_back_where_its_trigger_allows(lite):
    """The usual `updated_at` trigger steps back when the column itself is written."""
    await make_items(lite, [1, 2])
    await lite.sql(
        "ALTER TABLE items ADD COLUMN touched TEXT",
        "UPDATE items SET touched = 'then'",
        "CREATE TRIGGER touch AFTER UPDATE ON items WHEN new.touched IS old.touched "
        "BEGIN UPDATE items SET touched = 'now' WHERE id = new.id; END",
    )
    store = await lite.store()
    spec = items_spec(preserve=("touched",))
    run = await filled(store, spec)
    assert run.outcome == Outcome(read=2, written=2)
    assert await lite.fetch("SELECT DISTINCT touched FROM items") == [("then",)]
    await roll_back(store, run)
    assert (await store.undo(run, 1, UndoTerms())).restored == 2
    assert await lite.fetch("SELECT DISTINCT touched, normal FROM items") == [("then", None)]


async def test_generated_columns_follow(lite):
    """They are read, never written, and undo brings them back with what they come from."""
    await lite.sql(
        "CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, normal TEXT, "
        "loud TEXT GENERATED ALWAYS AS (upper(normal)) STORED)",
        "INSERT INTO items (id, style) VALUES (1, 'A')",
    )
    store = await lite.store()
    run = await filled(store, items_spec())
    assert await lite.fetch("SELECT * FROM items") == [(1, "A", "a", "A")]
    await roll_back(store, run)
    await store.undo(run, 1, UndoTerms())
    assert await lite.fetch("SELECT * FROM items") == [(1, "A", None, None)]


async def test_a_table_changed_under_a_run_is_looked_at_again(lite):
    """A column that was added is given to the function; one that was dropped stops the run."""
    await make_items(lite, [1, 2])
    store = await lite.store()
    spec = items_spec()
    run = await begin(store, spec)
    one, two = await claim(store, run, spec, count=2, rows=1)
    await lite.sql("ALTER TABLE items ADD COLUMN more TEXT DEFAULT 'm'")
    page = await store.read(spec, one)
    assert page.rows[0]["more"] == "m"
    await store.apply(spec, one, answered(page, spec), TERMS)
    await process(store, spec, two)
    assert await books(store, run) == Outcome(read=2, written=2)
    assert run.holder == ALICE


async def test_rows_that_a_trigger_changes_on_their_way_back_are_blocked(lite):
    """P3: what does not hold its before-image was not restored, whatever the statement said."""
    await make_items(lite, range(1, 7))
    store = await lite.store()
    run = await filled(store, items_spec())
    await lite.sql(
        "CREATE TRIGGER back AFTER UPDATE OF normal ON items WHEN NEW.normal IS NULL AND "
        "NEW.id IN (2, 4, 5) BEGIN UPDATE items SET normal = 'default' WHERE id = NEW.id; "
        "DELETE FROM items WHERE id = NEW.id AND id = 5; END"
    )
    run = await roll_back(store, run)
    (record,) = await store.chunks(run.id)
    undone = await store.undo(run, record.chunk.number, UndoTerms())
    assert undone.balances
    assert (undone.restored, undone.blocked) == (3, 3)
    assert [i.key for i in undone.left] == [(2,), (4,), (5,)]
    assert all("trigger" in i.reason for i in undone.left)
    assert await lite.fetch("SELECT id, normal FROM items") == [
        (n, f"style {n}" if n in (2, 4, 5) else None) for n in range(1, 7)
    ]


async def test_a_row_whose_restore_a_trigger_changes_later_is_blocked(lite):
    """P3: the write of another row of the same chunk may undo what stood right before it."""
    await make_items(lite, [1, 2])
    store = await lite.store()
    run = await filled(store, items_spec())
    await lite.sql(
        "CREATE TRIGGER other AFTER UPDATE OF normal ON items WHEN NEW.normal IS NULL AND "
        "NEW.id = 2 BEGIN UPDATE items SET normal = 'default' WHERE id = 1; END"
    )
    run = await roll_back(store, run)
    (record,) = await store.chunks(run.id)
    undone = await store.undo(run, record.chunk.number, UndoTerms())
    stands = await lite.fetch("SELECT id FROM items WHERE normal IS NULL")
    assert undone.restored == len(stands)
    assert undone.balances


async def test_an_inserted_row_whose_delete_a_trigger_ignores_is_blocked(lite):
    """P3: RAISE(IGNORE) reports success, and the row stays."""
    await make_items(lite, [1, 2])
    await lite.sql("CREATE TABLE about (item INTEGER PRIMARY KEY, normal TEXT)")
    store = await lite.store()
    run = await filled(store, items_spec(into="about", into_key=("item",)))
    await lite.sql(
        "CREATE TRIGGER stays BEFORE DELETE ON about WHEN OLD.item = 2 "
        "BEGIN SELECT RAISE(IGNORE); END"
    )
    run = await roll_back(store, run)
    (record,) = await store.chunks(run.id)
    undone = await store.undo(run, record.chunk.number, UndoTerms())
    assert (undone.restored, undone.blocked) == (1, 1)
    assert await lite.fetch("SELECT item FROM about") == [(2,)]
