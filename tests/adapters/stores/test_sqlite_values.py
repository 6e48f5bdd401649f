"""Values and their images are exact by type and bytes, in every direction."""

import math
import sqlite3
import struct

from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from proctor.adapters.stores.sqlite.values import (
    RawText,
    Unstorable,
    adapt,
    bindable,
    by_powers,
    image,
    images,
    literal,
    prepare,
    value_of,
)

SURROGATES = st.text(st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF), max_size=3)
TEXT = st.text(max_size=12) | st.from_regex(r"[-+ ]?[0-9.eEX']{0,6}", fullmatch=True)
WHOLE = st.integers(-(2**63), 2**63 - 1)
REAL = st.floats(allow_nan=False)
STORED = st.none() | TEXT | WHOLE | REAL | st.binary(max_size=8)


def same(a, b):
    """Equal by type and bytes."""
    if isinstance(a, float) and isinstance(b, float):
        return struct.pack(">d", a) == struct.pack(">d", b)
    return type(a) is type(b) and a == b


@given(STORED | SURROGATES)
@example(-0.0)
@example(float("inf"))
@example(2**63 - 1)
@example("'quoted'")
@example("X'00'")
@example("9e999")
@example("1")
def test_an_image_stands_for_one_value(value):
    """What undo puts back is the very value, of the very type."""
    assert same(value_of(image(value)), value)


@given(st.lists(STORED, min_size=2, max_size=2))
def test_two_values_never_share_an_image(pair):
    """1, 1.0, '1' and x'31' are four different things."""
    assert same(*pair) is (image(pair[0]) == image(pair[1]))


@given(st.lists(STORED, max_size=6))
def test_columns_have_the_images_of_their_values(column):
    """The fast way through a column gives what the slow way gives."""
    assert images(column) == [image(v) for v in column]


@pytest.fixture(scope="module")
def db():
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, c_integer INTEGER, c_text TEXT, "
            "c_real REAL, c_numeric NUMERIC, c_blob)"
        )
        yield connection


@given(
    st.lists(STORED, min_size=1, max_size=4),
    st.sampled_from(["INTEGER", "TEXT", "REAL", "NUMERIC", "BLOB"]),
)
@example(["{}", "1"], "NUMERIC")
@example([" 12 "], "INTEGER")
@example([-0.0, 0.0, 5], "REAL")
@example([1e15, 2.0], "INTEGER")
@example([9007199254740993], "REAL")
@example([7, 1.5], "TEXT")
def test_the_image_after_a_write_is_known_before_it(db, column, affinity):
    """No row need be read again: the prediction is what any column of that affinity holds."""
    made = prepare(db, column, affinity, name="x")
    assert made.bad == {}
    name = f"c_{affinity.lower()}"
    db.execute("DELETE FROM t")
    db.executemany(f"INSERT INTO t (id, {name}) VALUES (?, ?)", enumerate(made.bound))
    stored = [v for (v,) in db.execute(f"SELECT {name} FROM t ORDER BY id")]
    assert made.stored == [image(v) for v in stored]


@given(STORED)
@example(-0.0)
@example(5e-324)
@example(1.7976931348623157e308)
@example(3.002776609834939e-297)  # no digits of it are read exactly by SQLite 3.40
@example(-(2**63))
@example("a\0b")
def test_a_literal_is_read_back_as_the_same_value(db, value):
    """A script of SQL restores what was there, to the last bit."""
    (back,) = db.execute(f"SELECT {literal(db, value)}").fetchone()
    assert same(back, value)


@given(REAL.filter(math.isfinite))
@example(5e-324)
@example(-1.7976931348623157e308)
@example(2.2250738585072014e-308)
def test_a_real_number_is_also_said_without_digits(db, value):
    """A whole number times powers of two, for what a SQLite does not read exactly."""
    (back,) = db.execute(f"SELECT {by_powers(value)}").fetchone()
    assert back == value


@given(SURROGATES)
def test_text_that_is_not_utf8_keeps_its_bytes(db, text):
    """It travels as a blob under a cast."""
    bound = bindable(text)
    raw = text.encode("utf-8", "surrogateescape")
    assert bound == (RawText(raw) if text else "")
    (back,) = db.execute(f"SELECT CAST({literal(db, bound)} AS BLOB)").fetchone()
    assert back == raw


@pytest.mark.parametrize(
    ("given_", "stored"),
    [
        (True, 1),
        (Decimal("1.50"), "1.50"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00+00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ({"é": [1, None, True]}, '{"é":[1,null,true]}'),
        ([Decimal("1.0"), date(2026, 1, 2)], '["1.0","2026-01-02"]'),
        (bytearray(b"x"), b"x"),
    ],
)
def test_values_of_python_become_one_of_five_types(given_, stored):
    """Dates as ISO text, decimals as their digits, structures as compact JSON."""
    assert same(adapt(given_), stored)


@pytest.mark.parametrize(
    "value", [math.nan, 2**63, -(2**63) - 1, object(), {"a": math.nan}, {"a": object()}, {1: {2}}]
)
def test_what_cannot_be_stored_is_refused_without_showing_it(value):
    """NaN would silently become null; the reason names the kind and never the value."""
    with pytest.raises(Unstorable) as caught:
        adapt(value)
    assert "object at" not in str(caught.value)
    assert "9223372036854775808" not in str(caught.value)
