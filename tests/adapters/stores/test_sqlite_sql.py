"""`sql=` at once and row by row give the same rows, the same journal and the same undo."""

import pytest

from proctor.adapters.stores.sqlite import aggregate
from proctor.model import KeyPart, Outcome
from proctor.ports import UndoTerms
from proctor.testing.conformance.acting import (
    TERMS,
    begin,
    claim_one,
    finish,
    items_spec,
    roll_back,
)

BEFORE = [
    "NULL",
    "''",
    "'plain'",
    "'12'",
    "'-x'",
    "'X''1'''",
    "''''",
    "'a\",\"-b'",
    "'{\"a\": [1]}'",
    "char(10) || char(0) || 'é😀'",
    "7",
    "-7",
    "1.5",
    "X'FF'",
    "CAST(X'FF' AS TEXT)",
]
SAME = "SELECT id, typeof(x), hex(CAST(x AS BLOB)) FROM t ORDER BY id"


async def fill(lite, declared, expression, *, befores, key="INTEGER PRIMARY KEY", stamp=None):
    """Fill and undo one table; what it held before, after, and at the end, and the outcome."""
    await lite.sql(f"CREATE TABLE t (id {key}, style TEXT, x {declared}, v INTEGER)")
    for i, before in enumerate(befores):
        name = f"'k{i}'" if "TEXT" in key else str(i)
        await lite.sql(f"INSERT INTO t VALUES ({name}, 'Style {i}', {before}, NULL)")
    was = await lite.fetch(SAME)
    store = await lite.store()
    spec = items_spec(
        source="t",
        key=(KeyPart(column="id"),),
        fills=("x",),
        sql=(("x", expression),),
        missing="1 = 1",
        stamp=stamp,
    )
    run = await begin(store, spec)
    applied = await store.apply_sql(spec, await claim_one(store, run, spec, rows=99), TERMS)
    now = await lite.fetch(SAME)
    seen = await store.verify(run, 1)
    assert seen.restored == seen.written == applied.outcome.written
    await roll_back(store, await finish(store, run))
    await store.undo(run, 1, UndoTerms())
    assert await lite.fetch(SAME) == was
    return was, now, applied.outcome


@pytest.fixture
def counted(monkeypatch):
    """How often a chunk was filled at once."""
    taken = []
    real = aggregate.at_once

    def at_once(*args):
        done = real(*args)
        taken.append(done is not None)
        return done

    monkeypatch.setattr("proctor.adapters.stores.sqlite.expressions.at_once", at_once)
    return taken


@pytest.mark.parametrize("declared", ["TEXT", "BLOB", "INTEGER", "NUMERIC", "REAL", "JSON"])
@pytest.mark.parametrize(
    "expression",
    ["lower(style)", "length(style)", "-length(style)", "'12'", "NULL", "x'00ff'", "1.5 * id", "x"],
)
async def test_every_value_is_written_and_undone_exactly(lite, declared, expression):
    """Whichever way is taken: bytes and types before and after are those of one UPDATE."""
    was, now, outcome = await fill(lite, declared, expression, befores=BEFORE)
    await lite.sql(f"UPDATE t SET x = {expression}")
    assert await lite.fetch(SAME) == now
    changed = sum(a != b for a, b in zip(was, now, strict=True))
    assert outcome == Outcome(read=len(BEFORE), written=changed, unchanged=len(BEFORE) - changed)


@pytest.mark.parametrize(
    "befores", [["NULL"] * 3, ["'plain'", "NULL"], ["'12'", "'-'", "'X'''", "''''"], ["' '", "''"]]
)
@pytest.mark.parametrize("key", ["INTEGER PRIMARY KEY", "TEXT PRIMARY KEY NOT NULL"])
@pytest.mark.parametrize("expression", ["lower(style)", "'-' || style", "length(style) + 3"])
async def test_plain_text_is_filled_at_once(lite, counted, befores, key, expression):
    """The common case does not bring a single row into Python, quotes needed or not."""
    _, _, outcome = await fill(lite, "TEXT", expression, befores=befores, key=key, stamp="v")
    assert counted == [True]
    assert outcome.written == len(befores)


@pytest.mark.parametrize(
    "expression", ["lower(x)", "strftime('%s', 'now')", "abs(random()) || ''", "json_array(id)"]
)
async def test_what_may_change_its_mind_or_not_change_goes_row_by_row(lite, expression):
    """A row that would not change is not touched; a fickle value is kept as it was computed."""
    await fill(lite, "TEXT", expression, befores=["NULL", "'same'", "'Not'"])


async def test_one_bad_row_fails_alone(lite):
    """An expression that raises for a row costs that row."""
    await lite.sql(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, style TEXT, x TEXT)",
        "INSERT INTO t VALUES (1, '{\"a\": 1}', NULL), (2, 'oops', NULL), (3, '[]', NULL)",
    )
    store = await lite.store()
    spec = items_spec(
        source="t", fills=("x",), sql=(("x", "json_extract(style, '$.a')"),), missing="x IS NULL"
    )
    run = await begin(store, spec)
    applied = await store.apply_sql(spec, await claim_one(store, run, spec), TERMS)
    assert applied.outcome == Outcome(read=3, written=1, unchanged=1, failed=1)
    (bad,) = [i for i in await store.issues(run.id) if i.reason]
    assert (bad.key, "oops" in bad.reason) == ((2,), False)
