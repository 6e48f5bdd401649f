"""Keys of every kind that SQLite has: scanned in its own order, or refused."""

import sqlite3

from contextlib import closing

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.adapters.stores.sqlite.keys import (
    KeyColumn,
    among,
    bound,
    in_order,
    lacking,
    to_keys,
)
from proctor.errors import TargetError
from proctor.model import Guard, KeyPart, Outcome, RunState, Source, Span
from proctor.ports import UndoTerms
from proctor.testing.conformance.acting import (
    begin,
    claim,
    filled,
    finish,
    items_spec,
    process,
    roll_back,
    work,
)

PART = st.integers(-(2**63), 2**63 - 1) | st.text(max_size=4) | st.binary(max_size=3)
TABLE = "CREATE TABLE t (id {}, style TEXT DEFAULT 'S', normal TEXT)"


def spec_of(*columns, **changes):
    return items_spec(source="t", key=tuple(KeyPart(column=c) for c in columns), **changes)


@given(st.lists(PART, min_size=1, max_size=3))
def test_a_key_names_one_row_only(values):
    """Numbers, text and blobs keep apart, also text that looks like a blob."""
    (key,) = to_keys([[v] for v in values])
    assert bound(key) == tuple(values)
    assert all(isinstance(p, str | int) for p in key)


@pytest.mark.parametrize("collation", ["BINARY", "NOCASE", "RTRIM"])
@given(data=st.data())
def test_keys_are_ordered_as_sqlite_orders_them(collation, data):
    """Sorting listed keys gives the scan's own order, under each collation."""
    text = st.text(st.sampled_from("aAbBzé \0😀"), max_size=4)
    part = data.draw(st.sampled_from([st.integers(-3, 3), text, st.binary(max_size=2)]))
    values = data.draw(st.lists(part, min_size=1, max_size=8))
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(f"CREATE TABLE k (v COLLATE {collation}, UNIQUE (v) ON CONFLICT IGNORE)")
        db.executemany("INSERT INTO k VALUES (?)", [(v,) for v in values])
        scan = [v for (v,) in db.execute("SELECT v FROM k ORDER BY v")]
    column = KeyColumn(name="v", sql="v", descending=False, collation=collation, kind="text")
    keys = to_keys([values])
    ordered = in_order([column], keys)
    assert [bound(k)[0] for k in ordered] == scan
    assert lacking([column], keys, ordered) == []


@given(st.lists(st.tuples(PART, PART), min_size=1, max_size=6, unique=True), st.data())
def test_rows_are_found_by_listed_keys(pairs, data):
    """Exactly those rows, whether the keys travel as JSON or one by one."""
    wanted = data.draw(st.lists(st.sampled_from(pairs), unique=True))
    if not wanted:
        return
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE k (a, b, PRIMARY KEY (a, b))")
        db.executemany("INSERT INTO k VALUES (?, ?)", pairs)
        condition, values = among(["a", "b"], to_keys(list(zip(*wanted, strict=True))))
        found = db.execute(f"SELECT a, b FROM k WHERE {condition}", values).fetchall()
    assert sorted(found, key=repr) == sorted(wanted, key=repr)


@pytest.mark.parametrize(
    ("declared", "values"),
    [
        ("INTEGER PRIMARY KEY", ["-9223372036854775808", "-1", "0", "9223372036854775807"]),
        ("TEXT PRIMARY KEY", ["''", "'A'", "'X''61'''", "'a'", "'é'", "'' || char(0)"]),
        ("TEXT PRIMARY KEY COLLATE NOCASE", ["'a'", "'B'", "'c'", "'D'"]),
        ("TEXT COLLATE RTRIM PRIMARY KEY", ["'a '", "'b'", "'c  '"]),
        ("BLOB PRIMARY KEY", ["X''", "X'00'", "X'0001'", "X'FF'"]),
        ("UUID NOT NULL UNIQUE", ["X'0A'", "X'0B'", "X'FF'"]),
        ("INTEGER PRIMARY KEY DESC", ["1", "2", "3"]),
        ("VARCHAR NOT NULL UNIQUE", ["'1'", "'10'", "'2'", "'x'"]),
    ],
)
async def test_each_kind_of_key_is_scanned_once_and_undone(lite, declared, values):
    """Chunk by chunk, by listed keys, as it is typed, and back."""
    await lite.sql(TABLE.format(declared))
    for value in reversed(values):
        await lite.sql(f"INSERT INTO t (id) VALUES ({value})")
    store = await lite.store()
    spec = spec_of("id")
    await store.inspect(spec)
    run = await begin(store, spec)
    seen = []
    while leases := await claim(store, run, spec, rows=2):
        seen += (await store.read(spec, leases[0])).keys
        await process(store, spec, leases[0])
    expected = await lite.fetch("SELECT id FROM t ORDER BY id")
    assert [bound(k) for k in seen] == expected
    for key in seen:
        if not str(key[0]).startswith("'"):
            assert store.parse_key(spec, str(key[0])) == key
    run = await roll_back(store, await finish(store, run))
    for record in await store.chunks(run.id):
        await store.undo(run, record.chunk.number, UndoTerms())
    assert await lite.fetch("SELECT count(normal) FROM t") == [(0,)]
    await store.move(run.id, RunState.ROLLED_BACK, among=[RunState.ROLLING_BACK])
    listed = await begin(store, spec, run="run-2", span=Span(keys=tuple(seen[::-1])))
    assert await work(store, listed, spec) == Outcome(read=len(seen), written=len(seen))


async def test_keys_without_rowid_are_scanned(lite):
    """WITHOUT ROWID, composite, one part descending."""
    await lite.sql(
        "CREATE TABLE t (a TEXT, b INTEGER, style TEXT DEFAULT 'S', normal TEXT, "
        "PRIMARY KEY (a, b DESC)) WITHOUT ROWID",
        "INSERT INTO t (a, b) VALUES ('x', 1), ('x', 2), ('y', 1), ('y', 2), ('z', 0)",
    )
    store = await lite.store()
    spec = items_spec(source="t", key=(KeyPart(column="a"), KeyPart(column="b", descending=True)))
    shape = await store.inspect(spec)
    assert not any("no index" in w for w in shape.warnings)
    run = await filled(store, spec)
    assert run.outcome == Outcome(read=5, written=5)
    assert await store.written_keys(run, 1) == [("x", 2), ("x", 1), ("y", 2), ("y", 1), ("z", 0)]


async def test_listed_keys_are_spelled_as_the_file_spells_them(lite):
    """Under NOCASE a typed key finds its row, once, and is not counted as gone."""
    await lite.sql(
        TABLE.format("TEXT PRIMARY KEY COLLATE NOCASE"), "INSERT INTO t (id) VALUES ('Ab')"
    )
    store = await lite.store()
    spec = spec_of("id")
    run = await begin(store, spec, span=Span(keys=(("aB",), ("AB",), ("x",))))
    assert await work(store, run, spec) == Outcome(read=2, written=1, gone=1)
    assert await store.prune(run=run.id, keys=[("AB",)]) == 1


@pytest.mark.parametrize(
    ("declared", "rows", "found"),
    [
        ("TEXT UNIQUE", "(NULL), ('a')", "null"),
        ("PRIMARY KEY", "(1), ('1')", "integer, text"),
        ("INTEGER UNIQUE NOT NULL", "(1), ('a')", "integer, text"),
        ("NUMERIC PRIMARY KEY NOT NULL", "(1), (1.5)", "integer, real"),
        ("REAL PRIMARY KEY NOT NULL", "(1.0)", "real"),
        ("TEXT PRIMARY KEY NOT NULL", "('a'), (X'61')", "blob, text"),
        ("BLOB PRIMARY KEY NOT NULL", "('a'), (X'61')", "blob, text"),
        ("TEXT", "('a')", "unique"),
    ],
)
async def test_keys_without_a_certain_order_are_refused(lite, declared, rows, found):
    """Null, mixed, real and ambiguous keys: before anything is written, with what was found."""
    await lite.sql(TABLE.format(declared), f"INSERT INTO t (id) VALUES {rows}")
    store = await lite.store()
    with pytest.raises(TargetError, match=found):
        await store.inspect(spec_of("id"))


@pytest.mark.parametrize(
    "index",
    [
        "CREATE UNIQUE INDEX i ON t (id) WHERE id <> 'x'",
        "CREATE UNIQUE INDEX i ON t (lower(id))",
        "CREATE UNIQUE INDEX i ON t (id, style)",
        "CREATE UNIQUE INDEX i ON t (id COLLATE BINARY)",
        "CREATE INDEX i ON t (id)",
    ],
)
async def test_an_index_that_does_not_tell_all_rows_apart_makes_no_key(lite, index):
    """Partial, over an expression, over more columns, under another collation, not unique."""
    await lite.sql(TABLE.format("TEXT NOT NULL COLLATE NOCASE"), index)
    store = await lite.store()
    with pytest.raises(TargetError, match="not unique"):
        await store.inspect(spec_of("id"))


async def test_the_key_of_a_query_must_be_unique_and_one_kind(lite):
    """Its rows have no index to prove it: they are looked at."""
    await lite.sql(
        "CREATE TABLE s (a, style TEXT)", "CREATE TABLE t (id INTEGER PRIMARY KEY, normal TEXT)"
    )
    store = await lite.store()
    spec = items_spec(
        kind=Source.QUERY,
        source="SELECT a, style FROM s",
        key=(KeyPart(column="a"),),
        into="t",
        into_key=("id",),
        guard=Guard.TARGET,
    )
    await store.inspect(spec)
    await lite.sql("INSERT INTO s VALUES (1, 'x'), (1, 'y')")
    with pytest.raises(TargetError, match="not unique"):
        await store.inspect(spec)
    await lite.sql("UPDATE s SET a = 'one' WHERE style = 'y'")
    with pytest.raises(TargetError, match="integer, text"):
        await store.inspect(spec)


async def test_a_scan_that_no_index_serves_is_in_the_plan(lite):
    """Mixed directions over an index that has none."""
    await lite.sql("CREATE TABLE t (a INTEGER, b INTEGER, normal TEXT, PRIMARY KEY (a, b))")
    store = await lite.store()
    spec = items_spec(source="t", key=(KeyPart(column="a"), KeyPart(column="b", descending=True)))
    (said,) = [w for w in (await store.inspect(spec)).warnings if "no index serves" in w]
    assert "(a, -b)" in said
    await lite.sql(said.partition("; ")[2].removesuffix(" would help"))
    store = await lite.store()  # SQLite keeps the plan of an EXPLAIN for a connection's life
    assert not any("no index" in w for w in (await store.inspect(spec)).warnings)
