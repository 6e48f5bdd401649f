"""Many rows in one UPDATE: to the byte what one statement a row would have written."""

import sqlite3

from contextlib import closing
from itertools import pairwise

import pytest

from proctor.adapters.stores.sqlite import writing
from proctor.adapters.stores.sqlite.catalog import table as table_of

ROWS = 1_500
"""One statement of the most rows, smaller ones, and a rest that goes one by one."""
VALUES = [
    None,
    "",
    "text",
    "12",
    "1e3",
    " 7 ",
    "\u00e9\U0001f9ea",
    "a\0b",
    b"",
    b"\x00\xff",
    0,
    -(2**63),
    2**63 - 1,
    0.0,
    -0.0,
    1.0,
    1e300,
    float("inf"),
]
SHAPES = {
    "rowid": ("id INTEGER NOT NULL", ("id",), lambda n: (n,)),
    "text": ("id TEXT NOT NULL COLLATE NOCASE", ("id",), lambda n: (f"K'{n}",)),
    "number as text": ("id TEXT NOT NULL", ("id",), lambda n: (str(n),)),
    "parts": (
        "a TEXT NOT NULL, b INTEGER NOT NULL",
        ("b", "a"),
        lambda n: (n % 40, f"a{n}"),
    ),
    "blob": ("id BLOB NOT NULL", ("id",), lambda n: (b"%d" % n,)),
}


@pytest.fixture(params=SHAPES)
def shape(request):
    """A table's key: how it is declared, its columns, and its n-th value."""
    return SHAPES[request.param]


@pytest.fixture(params=["", " WITHOUT ROWID"])
def db(shape, request):
    """Two tables alike, with a column of each affinity."""
    declared, parts, key_of = shape
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        for table in ("one", "two"):
            db.execute(
                f"CREATE TABLE {table} ({declared}, t TEXT, i INTEGER, r REAL, n NUMERIC, x, "
                f'"odd ""name" TEXT COLLATE NOCASE, '
                f"PRIMARY KEY ({', '.join(parts)})){request.param}"
            )
            places = ", ".join("?" for _ in parts)
            db.executemany(
                f"INSERT INTO {table} ({', '.join(parts)}) VALUES ({places})",
                [key_of(n) for n in range(ROWS)],
            )
        yield db


def batch_of(db, table, shape, columns):
    """A batch that sets these columns in every row."""
    _declared, names, key_of = shape
    return writing.Batch(
        table=table_of(db, table),
        key_names=names,
        names=list(columns),
        keys=[key_of(n) for n in range(ROWS)],
        columns=list(columns.values()),
    )


def content(db, table):
    """Every value with its type and bytes."""
    names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    quoted = [writing.ident(name) for name in names]
    shown = ", ".join(f"typeof({n}), hex(CAST({n} AS BLOB)), quote({n})" for n in quoted)
    return db.execute(f"SELECT {shown} FROM {table} ORDER BY 2, 3, 5, 6").fetchall()


def test_rows_together_hold_what_rows_one_by_one_would(db, shape):
    """Every type in a column of each affinity, under keys of each kind."""
    columns = {
        name: [VALUES[(n + shift) % len(VALUES)] for n in range(ROWS)]
        for shift, name in enumerate(("t", "i", "r", "n", "x", 'odd "name'))
    }
    said = []
    together = batch_of(db, "one", shape, columns)
    db.set_trace_callback(said.append)
    writing.write(db, together)
    db.set_trace_callback(None)
    assert sum(s.startswith("UPDATE") and "proctor_rows" in s for s in said) == 3
    alone = batch_of(db, "two", shape, columns)
    plain = alone.statement(["?"] * len(columns))
    for row in alone.rows():
        assert db.execute(plain, row).rowcount == 1
    assert content(db, "one") == content(db, "two")


def test_more_values_than_a_statement_holds_are_written_in_smaller_ones(db, shape):
    """The limit of variables is the connection's own."""
    db.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 900)
    batch = batch_of(db, "one", shape, {"t": [f"v{n}" for n in range(ROWS)]})
    writing.write(db, batch)
    assert db.execute("SELECT count(DISTINCT t) FROM one").fetchone() == (ROWS,)


def test_a_row_that_is_not_there_is_noticed(db, shape):
    """Fewer rows than were told: nothing is taken for written."""
    batch = batch_of(db, "one", shape, {"t": ["v"] * ROWS})
    first = batch.some([700])
    where = " AND ".join(f"{writing.ident(n)} = ?" for n in first.key_names)
    db.execute(f"DELETE FROM one WHERE {where}", first.keys[0])
    with pytest.raises(writing.Ignored):
        writing.write(db, batch)


def test_no_table_is_read_through_for_every_row():
    """Where it was analysed with one row in it, and has grown since, rows go one by one."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        db.execute("CREATE TABLE one (id INTEGER PRIMARY KEY, t TEXT)")
        db.execute("INSERT INTO one VALUES (0, NULL)")
        db.execute("ANALYZE")
        db.executemany("INSERT INTO one VALUES (?, NULL)", [(n,) for n in range(1, ROWS)])
        steps = []
        db.set_progress_handler(lambda: steps.append(1), 1_000)
        writing.write(db, batch_of(db, "one", SHAPES["rowid"], {"t": ["v"] * ROWS}))
        assert db.execute("SELECT count(t) FROM one").fetchone() == (ROWS,)
        assert len(steps) < ROWS


@pytest.mark.parametrize("rows", [1, 127, 128, 1_023, 1_024, 5_000])
def test_the_sizes_of_statements_are_few_and_fall(rows):
    """Each is a power of two, and what they leave is less than the least."""
    with closing(sqlite3.connect(":memory:")) as db:
        sizes = list(writing._sizes(db, [(1, 2)] * rows))
    assert all(a >= b for a, b in pairwise(sizes))
    assert set(sizes) <= {1024, 512, 256, 128}
    assert 0 <= rows - sum(sizes) < writing.LEAST_AT_ONCE
