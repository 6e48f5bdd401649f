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
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(-2, 2), st.text("ab"))
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.just({}), st.just({"x": 1}))
DOCS = st.one_of(
    st.dictionaries(st.sampled_from(["s", "v", "n", "a", "o", "b", "k", "z"]), VALUES),
    st.fixed_dictionaries(
        {"s": st.lists(st.text("ab"), max_size=2), "n": st.integers(), "a": SCALARS},
        optional={"v": st.one_of(st.none(), st.text("a"))},
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
    assert len(lite.agree([]).checks) == CHECKS == 18


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
