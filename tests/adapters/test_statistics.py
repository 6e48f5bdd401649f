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


def test_a_rate_has_two_exact_bounds():
    """By the tables of Clopper and Pearson."""
    assert EXACT.share_bounds(5, 100, 0.95) == pytest.approx((0.01991, 0.10225), rel=1e-3)
    assert EXACT.share_bounds(0, 299, 0.95) == (0.0, pytest.approx(0.00997, rel=1e-3))
    assert EXACT.share_bounds(7, 7, 0.95) == (pytest.approx(0.05 ** (1 / 7)), 1.0)


def test_students_quantile_is_that_of_the_tables():
    assert EXACT.students(0.95, 7) == pytest.approx(1.8946, abs=1e-4)
    assert EXACT.students(0.975, 3) == pytest.approx(3.1824, abs=1e-4)


@pytest.mark.parametrize(
    ("rate", "above"), [(0.05, False), (0.4, False), (0.01, True), (0.5, True)]
)
def test_evidence_of_harm_is_a_bet_that_cannot_win_by_looking(rate, above):
    """On the bar the expected evidence is exactly 1 at every look: so 20 comes once in 20."""
    for total in (1, 7, 60):
        expected = sum(
            comb(total, events)
            * rate**events
            * (1 - rate) ** (total - events)
            * EXACT.harm(events, total, rate, above=above)
            for events in range(total + 1)
        )
        assert expected == pytest.approx(1)


@given(st.integers(1, 80), st.floats(0.02, 0.98), st.floats(0.01, 0.99), st.booleans())
def test_on_the_good_side_of_the_bar_the_bet_only_loses(total, rate, far, above):
    """Whatever the true rate is there, the evidence expected is at most 1."""
    truth = rate * far if above else 1 - (1 - rate) * far
    expected = sum(
        comb(total, events)
        * truth**events
        * (1 - truth) ** (total - events)
        * EXACT.harm(events, total, rate, above=above)
        for events in range(total + 1)
    )
    assert expected <= 1 + 1e-9


def test_evidence_grows_with_what_is_seen_and_falls_with_what_is_well():
    assert EXACT.harm(0, 0, 0.05, above=False) == 1
    assert EXACT.harm(360, 12_000, 0.0425, above=False) > 1e9
    assert EXACT.harm(510, 12_000, 0.0425, above=False) < 0.1
    assert EXACT.harm(12_000, 12_000, 0.0425, above=False) == 0
    assert EXACT.harm(700, 12_000, 0.0425, above=True) > 1e9
    assert EXACT.harm(0, 10_000_000, 0.5, above=False) > 1e300
