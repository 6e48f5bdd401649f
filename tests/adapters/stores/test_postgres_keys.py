"""Keys of every type and order: compared by the column's own order, wherever they are compared."""

from dataclasses import replace

import pytest

from adapters.stores.away_harness import AwayHarness
from pgcases import Case, fill, table_spec, take_back
from proctor.adapters.stores.postgres.binding import bind
from proctor.adapters.stores.postgres.pool import Pool
from proctor.errors import TargetError
from proctor.model import Guard, Outcome, RunState, Source, Span
from proctor.ports import Manners, UndoTerms
from proctor.testing.conformance.acting import begin, work

WORDS = ["a", "B", "c", "D", "e", "F"]
"""In the order of a language; by their bytes the capitals come first."""
ROWS = "INSERT INTO {} SELECT w, 'Style ' || w FROM unnest(ARRAY['{}']) AS w"
COLUMNS = {
    "text": 'id text COLLATE "en-x-icu"',
    "varchar": 'id varchar(9) COLLATE "en-x-icu"',
    "char": 'id char(1) COLLATE "en-x-icu"',
    "domain": "id word",
    "domain of domain": "id short_word",
    "citext": 'id citext COLLATE "en-x-icu"',
    "named": 'id text COLLATE odd."Lang uage"',
}
SETUP = (
    "CREATE EXTENSION citext",
    'CREATE DOMAIN word AS text COLLATE "en-x-icu"',
    "CREATE DOMAIN short_word AS word CHECK (length(VALUE) < 3)",
    "CREATE SCHEMA odd",
    "CREATE COLLATION odd.\"Lang uage\" (provider = icu, locale = 'en')",
)
LOOSE = "CREATE COLLATION {} (provider = icu, locale = 'und', deterministic = false)"
KINDS = {
    "uuid": "md5(n::text)::uuid",
    "timestamptz": "'2020-01-01'::timestamptz + n * interval '1.000001 s'",
    "timestamp": "'1999-12-31'::timestamp - n * interval '1.000001 s'",
    "date": "'0044-03-15 BC'::date + n::int",
    "text": "md5(n::text)",
    "varchar": "chr(64 + n::int)",
    "char(40)": "md5(n::text)",
    'text COLLATE "en-x-icu"': "chr(64 + n::int)",
    "numeric": "n / 7.0",
    "float8": "n / 7.0",
    "bytea": "decode(md5(n::text), 'hex')",
    "inet": "'10.0.0.0'::inet + n",
}


@pytest.fixture(params=COLUMNS)
async def worded(case, request):
    """A table in the order of a language, in a database that orders by bytes."""
    case.sql(*SETUP, f"CREATE TABLE items ({COLUMNS[request.param]} PRIMARY KEY)")
    _fill_up(case)
    return case


@pytest.fixture(params=["bytes in a language", "language in bytes"])
async def either(pg_server, pg, request):
    """A column whose order is not the database's, both ways round; the words in its order."""
    if request.param == "language in bytes":
        async with Case(pg) as case:
            case.sql('CREATE TABLE items (id text COLLATE "en-x-icu" PRIMARY KEY)')
            _fill_up(case)
            yield case, WORDS
        return
    name = f"{pg.rpartition('/')[2]}_en"
    pg_server.execute(
        f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'"
    )
    async with Case(pg_server.url(name)) as case:
        case.sql('CREATE TABLE items (id text COLLATE "C" PRIMARY KEY)')
        _fill_up(case)
        yield case, sorted(WORDS)
    pg_server.drop_database(case.url)


def _fill_up(case):
    case.sql("ALTER TABLE items ADD style text, ADD normal text")
    case.sql(ROWS.format("items", "', '".join(WORDS)))


@pytest.mark.parametrize("down", ["", "-"])
async def test_listed_keys_are_cut_in_the_order_of_their_column(worded, down):
    """`--keys` and `failures --retry`: no listed row falls outside its own chunk."""
    store, spec = await worded.store(), table_spec(key=(f"{down}id",))
    run = await begin(store, spec, span=Span(keys=tuple((w,) for w in reversed(WORDS))))
    listed = [key for (key,) in run.span.keys]
    assert listed == (WORDS[::-1] if down else WORDS)
    assert await work(store, run, spec) == Outcome(read=6, written=6)


@pytest.mark.parametrize("down", ["", "-"])
async def test_what_a_run_has_settled_is_not_swept_again(worded, down):
    """P1: skipped rows are read once, however often the run looks for what it left."""
    store, spec = await worded.store(), table_spec(key=(f"{down}id",))
    run = await begin(store, spec)

    def some(row):
        return None if row["id"] in "aBc" else "x"

    assert await work(store, run, spec, some, rows=2) == Outcome(read=6, written=3, skipped=3)
    assert await store.sweep(run, spec, 1, 10) == 0
    assert await store.tally(run, spec) == {"skipped": 3}


async def test_a_range_is_undone_in_the_order_of_its_column(either):
    """P3: `rollback --from --to` takes back the rows that the same range would fill."""
    case, words = either
    store, spec = await case.store(), table_spec()
    run, _ = await fill(store, spec, lambda row: row["style"])
    part = UndoTerms(span=Span(start=(words[1],), stop=(words[3],)))
    assert (await take_back(store, run, part)).restored == 3
    left = case.sql("SELECT id FROM items WHERE normal IS NULL")
    assert {key for (key,) in left} == set(words[1:4])


async def test_a_run_over_either_order_is_whole(either):
    """Chunks, sweeps, tallies and undo meet each row once, whose order is not the database's."""
    case, words = either
    store, spec = await case.store(), table_spec(missing="true")
    before = case.image("items")
    run = await begin(store, spec, span=Span(start=(words[1],)))
    assert await work(store, run, spec, rows=2) == Outcome(read=5, written=5)
    assert await store.sweep(run, spec, 1, 10) == 0
    assert await store.tally(run, spec) == {"written": 5}
    assert (await take_back(store, run)).restored == 5
    assert case.image("items") == before


@pytest.mark.parametrize("source", ["table", "query"])
async def test_source_and_target_may_order_the_same_keys_differently(case, source):
    """Each side's keys are compared in its own order; new rows and old ones, and their undo."""
    case.sql(
        'CREATE TABLE words (id text COLLATE "en-x-icu" PRIMARY KEY, style text)',
        'CREATE TABLE about (word text COLLATE "C" PRIMARY KEY, normal text)',
        "INSERT INTO about VALUES ('B'), ('e')",
        "CREATE TABLE notes (word text REFERENCES about)",
    )
    case.sql(ROWS.format("words", "', '".join(WORDS)))
    spec = table_spec("words", into="about", into_key=("word",), guard=Guard.TARGET)
    if source == "query":
        spec = replace(spec, kind=Source.QUERY, source="SELECT * FROM words")
    store, before = await case.store(), case.image("about")
    await store.inspect(spec)
    run = await begin(store, spec)
    assert await work(store, run, spec, rows=2) == Outcome(read=6, written=6)
    assert await store.sweep(run, spec, 1, 10) == 0
    case.sql("INSERT INTO notes VALUES ('F')")
    done = await take_back(store, run)
    assert (done.restored, done.blocked) == (5, 1)
    case.sql("DELETE FROM notes", "DELETE FROM about WHERE word = 'F'")
    assert case.image("about") == before


@pytest.mark.parametrize("order", ["default", "C", "en-x-icu"])
async def test_a_query_tells_the_order_of_its_keys(case, order):
    """Where source and target sort alike, a write looks at its own part of the target only."""
    case.sql(
        f'CREATE TABLE words (id text COLLATE "{order}" PRIMARY KEY, style text)',
        f'CREATE TABLE about (word text COLLATE "{order}" PRIMARY KEY, normal text)',
    )
    query = "SELECT id, style FROM words ORDER BY style -- by style"
    spec = table_spec("words", into="about", into_key=("word",), guard=Guard.TARGET)
    pool = Pool(case.url, Manners())
    async with pool.read() as work:
        binding = await bind(work, replace(spec, kind=Source.QUERY, source=query))
    await pool.aclose()
    assert binding.key[0].ordered_alike
    assert binding.between(("a",), ("b",)) != "true"


@pytest.mark.parametrize(
    "key",
    ["id COLLATE loose", 'id COLLATE odd."Loo se"', "CAST(id AS alike)", "loose || id"],
    ids=["by name", "out of sight", "domain", "of a column"],
)
async def test_a_query_for_whose_order_different_keys_are_equal_is_refused(case, key):
    """Pages would pass over such a key; the query is asked, for no type tells, rows or none."""
    case.sql(
        "CREATE SCHEMA odd",
        *(LOOSE.format(name) for name in ("loose", 'odd."Loo se"')),
        "CREATE DOMAIN alike AS text COLLATE loose",
        "CREATE TABLE words (id text, loose text COLLATE loose)",
        'CREATE TABLE about (word text COLLATE "C" PRIMARY KEY, normal text)',
    )
    spec = table_spec("words", into="about", into_key=("word",), guard=Guard.TARGET)
    query = replace(spec, kind=Source.QUERY, source=f"SELECT {key} AS id FROM words")
    store = await case.store()
    with pytest.raises(TargetError, match="nondeterministic"):
        await store.inspect(query)
    strict = f"SELECT id, {key} AS like_it FROM words"
    await store.inspect(replace(query, source=strict))


async def test_progress_kept_away_knows_the_order_of_a_column(pg, tmp_path):
    """The ledger cannot compare keys: the server is asked, by the column's collation."""
    harness = AwayHarness(pg, f"sqlite:///{tmp_path / 'ledger.db'}")
    async with Case(pg) as case:
        case.sql('CREATE TABLE items (id text COLLATE "en-x-icu" PRIMARY KEY)')
        _fill_up(case)
        store, spec = await harness.store(), table_spec(missing="true")
        run = await begin(store, spec)
        assert await work(store, run, spec, rows=2) == Outcome(read=6, written=6)
        assert await store.sweep(run, spec, 1, 10) == 0
        assert await store.tally(run, spec) == {"written": 6}
    await harness.close()


async def test_a_column_in_another_order_voids_an_approval(case):
    """P9: chunks are ranges of the order that was looked at."""
    case.items(1)
    store = await case.store()
    before = (await store.inspect(table_spec())).digest
    case.sql('ALTER TABLE items ALTER style TYPE text COLLATE "en-x-icu"')
    assert (await store.inspect(table_spec())).digest != before


@pytest.mark.parametrize("kind", KINDS)
async def test_keys_of_every_kind_are_scanned_both_ways(case, kind):
    """P1 and P3: each row in one chunk, none swept again, each taken back."""
    case.sql(
        f"CREATE TABLE items (id {kind} PRIMARY KEY, style text, normal text)",
        f"INSERT INTO items SELECT {KINDS[kind]}, 'S' || n FROM generate_series(1, 50) AS n",
    )
    store, before = await case.store(), case.image("items")
    counted = Outcome(read=50, written=45, skipped=5)

    def some(row):
        return None if row["style"].endswith("7") else row["style"].lower()

    for key in ("id", "-id"):
        spec = table_spec(key=(key,))
        run = await begin(store, spec, run=f"run of {key}")
        assert await work(store, run, spec, some, rows=7) == counted
        assert await store.sweep(run, spec, 1, 10) == 0
        assert await store.tally(run, spec) == {"skipped": 5}
        assert (await take_back(store, run)).restored == 45
        assert case.image("items") == before
        among = [RunState.ROLLING_BACK]
        await store.move(run.id, RunState.ROLLED_BACK, among=among)
