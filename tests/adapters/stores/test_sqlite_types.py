"""Undo is exact for everything that a SQLite column can hold, compared by type and bytes."""

import pytest

from proctor.model import Outcome, Span
from proctor.ports import UndoTerms
from proctor.testing.conformance.acting import (
    answered,
    begin,
    books,
    filled,
    finish,
    items_spec,
    roll_back,
    work,
)

VALUES = [
    "NULL",
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "-9223372036854775807 - 1",
    "1.0",
    "0.1",
    "-0.0",
    "1e15",
    "1e300",
    "5e-324",
    "9e999",
    "-9e999",
    "''",
    "'1'",
    "' 1 '",
    "'1.0'",
    "'1e5'",
    "'-0'",
    "'9e999'",
    "'X''00'''",
    "''''",
    "'it''s'",
    "'näïve 😀'",
    "'{\"a\": 1.0}'",
    "char(0)",
    "'a' || char(0) || 'b'",
    "CAST(X'FF' AS TEXT)",
    "CAST(X'EDA080' AS TEXT)",
    "CAST(X'C3' AS TEXT)",
    "CAST(X'61FF62' AS TEXT)",
    "X''",
    "X'00'",
    "X'31'",
    "X'FFFE'",
    "zeroblob(3)",
    "replace(hex(zeroblob(5000)), '00', 'text')",
]
TYPES = ["", "INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB", "VARCHAR(3)", "JSON", "BOOLEAN"]
SHOWN = "SELECT id, typeof({0}), hex(CAST({0} AS BLOB)), printf('%!.20g', {0}) FROM t ORDER BY id"


async def make(lite, column):
    await lite.sql(f"CREATE TABLE t (id INTEGER PRIMARY KEY, style TEXT, {column})")
    rows = ", ".join(f"({i}, 'S', {value})" for i, value in enumerate(VALUES))
    await lite.sql(f"INSERT INTO t VALUES {rows}")


def shown(column):
    return SHOWN.format(column)


@pytest.mark.parametrize("declared", TYPES)
@pytest.mark.parametrize("new", ["12", 7, None, float("-inf"), "n\0l"], ids=repr)
async def test_every_value_comes_back_as_it_was(lite, declared, new):
    """Whatever a column of any affinity held, and whatever was written over it."""
    await make(lite, f"x {declared}")
    before = await lite.fetch(shown("x"))
    store = await lite.store()
    spec = items_spec(source="t", fills=("x",), missing="1 = 1")
    run = await filled(store, spec, lambda _row: (new,))
    outcome = await books(store, run)
    assert outcome.written + outcome.unchanged == len(VALUES)
    assert outcome.unchanged <= 4
    numbers = [c.chunk.number for c in await store.chunks(run.id)]
    for number in numbers:
        seen = await store.verify(run, number)
        assert seen.restored == seen.written
    await roll_back(store, run)
    for number in numbers:
        done = await store.undo(run, number, UndoTerms())
        assert (done.restored, done.changed) == (done.written, 0)
    assert await lite.fetch(shown("x")) == before


@pytest.mark.parametrize("declared", TYPES)
async def test_a_script_brings_every_value_back(lite, declared):
    """The same without Proctor, by literals in plain SQL."""
    await make(lite, f"x {declared}")
    before = await lite.fetch(shown("x"))
    store = await lite.store()
    spec = items_spec(source="t", fills=("x",), missing="1 = 1")
    run = await filled(store, spec, lambda row: f"new {row['id']}")
    numbers = [c.chunk.number for c in await store.chunks(run.id)]
    assert await lite.fetch(shown("x")) != before
    await lite.script("".join([part async for part in store.undo_script(run, numbers)]))
    assert await lite.fetch(shown("x")) == before


async def test_any_value_can_be_read_by_the_function(lite):
    """Text that is not UTF-8 reaches the author with its bytes in surrogates, and goes back."""
    await make(lite, "x")
    store = await lite.store()
    spec = items_spec(source="t", fills=("style",), missing="style = 'S'")
    run = await begin(store, spec)
    outcome = await work(store, run, spec, lambda row: (row["x"],))
    assert outcome.written == len(VALUES)
    same = "SELECT count(*) FROM t WHERE hex(CAST(style AS BLOB)) = hex(CAST(x AS TEXT))"
    text = await lite.fetch(same + " AND typeof(x) = 'text'")
    assert text == await lite.fetch("SELECT count(*) FROM t WHERE typeof(x) = 'text'")


@pytest.mark.parametrize(
    ("declared", "bad", "why"),
    [
        ("INTEGER", float("nan"), "NaN"),
        ("TEXT", 2**63, "64 bits"),
        ("TEXT", object(), "type object"),
        ("TEXT", "half \ud83d", "surrogate"),
        ("INTEGER CHECK (typeof(x) <> 'text')", "word", "CHECK"),
        ("TEXT NOT NULL DEFAULT ''", None, "NOT NULL"),
    ],
)
async def test_a_value_that_cannot_be_stored_fails_its_row_alone(lite, declared, bad, why):
    """The others of its chunk are written."""
    await lite.sql(f"CREATE TABLE t (id INTEGER PRIMARY KEY, x {declared})")
    await lite.sql("INSERT INTO t (id) VALUES (1), (2), (3)")
    store = await lite.store()
    spec = items_spec(source="t", fills=("x",), missing="coalesce(x, '') = ''")
    run = await begin(store, spec)
    good = 5 if declared.startswith("INTEGER") else "fine"
    outcome = await work(store, run, spec, lambda row: (bad if row["id"] == 2 else good,))
    assert outcome == Outcome(read=3, written=2, failed=1)
    (issue,) = await store.issues(run.id)
    assert why in issue.reason


async def test_strict_tables_are_written_and_undone(lite):
    """A value of the wrong type is refused by the table and listed."""
    await lite.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, x INT, y ANY) STRICT")
    await lite.sql("INSERT INTO t VALUES (1, NULL, '1'), (2, NULL, 1), (3, NULL, 1.0)")
    before = await lite.fetch("SELECT *, typeof(y) FROM t")
    store = await lite.store()
    spec = items_spec(source="t", fills=("x", "y"))
    run = await begin(store, spec)
    outcome = await work(
        store, run, spec, lambda row: ("word" if row["id"] == 2 else "12", f"{row['id']}")
    )
    assert outcome == Outcome(read=3, written=2, failed=1)
    assert await lite.fetch("SELECT x, typeof(x), y, typeof(y) FROM t WHERE id <> 2") == [
        (12, "integer", "1", "text"),
        (12, "integer", "3", "text"),
    ]
    await roll_back(store, await finish(store, run))
    assert (await store.undo(run, 1, UndoTerms())).restored == 2
    assert await lite.fetch("SELECT *, typeof(y) FROM t") == before


async def test_a_json_document_comes_back_byte_for_byte(lite):
    """Blanks, number spellings, escapes: the text of the document is what it was."""
    texts = ['{ "a" : 1.50 }', '{\n  "normal": {"x": [1, 2]},\n  "b": "\\u00e9"\n}', "{}", None]
    await lite.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, doc JSON)")
    with lite.connect() as db:
        db.executemany("INSERT INTO t (doc) VALUES (?)", [(t,) for t in texts])
    store = await lite.store()
    spec = items_spec(
        source="t", fills=("doc.normal.y", "doc.at"), missing="1 = 1", columns=("id", "doc")
    )
    run = await filled(store, spec, lambda row: ({"n": row["id"]}, "now"))
    found = await lite.fetch("SELECT doc FROM t ORDER BY id")
    assert found[0] == ('{ "a" : 1.50,"normal":{"y":{"n":1}},"at":"now" }',)
    assert found[3] == ('{"normal":{"y":{"n":4}},"at":"now"}',)
    await roll_back(store, run)
    assert (await store.undo(run, 1, UndoTerms())).restored == 4
    assert [t for (t,) in await lite.fetch("SELECT doc FROM t ORDER BY id")] == texts


async def test_a_document_that_is_none_fails_its_row_alone(lite):
    """Malformed JSON is eligible, and listed with the reason."""
    await lite.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, doc TEXT)")
    await lite.sql("INSERT INTO t VALUES (1, '{}'), (2, 'oops'), (3, '[]'), (4, '{\"n\": 1}')")
    store = await lite.store()
    spec = items_spec(source="t", fills=("doc.n",))
    run = await begin(store, spec)
    assert run.expected == 3
    assert await work(store, run, spec, lambda _row: 5) == Outcome(read=3, written=1, failed=2)
    assert await lite.fetch("SELECT doc FROM t ORDER BY id") == [
        ('{"n":5}',),
        ("oops",),
        ("[]",),
        ('{"n": 1}',),
    ]


async def test_text_that_no_document_can_hold_fails_its_row_alone(lite):
    """Half a surrogate pair is JSON to Python, and nothing to UTF-8; a dry run says so, too."""
    await lite.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, doc JSON)")
    await lite.sql("INSERT INTO t VALUES (1, NULL), (2, '{\"a\": 1}'), (3, NULL)")
    store = await lite.store()
    spec = items_spec(source="t", fills=("doc.n",))

    def answer(row):
        return "half \ud83d" if row["id"] == 2 else "fine"

    page = await store.sample(spec, 3, span=Span())
    assert list(await store.unfit(spec, answered(page, spec, answer))) == [1]
    run = await begin(store, spec)
    assert await work(store, run, spec, answer) == Outcome(read=3, written=2, failed=1)
    (issue,) = await store.issues(run.id)
    assert (issue.key, "surrogate" in issue.reason) == ((2,), True)


async def test_a_document_that_is_not_utf_8_is_written_and_comes_back(lite):
    """Its bytes stand in strings of the JSON; the field beside them is filled all the same."""
    raw = "CAST(X'7B2261223A22FF227D' AS TEXT)"
    await lite.sql("CREATE TABLE t (id INTEGER PRIMARY KEY, doc JSON)")
    await lite.sql(f"INSERT INTO t VALUES (1, {raw}), (2, NULL), (3, {raw})")
    shown = "SELECT hex(doc) FROM t ORDER BY id"
    before = await lite.fetch(shown)
    store = await lite.store()
    spec = items_spec(source="t", fills=("doc.n",), missing="1 = 1", columns=("id",))
    run = await filled(store, spec, lambda row: row["id"])
    assert (await books(store, run)).written == 3
    assert (await lite.fetch(shown))[0] == (b'{"a":"\xff","n":1}'.hex().upper(),)
    await roll_back(store, run)
    assert (await store.undo(run, 1, UndoTerms())).restored == 3
    assert await lite.fetch(shown) == before
