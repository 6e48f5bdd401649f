"""Checks over all rows: what the database says is what Python says, row by row."""

import asyncio
import contextlib
import json
import math
import sqlite3

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proctor.core.checks.regular import is_plain
from proctor.engine.latest import examine_latest
from shop import CONFIG, Shop

CODE = """
from datetime import timedelta
from proctor import backfill, checks, table

@backfill(table("items", key="id"), fills=("t", "n", "f", "d", "at", "doc", "old"), checks=[
    checks.empty("t"), checks.empty("n"), checks.length("t", least=2, most=4),
    checks.pattern("t", r"[a-c]+( x)?|é{2}"), checks.forbidden("t", r"b{2,}|[É\\\\.]"),
    checks.lower_case("t"), checks.one_of("t", ("a", "B", "é", "it's", "\\\\")), checks.unique("t"),
    checks.between("n", -3, 7), checks.one_of("n", (1, 2)), checks.unique("n"),
    checks.between("f", -0.5, 1.5), checks.between("d", 0.1, 0.3),
    checks.stamped("at", within=timedelta(days=1)), checks.drift("n", 0.1, of="old"),
    checks.json_shape("doc", {"s": "texts", "v": "text?", "n": "number", "a": "any"}),
    checks.json_shape("doc", {"s": "list", "o": "object?", "b": "boolean?", "k": "numbers?"},
                      closed=True),
    checks.length("t", most=3, where="n > 0"),
    checks.empty("doc.a"), checks.length("doc.a", least=1, most=3), checks.lower_case("doc.s"),
    checks.pattern("doc.v", r"[a-c]+( x)?|é{2}"), checks.forbidden("doc.s", r"b{2,}|[É\\\\.]"),
    checks.one_of("doc.a", ("a", 1, True, "é")), checks.one_of("doc.k", (0, 2)),
    checks.between("doc.n", -0.5, 1.5), checks.between("doc.o.x", 0, 10**15),
    checks.between("doc.a", 0.1, 0.3), checks.empty("doc.o.x"), checks.length("doc.o.é", most=1),
    checks.json_shape("doc.o", {"x": "any", "o": "text?"}), checks.empty("doc.s.0"),
])
def fill(row):
    raise AssertionError
"""
CHECKS = CODE.count("checks.")
ALPHABET = "abcxABC ÉéßİΣςǅ\t\n\u200b\u00a0\u3000\U0001f389'\\%:$._-\"\ue000"
WORDS = st.one_of(
    st.sampled_from(["a", "B", "é", "it's", "\\", "", " ", "abc x", "éé", "bb", "\u200b", "abc\n"]),
    st.text(ALPHABET, max_size=6),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
)
WHOLE = st.one_of(st.integers(-12, 12), st.sampled_from([10**18, -(2**63), 2**63 - 1]))
FLOATS = st.one_of(st.floats(allow_nan=True), st.sampled_from([-0.5, 1.5, -0.0]))
MOMENTS = st.sampled_from([-3, -1.001, -0.999, 0, 0.003, 0.004, 2])
SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(-5, 5), st.floats(-2, 2), st.text("ab")),
    st.sampled_from(["1", "0.2", "é", "É", "bb", " ", "\u200b", "\U0001f389", "[1]", "null"]),
    st.sampled_from([0.1, 0.3, 0.30000000000000004, 1.0, 1e-7, -0.0, 10**15, 10**15 + 1, 2**63]),
)
INNER = st.dictionaries(st.sampled_from(["x", "é", "0", "o"]), SCALARS, max_size=3)
VALUES = st.one_of(
    *(SCALARS, st.lists(SCALARS, max_size=3), st.just({}), st.just({"x": 1}), INNER),
    st.lists(st.one_of(INNER, st.lists(SCALARS, max_size=2)), max_size=2),
)
DOCS = st.one_of(
    st.dictionaries(st.sampled_from(["s", "v", "n", "a", "o", "b", "k", "z"]), VALUES),
    st.fixed_dictionaries(
        {"s": st.lists(st.text("ab"), max_size=2), "n": st.integers(), "a": SCALARS},
        optional={"v": st.one_of(st.none(), st.text("a")), "o": INNER},
    ),
    VALUES,
)


def nullable(values):
    return st.one_of(st.none(), values)


def moment(days):
    return datetime.now(UTC) + timedelta(days=days)


def shown(days):
    """A moment as people keep it as text, or none."""
    at = moment(days)
    return st.sampled_from(
        [
            at.isoformat(),
            at.strftime("%Y-%m-%d %H:%M:%S"),
            at.strftime("%Y-%m-%dT%H:%MZ"),
            at.astimezone(datetime.now().astimezone().tzinfo).isoformat(timespec="milliseconds"),
            at.strftime("%Y-%m-%d"),
            at.strftime("%Y%m%dT%H%M%S"),
            "now",
            "12:00",
            "2026-02-30 00:00:00",
        ]
    )


LITE = st.tuples(
    nullable(st.one_of(WORDS, st.integers(-3, 3), st.binary(max_size=3))),
    nullable(st.one_of(WHOLE, st.text("12"), st.floats(-9, 9))),
    nullable(st.one_of(FLOATS.filter(math.isfinite), st.integers(-2, 2), st.text("1"))),
    nullable(st.floats(0, 1)),
    nullable(st.one_of(MOMENTS.flatmap(shown), st.integers(0, 9))),
    nullable(st.one_of(DOCS.map(json.dumps), st.sampled_from(["{", "{'s': 1}", '{"s": NaN}', 7]))),
    nullable(st.one_of(WHOLE, st.floats(-9, 9))),
)
POSTGRES = st.tuples(
    nullable(WORDS),
    nullable(WHOLE),
    nullable(FLOATS),
    nullable(st.sampled_from(["0.1", "0.10", "0.3", "0.30000000000000001", "0.0999", "NaN", "7"])),
    nullable(MOMENTS),
    nullable(DOCS.map(json.dumps)),
    nullable(WHOLE),
)
COLUMNS = "(id, t, n, f, d, at, doc, old)"


class Both:
    """One project, asked in one loop: what Python says of its rows, and what the database says."""

    def __init__(self, shop, put):
        self.shop, self.put = shop, put
        self.runner = asyncio.Runner()
        self.stack = contextlib.AsyncExitStack()

    def __enter__(self):
        self.runner.run(self._open())
        return self

    async def _open(self):
        self.app = await self.stack.enter_async_context(self.shop.by("ada"))

    def __exit__(self, *error):
        self.runner.run(self.stack.aclose())
        self.runner.close()

    def agree(self, rows):
        self.put([(n, *row) for n, row in enumerate(rows, 1)])
        return self.runner.run(self._compare())

    async def _compare(self):
        site, backfill = self.app.site, self.app.backfills["fill"]
        one = await examine_latest(site, backfill, {}, 1000)
        other = await examine_latest(site, backfill, {}, 1000, whole=True)
        for check, python, database in zip(backfill.ready, one.checks, other.checks, strict=True):
            assert database.over == "all rows", check
            assert said(python) == said(database), (check, python, database)
        return other


def said(checked):
    return (checked.verdict, checked.samples, checked.failures, checked.unsure, set(checked.keys))


@pytest.fixture
def lite(tmp_path):
    shop = Shop(tmp_path)
    shop.sql("DROP TABLE items")
    shop.sql("CREATE TABLE items (id INTEGER PRIMARY KEY, t, n, f, d, at, doc, old)")
    shop.write(CODE)

    def put(rows):
        with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as db, db:
            db.execute("DELETE FROM items")
            db.executemany(f"INSERT INTO items {COLUMNS} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    with Both(shop, put) as both:
        yield both


@pytest.fixture
def postgres(tmp_path, pg):
    shop = Shop(tmp_path)
    shop.configure(CONFIG.replace("sqlite:///shop.db", pg))
    shop.write(CODE)
    connection = psycopg.connect(pg, autocommit=True)
    connection.execute(
        "CREATE TABLE items (id int PRIMARY KEY, t text, n bigint, f double precision, "
        "d numeric, at timestamptz, doc jsonb, old bigint)"
    )

    def put(rows):
        with connection.transaction():
            connection.execute("TRUNCATE items")
            with connection.cursor() as cursor:
                cursor.executemany(
                    f"INSERT INTO items {COLUMNS} VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                    [(*r[:4], known(Decimal, r[4]), known(moment, r[5]), *r[6:]) for r in rows],
                )

    with connection, Both(shop, put) as both:
        yield both


def known(make, value):
    return None if value is None else make(value)


HARD = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@HARD
@given(rows=st.lists(LITE, max_size=15))
def test_sqlite_and_python_say_the_same_of_every_row(lite, rows):
    lite.agree(rows)


@HARD
@given(rows=st.lists(POSTGRES, max_size=15))
def test_postgres_and_python_say_the_same_of_every_row(postgres, rows):
    postgres.agree(rows)


async def test_postgres_judges_conditions_and_keys_of_other_tables(tmp_path, pg):
    """Also a moment without a zone, which is UTC, in whatever zone the server is."""
    shop = Shop(tmp_path)
    shop.configure(CONFIG.replace("sqlite:///shop.db", pg))
    shop.write("""
from datetime import timedelta
from proctor import backfill, checks, table

@backfill(table("shop.items", key="id"), fills=("mood", "album", "at"), checks=[
    checks.refers("album", "shop.albums", "id"), checks.sql("long", "length(mood) > 2"),
    checks.refers("album", "shop.items", "id"), checks.unique("album"),
    checks.stamped("at", within=timedelta(hours=1)),
    checks.one_of("mood", ("sad",), where="id > 1"),
    checks.sql("broken", "nothing = 1"),
])
def fill(row):
    raise AssertionError
""")
    with psycopg.connect(pg, autocommit=True) as connection:
        for statement in (
            f"ALTER DATABASE \"{connection.info.dbname}\" SET timezone = 'Asia/Tokyo'",
            "CREATE SCHEMA shop",
            "CREATE TABLE shop.albums (id int PRIMARY KEY)",
            "INSERT INTO shop.albums VALUES (1), (7)",
            (
                "CREATE TABLE shop.items (id int PRIMARY KEY, mood varchar(9), album int, "
                "at timestamp)"
            ),
            "INSERT INTO shop.items SELECT 1, 'sad', 1, now() AT TIME ZONE 'UTC'",
            (
                "INSERT INTO shop.items SELECT 2, 'ok', 7, "
                "now() AT TIME ZONE 'UTC' - interval '2 hours'"
            ),
            "INSERT INTO shop.items VALUES (3, NULL, 9, 'infinity'), (4, 'bad', NULL, NULL)",
        ):
            connection.execute(statement)
    async with shop.by("ada") as app:
        found = await examine_latest(app.site, app.backfills["fill"], {}, 9, whole=True)
    told = [(one.failures, one.unsure, [key[0] for key in one.keys]) for one in found.checks]
    assert told[:4] == [(1, 1, [3]), (1, 1, [2]), (2, 1, [2, 3]), (0, 1, [])]
    assert told[4:6] == [(2, 1, [2, 3]), (2, 1, [2, 4])]
    assert {one.over for one in found.checks} == {"all rows"}
    assert "nothing" in found.checks[6].reason
    assert found.checks[6].verdict.value == "inconclusive"


def test_a_text_with_a_nul_character_is_left_undecided(lite):
    """SQLite's own functions end at it: that is no pass, and no fail."""
    lite.put([(1, "a\0" + "b" * 9, *[None] * 6)])
    site, backfill = lite.app.site, lite.app.backfills["fill"]
    found = lite.runner.run(examine_latest(site, backfill, {}, 9, whole=True))
    of_text = [one for one in found.checks if one.field == "t" and one.kind != "unique"]
    assert {(one.samples, one.failures) for one in of_text} == {(0, 0)}


def test_every_check_was_compared(lite):
    assert len(lite.agree([]).checks) == CHECKS == 32


@pytest.mark.parametrize(
    "regex", ["[a-z]+", "a|b", r"\$\d?", "x{2,3}", "(a|b)*c", "", "é+", r"[^\]]"]
)
def test_a_regular_expression_is_plain_or_left_to_python(regex):
    assert is_plain(regex) == (r"\d" not in regex)


@pytest.mark.parametrize(
    "regex",
    [".", "^a", "a$", r"\w", "(?i)a", "(?=a)", r"(a)\1", "a*?", "a++", "[[:alpha:]]", r"\bx",
     "a{,3}", "x{300}", "*a", "(*a)", "a|*", "[a", r"[\w]", "#", "a{"],
)  # fmt: skip
def test_what_the_two_may_read_otherwise_is_left_to_python(regex):
    assert not is_plain(regex)


ODD = [
    *('{"a": 1, "a": "x"}', '{"s": NaN, "a": "b"}', '{"n": -Infinity}', "{a: 1}", '{"a": 1,}'),
    *('{"\\u0061": "B"}', '{"a": "x\\u0000y"}', '{"a": "\\ud800"}', '\ufeff{"a": 1}', "[1]", "x"),
    *('"{\\"a\\": 1}"', '{"o": "{\\"x\\": 1}"}', ' {"o": {"x": 99999999999999999999}}', "null"),
    *('{"s": ["a", {"0": "É"}]}', '{"o": [{"x": 1}]}', "[" * 5000, '{"a": ' * 5000, b"{}", 7, None),
    *('{"n": 1e400}', '{"n": 0.30000000000000001}', '{"a": true}', '{"a": 1.0}', '{"a": "1"}', ""),
]
INSIDE = """
from datetime import timedelta
from proctor import backfill, checks, table

@backfill(table("items", key="id"), fills=("doc.at", "doc.n", "doc.t", "t"), checks=[
    checks.stamped("doc.at", within=timedelta(days=1)), checks.drift("doc.n", 0.1, of="old"),
    checks.pattern("doc.t", r"\\w+"), checks.empty("t.a"), checks.between("doc.n", 0, 9),
])
def fill(row):
    raise AssertionError
"""


def test_what_sqlite_and_python_could_read_otherwise_is_read_alike(lite):
    """Equal keys, NaN, escapes, JSON text in JSON, what is no JSON."""
    for some in (ODD[:14], ODD[14:]):  # so few that every key that fails is kept
        lite.agree([(*[None] * 5, odd, None) for odd in some])


PLAIN = [
    *(
        {"a": False},
        {"a": True},
        {"a": 1},
        {"a": 1.0},
        {"a": "1"},
        {"a": ["a", 1, True]},
        {"a": []},
    ),
    *({"a": [False]}, {"a": [None]}, {"a": {}}, {"a": [{}]}, {"a": {"x": ["abcd"]}}, {"a": [[1]]}),
    *({"a": 0.3}, {"a": 0.30000000000000004}, {"a": None}, {}, [], 7, "é", {"a": "\u200b"}),
    *(
        {"o": {"x": 10**15}},
        {"o": {"x": 10**15 + 1}},
        {"o": {"x": -1}},
        {"o": {"x": "1"}},
        {"o": 1},
    ),
    *({"o": [{"x": 1}]}, {"o": {"é": "ab"}}, {"o": {"x": None, "o": 1}}, {"o": {"o": "a"}}),
    *({"s": ["a"]}, {"s": {"0": " "}}, {"s": {"0": "a"}}, {"s": "É"}, {"k": [0, 2.0]}, {"k": 0.5}),
]


@pytest.mark.parametrize("one", ["lite", "postgres"])
def test_what_stands_at_a_path_is_judged_alike(one, request):
    """A missing key, null, a list's place, yes and 1, a number and its text, nested, unicode."""
    both = request.getfixturevalue(one)
    for at in range(0, len(PLAIN), 12):
        both.agree([(*[None] * 5, json.dumps(doc), None) for doc in PLAIN[at : at + 12]])


@pytest.mark.parametrize("declared", ["JSON", "TEXT"])
def test_sqlite_judges_moments_and_drifts_inside_documents(tmp_path, declared):
    """Whether the author gets the column as text, or as what it holds."""
    shop = Shop(tmp_path)
    shop.sql("DROP TABLE items")
    shop.sql(f"CREATE TABLE items (id INTEGER PRIMARY KEY, doc {declared}, old, t {declared})")
    shop.write(INSIDE)
    now = datetime.now(UTC)
    docs = [
        {"at": now.isoformat(), "n": 10, "t": "a1"},
        {"at": (now - timedelta(days=2)).isoformat(), "n": 10.5, "t": "é!"},
        {"at": now.timestamp(), "n": True, "t": None},
        {"n": 1.0, "t": "٣"},
    ]
    texts = ['{"a": " "}', '"{}"', "{}", "{"]
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as db, db:
        for n, (doc, text) in enumerate(zip(docs, texts, strict=True)):
            db.execute("INSERT INTO items VALUES (?, ?, ?, ?)", (n, json.dumps(doc), 10, text))
    with Both(shop, lambda _rows: None) as both:
        found = both.agree([])
    assert [one.failures for one in found.checks[:3]] == [2, 2, 1]


def test_what_postgres_could_read_otherwise_is_left_undecided(postgres):
    """JSON text inside JSON, which Python reads on into, and a number that no float holds."""
    hidden = json.dumps({"o": ' {"x": 99}', "a": "{", "n": 1})
    rows = [json.dumps(json.dumps({"a": "É"})), hidden, '{"n": 1.5e-301, "k": [1, 2.5e-301]}']
    postgres.put([(n, *[None] * 5, doc, None) for n, doc in enumerate(rows, 1)])
    site, backfill = postgres.app.site, postgres.app.backfills["fill"]
    found = postgres.runner.run(examine_latest(site, backfill, {}, 9, whole=True)).checks
    told = {(one.kind, one.field): (one.failures, one.unsure) for one in found}
    assert told["between", "doc.o.x"] == (0, 3)
    assert told["between", "doc.n"] == (0, 2)
    assert told["one_of", "doc.k"] == (0, 3)
    assert told["length", "doc.a"] == (0, 2)
