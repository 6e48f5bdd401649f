"""Every type goes in exactly and comes back exactly: written, read, undone, compared as bytes."""

import asyncio
import contextlib
import datetime as dt
import decimal
import ipaddress
import itertools
import json
import uuid

import psycopg
import pytest

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb
from psycopg.types.range import Range

from proctor.adapters.stores.postgres import open_postgres
from proctor.model import KeyPart, RunState, Source, Spec
from proctor.ports import Manners, UndoTerms
from proctor.testing.conformance.acting import TERMS, answered, begin, claim, roll_back

D = decimal.Decimal
UTC = dt.UTC
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)

# For each type: texts that may stand there before, and Python values that a function returns.
TYPES = {
    "text": (
        ["", " a ", "é\u0300", "line\nbreak\ttab\\", "'q'\"", "\U0001d518", "#" + "a" * 32],
        texts,
    ),
    "varchar(5)": (["", "ab   ", "12345"], st.text("ab é", max_size=5)),
    "char(5)": (["", "ab", "12345"], st.text("ab é", max_size=5)),
    "bpchar": (["", "ab   ", "ab"], st.text("ab ", max_size=9)),
    "citext": (["A", "a", "Ä"], st.sampled_from(["A", "a", "b", "ß"])),
    "name": (["a", "A b"], st.text("ab", max_size=20)),
    '"char"': (["a", "b"], st.sampled_from(["a", "z"])),
    "bool": (["t", "f"], st.booleans()),
    "int2": (["-32768", "7"], st.integers(-32768, 32767)),
    "int4": (["0", "2147483647"], st.integers(-(2**31), 2**31 - 1) | st.just(5.0)),
    "int8": (["-9223372036854775808"], st.integers(-(2**63), 2**63 - 1)),
    "numeric": (
        ["1.0", "1.00", "NaN", "1e-20", "123456789012345678901234567890.5", "Infinity"],
        st.decimals(allow_nan=False, places=None) | st.integers(-(10**40), 10**40),
    ),
    "numeric(8,3)": (["1.5", "-99999.999"], st.decimals(-9999, 9999, places=5)),
    "float4": (["0.1", "NaN", "-Infinity", "1e-40"], st.floats(width=32, allow_nan=False)),
    "float8": (["0.1", "-0", "NaN", "Infinity", "5e-324"], st.floats(allow_nan=False)),
    "date": (
        ["infinity", "0044-03-15 BC", "10000-01-01", "2024-02-29"],
        st.dates() | st.sampled_from(["-infinity", "4000-01-01 BC"]),
    ),
    "time": (["24:00:00", "00:00:00.000001"], st.times()),
    "timetz": (["12:00:00+05:30", "24:00:00-00"], st.times(timezones=st.just(UTC))),
    "timestamp": (
        ["infinity", "0044-03-15 12:00 BC", "10000-01-01 00:00:00.123456"],
        st.datetimes() | st.just("-infinity"),
    ),
    "timestamptz": (
        ["infinity", "0044-03-15 12:00+00 BC", "10000-01-01 00:00:00.5+00"],
        st.datetimes(timezones=st.sampled_from([UTC, dt.timezone(dt.timedelta(hours=5.5))]))
        | st.just("infinity"),
    ),
    "timestamptz(0)": (["2024-01-01 00:00:00+00"], st.datetimes(timezones=st.just(UTC))),
    "interval": (
        ["1 mon -3 days 04:05:06.789", "-00:00:01", "178000000 years", "1 year 2 mons"],
        st.timedeltas(dt.timedelta(days=-(10**6)), dt.timedelta(days=10**6)),
    ),
    "uuid": (["6ecd8c99-4036-403d-bf84-cf8400f67836"], st.uuids()),
    "bytea": (["\\x", "\\x00ff", "\\xdeadbeef"], st.binary(max_size=40)),
    "json": (['{"a":  1, "a": 2}', "[1.0]", "null"], json_values),
    "jsonb": (
        ['{"a": 1.0}', '{"a": 1}', "1.10", "null", '"x"', '{"b": [1, 2], "a": {}}'],
        json_values,
    ),
    "int4[]": (
        ["{}", "{1,NULL}", "{{1,2},{3,4}}", "[0:1]={5,6}"],
        st.lists(st.integers(-9, 9) | st.none(), max_size=5),
    ),
    "text[]": (
        ["{}", '{"",NULL,"NULL","a,b","q\\"\\\\"}'],
        st.lists(texts | st.none(), max_size=5),
    ),
    "timestamptz[]": (["{infinity}"], st.lists(st.datetimes(timezones=st.just(UTC)), max_size=3)),
    "jsonb[]": (
        ['{"{\\"a\\": 1.0}"}'],
        st.lists(st.dictionaries(texts, st.integers()), max_size=3),
    ),
    "mood": (["sad", "very happy"], st.sampled_from(["sad", "ok", "very happy"])),
    "mood[]": (["{sad}"], st.lists(st.sampled_from(["sad", "very happy"]), max_size=3)),
    "short": (["abc", ""], st.text("abc", max_size=3)),
    "positive": (["1"], st.integers(1, 9)),
    "document": (['{"a": 1.00}'], st.dictionaries(texts, st.integers(), max_size=3)),
    "int4range": (["empty", "[1,5)", "(,)"], st.just(Range(2, 9)) | st.just("[3,3]")),
    "inet": (["10.0.0.1", "10.0.0.0/8", "::1"], st.ip_addresses()),
    "cidr": (["10.0.0.0/8"], st.just(ipaddress.ip_network("192.168.0.0/16"))),
    "macaddr": (["08:00:2b:01:02:03"], st.just("08-00-2b-01-02-04")),
    "bit(4)": (["1010"], st.text("01", min_size=4, max_size=4)),
    "varbit(6)": (["", "10"], st.text("01", max_size=6)),
    "money": (["$1,234.50", "-$0.01"], st.decimals(-9999, 9999, places=2)),
    "xml": (["<a>1</a>", "text"], st.sampled_from(["<b/>", "<c>é</c>"])),
    "tsvector": (["'a':1 'b':2"], st.just("'x' 'y':3")),
    "point": (["(0.1,1e300)"], st.just("(1,2)")),
    "box[]": (["{(1,1),(0,0);(2,2),(1,1)}"], st.just(["(3,3),(0,0)", "(4,4),(0,0)"])),
    "hstore": (["a=>1, b=>NULL", ""], st.dictionaries(texts, texts | st.none(), max_size=3)),
    "pair": (['(1,"a b")', "(,)"], st.just('(2,"x,y")')),
    "oid": (["4294967295"], st.integers(0, 2**32 - 1)),
    "pg_lsn": (["16/B374D848"], st.just("0/0")),
}
SETUP = """
CREATE EXTENSION citext; CREATE EXTENSION hstore;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy'); CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN short AS varchar(3); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN document AS jsonb CHECK (VALUE IS NOT NULL);
"""
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def typed(pg_server):
    url = pg_server.create_database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(SETUP)
    yield url
    pg_server.drop_database(url)


def image_of(connection, table):
    """The table in the server's own binary form: what undo must restore."""
    with connection.cursor().copy(
        f"COPY (SELECT * FROM {table} ORDER BY id) TO STDOUT (FORMAT BINARY)"
    ) as copy:
        return b"".join(bytes(part) for part in copy)


def spec_for(table, field="v", **more):
    return Spec(
        backfill=table,
        version="1",
        kind=Source.TABLE,
        source=table,
        key=(KeyPart(column="id"),),
        fills=(field,),
        missing="true",
        **more,
    )


async def written_and_undone(url, table, spec, values):
    """Write these values, see the books balance, and take everything back."""
    store = await open_postgres(url, Manners())
    async with contextlib.aclosing(store):
        run = await begin(store, spec, run=table)
        (lease,) = await claim(store, run, spec, rows=1000)
        page = await store.read(spec, lease)
        todo = iter(values)
        applied = await store.apply(
            spec, lease, answered(page, spec, lambda _row: (next(todo),)), TERMS
        )
        assert applied.outcome.balances
        with psycopg.connect(url, autocommit=True) as connection:
            after = image_of(connection, table)
        assert (await store.verify(run, 1)).restored == applied.outcome.written
        await store.move(run.id, RunState.SUCCEEDED, among=[RunState.RUNNING])
        run = await roll_back(store, run)
        undone = await store.undo(run, 1, UndoTerms())
        assert undone.restored == undone.written == applied.outcome.written
        await store.move(run.id, RunState.ROLLED_BACK, among=[RunState.ROLLING_BACK])
        return applied, after


@pytest.mark.parametrize("declared", TYPES, ids=str)
@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_values_of_every_type_go_in_and_come_back_exactly(typed, declared, data):
    """Undo restores the server's same value, byte for byte, whatever was there and came in."""
    befores, values = TYPES[declared]
    rows = data.draw(
        st.lists(
            st.tuples(st.sampled_from([*befores, None]), values | st.none()),
            min_size=1,
            max_size=12,
        )
    )
    if declared == "document":
        rows = [(b or "{}", {} if v is None else v) for b, v in rows]
    table = f"t{next(numbers)}"
    with psycopg.connect(typed, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v {declared})")
        for i, (before, _) in enumerate(rows):
            connection.execute(f"INSERT INTO {table} VALUES ({i}, %s)", [before])
        original = image_of(connection, table)
        applied, after = asyncio.run(
            written_and_undone(typed, table, spec_for(table), [v for _, v in rows])
        )
        assert applied.outcome.failed == 0, applied.issues
        assert image_of(connection, table) == original
        # What the store wrote is what the server makes of the same value from its own text.
        for i, (_, value) in enumerate(rows):
            connection.execute(
                f"UPDATE {table} SET v = %s WHERE id = {i}", [own_text(value, declared)]
            )
        assert after == image_of(connection, table)


def own_text(value, declared):
    """The value as psycopg itself would send it, so that ours can be compared with it."""
    if value is None:
        return None
    if declared in OWN:
        return OWN[declared](value)
    return str(value) if isinstance(value, decimal.Decimal | uuid.UUID) else value


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def members(values):
    return "{" + ",".join("NULL" if v is None else quoted(str(v)) for v in values) + "}"


OWN = {
    # json keeps its text: compact, and in plain letters.
    "json": lambda v: json.dumps(v, ensure_ascii=False, separators=(",", ":")),
    "jsonb": Jsonb,
    "document": Jsonb,
    "jsonb[]": lambda values: [Jsonb(v) for v in values],
    "hstore": lambda v: ",".join(
        f"{quoted(k)}=>{'NULL' if x is None else quoted(x)}" for k, x in v.items()
    ),
    "box[]": lambda values: "{" + ";".join(values) + "}",
    "int4": int,
    **dict.fromkeys(("mood[]", "int4[]", "text[]"), members),
}
