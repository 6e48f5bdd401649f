"""Whether a stored and a computed value are the same, across the types of the databases."""

import json
import math
import uuid

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from proctor.core.same import same, text_of

WHEN = datetime(2026, 1, 31, 6, 30, tzinfo=UTC)
NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
VALUES = NESTED | st.decimals() | st.datetimes() | st.dates() | st.binary() | st.uuids()


@pytest.mark.parametrize(
    ("stored", "computed"),
    [
        (1, 1.0),
        (1, True),
        (0, False),
        ("t", True),
        ("false", False),
        (Decimal("1.50"), 1.5),
        (Decimal("11.89"), 11.8881),
        (0.12345679, 0.123456789),
        (math.nan, math.nan),
        (Decimal("NaN"), math.nan),
        (math.inf, Decimal("Infinity")),
        ("100", 100.0),
        ("1.5", Decimal("1.50")),
        ('{"a": [1, 2.0]}', {"a": (1, 2)}),
        ({"a": [1, None]}, {"a": (1.0, None)}),
        ("2026-01-31T06:30:00+00:00", WHEN),
        ("2026-01-31 06:30:00+00", WHEN),
        (WHEN, WHEN.astimezone(timezone(timedelta(hours=2)))),
        ("2026-01-31", date(2026, 1, 31)),
        ("\\x6869", b"hi"),
        (b"hi", bytearray(b"hi")),
        ("d9428888-122b-11e1-b85c-61cd3cbb3210", uuid.UUID("d9428888-122b-11e1-b85c-61cd3cbb3210")),
        ([], []),
        ("", ""),
    ],
)
def test_the_same_in_other_types(stored, computed):
    """What a driver hands back need not be of the type that the function gave."""
    assert same(stored, computed)


@pytest.mark.parametrize(
    ("stored", "computed"),
    [
        (None, ""),
        (None, 0),
        (None, False),
        ("", None),
        (2**53, 2**53 + 1),
        pytest.param(10**400, 10**400 + 1, id="off by one, beyond floats"),
        pytest.param(10**400, 1.0, id="beyond floats"),
        pytest.param(10**400, math.inf, id="beyond floats, short of infinity"),
        (1.0, 1.000001),
        (Decimal("11.89"), 11.8951),
        (Decimal(2), 2.4),
        (Decimal("1.5"), 1.54),
        (1.0, math.nan),
        (math.inf, -math.inf),
        ("1", 2),
        ("one", 1),
        ("t", False),
        ('{"a": 1}', {"a": 2}),
        ('{"a": 1', {"a": 1}),
        ({"a": 1}, {"a": 1, "b": None}),
        ([1, 2], [2, 1]),
        ([1], [1, 1]),
        ("soon", WHEN),
        ("2026-01-31 06:30:00", WHEN),
        (WHEN, WHEN + timedelta(microseconds=1)),
        ("zz", b"zz"),
        ("A", "a"),
        ("1.0", "1"),
    ],
)
def test_what_differs_is_not_the_same(stored, computed):
    """A check that cannot fail proves nothing."""
    assert not same(stored, computed)


@given(VALUES)
def test_every_value_is_the_same_as_itself(value):
    assert same(value, value)


@given(VALUES, VALUES)
@example(one=False, other=Decimal("sNaN"))
def test_any_pair_can_be_compared(one, other):
    """No pair of types raises, however odd."""
    assert same(one, other) in (True, False)


@given(st.dictionaries(st.text(), NESTED, max_size=4))
def test_json_text_is_the_structure_that_it_holds(value):
    assert same(json.dumps(value), value)


@given(st.integers(), st.integers())
def test_integers_are_compared_exactly(one, other):
    """A key or a count that is off by one is another one, at any size."""
    assert same(one, other) is (one == other)


def test_values_read_as_people_write_them():
    assert text_of(None) is None
    assert text_of("plain") == "plain"
    assert text_of(b"\x01\xff") == "01ff"
    assert text_of(memoryview(b"\x01")) == "01"
    assert text_of(WHEN) == "2026-01-31T06:30:00+00:00"
    assert text_of(Decimal("1.50")) == "1.50"
    assert text_of({"ä": [WHEN, Decimal("1.5"), uuid.UUID(int=1)]}) == (
        '{"ä": ["2026-01-31T06:30:00+00:00", "1.5", "00000000-0000-0000-0000-000000000001"]}'
    )
    assert text_of([{1, 2}]) == '["{1, 2}"]'


@given(VALUES)
def test_any_value_has_a_text(value):
    assert isinstance(text_of(value), str | None)
