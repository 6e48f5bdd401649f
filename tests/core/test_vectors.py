"""What is a vector, in numbers, and the mean of several."""

import math

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.vectors import fault, mean

NUMBERS = st.floats(min_value=-1e6, max_value=1e6, width=32)


@pytest.mark.parametrize(
    ("vector", "dimensions", "told"),
    [
        ([1.0, 2.0], 3, "it has 2 dimensions, and 3 were to come"),
        ([], 3, "it has 0 dimensions, and 3 were to come"),
        ([], None, "all of its 0 numbers are zero"),
        ([0.0, 0.0], 2, "all of its 2 numbers are zero"),
        ([math.nan, 1.0, -math.inf], 3, "2 of its 3 numbers are NaN or Infinity"),
        ([1e308] * 4, None, "its 4 numbers are too large for a length"),
    ],
)
def test_what_is_no_vector_is_told_in_numbers(vector, dimensions, told):
    assert fault(vector, dimensions) == told


@pytest.mark.parametrize("dimensions", [None, 2])
def test_a_vector_has_nothing_wrong(dimensions):
    assert not fault([0.0, -1e-20], dimensions)


def test_the_mean_weighs_and_has_length_one_where_all_have():
    got = mean([[1.0, 0.0], [0.0, 1.0]], [3, 1])
    assert got == pytest.approx([3 / math.sqrt(10), 1 / math.sqrt(10)])


@given(st.lists(NUMBERS, min_size=1, max_size=8).filter(any), st.integers(1, 5))
def test_the_mean_of_the_same_vector_is_that_vector(vector, times):
    got = mean([vector] * times, range(1, times + 1))
    assert got == pytest.approx(vector, rel=1e-9, abs=1e-12)


def test_vectors_that_cancel_out_have_no_mean():
    """What rounding leaves of them is no direction."""
    assert mean([[0.1, 0.7], [0.2, 0.1], [-0.3, -0.8]], [1, 1, 1]) == [0.0, 0.0]
