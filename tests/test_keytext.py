"""Keys as they are printed and typed: the same words both ways."""

import csv
import unicodedata

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from proctor.errors import UsageError
from proctor.model.keytext import UNSEEN, key_text, keys_text, one_text, read_keys

PARTS = st.one_of(
    st.integers(), st.text(), st.text(alphabet=',;"\\ \n\u202e\x00\udc80é😀\U000e0001')
)
KEYS = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.tuples(*[PARTS] * width), min_size=1, max_size=4)
)


@given(KEYS)
@example([("a,b",), ('"',), ("",), (" x ",), ("new\nline",), ("back\\slash",), ("semi;colon",)])
@example([("x,y", 2), ("p;q", 3), ('"z"', 4)])
def test_what_is_printed_as_a_key_is_read_as_that_key(keys):
    """One by one for `--from` and `--to`, and all at once for `--keys`."""
    columns = len(keys[0])
    meant = [tuple(map(str, key)) for key in keys]
    assert read_keys(keys_text(keys), columns) == meant
    assert [read_keys(key_text(key), columns) for key in keys] == [[key] for key in meant]


@given(KEYS)
def test_a_printed_key_moves_no_cursor(keys):
    """No control character, direction mark or line end is in it."""
    assert UNSEEN.isdisjoint(unicodedata.category(c) for c in keys_text(keys))


@given(st.lists(st.text(), min_size=2, max_size=3))
def test_a_store_gets_the_parts_apart(parts):
    """As one line of CSV, which both stores read."""
    (read,) = csv.reader([one_text(parts)], skipinitialspace=True)
    assert read == parts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,,2", "empty key"),
        ("", "empty key"),
        ('"a"b', "not closed"),
        ('"a', "not closed"),
        ('"a""b"', "not closed"),
        (r'"\x"', "escape"),
    ],
)
def test_a_slip_of_the_hand_is_no_key(text, said):
    with pytest.raises(UsageError, match=said) as caught:
        read_keys(text, 1)
    assert caught.value.fix


def test_a_quote_inside_a_bare_part_stands_for_itself():
    assert read_keys('5", 6"', 1) == [('5"',), ('6"',)]
