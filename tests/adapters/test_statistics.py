"""What counts prove: bounds that are exact for every size, by numbers that others have computed."""

from math import comb

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.adapters.statistics import ExactStatistics

EXACT = ExactStatistics()


@pytest.mark.parametrize(
    ("failures", "samples", "confidence", "share"),
    [
        (0, 100, 0.95, 0.0295),
        (1, 100, 0.95, 0.0466),
        (2, 100, 0.95, 0.0616),
        (3, 100, 0.95, 0.0757),
        (0, 299, 0.95, 0.00997),
        (0, 459, 0.99, 0.00998),
        (628 - 626, 628, 0.95, 0.01),
        (5, 5, 0.95, 1.0),
    ],
)
def test_shares_are_those_of_the_tables(failures, samples, confidence, share):
    assert EXACT.most_share(failures, samples, confidence) == pytest.approx(share, rel=0.005)


@pytest.mark.parametrize(("of", "rows"), [(100, 0), (120, 1), (500, 13), (10_000, None)])
def test_of_a_known_number_of_rows_the_claim_is_in_rows(of, rows):
    """None of a hundred: the most that a hundred would miss more often than once in twenty."""
    found = EXACT.most_rows(0, 100, of, 0.95)
    missed = [comb(of - bad, 100) / comb(of, 100) for bad in (found, found + 1)]
    assert missed[0] > 0.05 >= missed[1]
    assert rows in (found, None)


@given(st.integers(1, 60), st.data())
def test_the_claim_in_rows_is_never_weaker_than_that_of_an_endless_table(samples, data):
    """A sample without replacement says more, and never less than what was seen."""
    failures = data.draw(st.integers(0, samples))
    of = data.draw(st.integers(samples, 500))
    rows = EXACT.most_rows(failures, samples, of, 0.95)
    assert failures <= rows <= of - (samples - failures)
    assert rows / of <= EXACT.most_share(failures, samples, 0.95) + 1e-9
