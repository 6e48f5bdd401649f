"""What a soak can prove is known before it begins, and said in one sentence."""

from datetime import timedelta

import pytest

from proctor.core.gates import needed, provable, reachable
from proctor.model import Baseline, Direction, Mode

HOURS = timedelta(hours=6)
SPLIT = Baseline(mode=Mode.CONCURRENT, allowed=0.85)


@pytest.mark.parametrize(
    ("rate", "samples"), [(0.02, 14_338), (0.05, 5_560), (0.2, 1_171), (0.5, 293)]
)
def test_the_number_needed_is_that_of_the_table(rate, samples):
    """That is (1-p)/p * (1 + 1/4) * ((1.645 + 0.842) / ln(1/0.85))^2."""
    assert needed(SPLIT, rate, control=4) == samples
    assert provable(SPLIT, rate, samples, control=4) == pytest.approx(0.85, abs=1e-4)


def test_a_soak_that_cannot_reach_it_says_what_it_can_and_what_would():
    found = reachable(SPLIT, 0.05, samples=1_000, within=HOURS, control=4)
    assert not found.enough
    assert found.told == (
        "1,000 in 6 h at a rate of 5 % can only prove >= 68 % of the baseline; you asked for 85 %, "
        "which takes 5,560: soak 34 h, or lower the bar"
    )


def test_a_soak_that_can_reach_it_says_so():
    found = reachable(SPLIT, 0.05, samples=6_000, within=HOURS, control=4)
    assert found.enough
    assert found.told == (
        "6,000 in 6 h at a rate of 5 % are enough to prove at least 85 % of the baseline: 5,560 "
        "are needed"
    )


def test_the_other_direction_is_told_the_other_way_round():
    errors = Baseline(mode=Mode.FIXED, allowed=1.5, rate=0.01, direction=Direction.INCREASE)
    found = reachable(errors, 0.01, samples=500, within=timedelta(days=2))
    assert "500 in 2 d at a rate of 1 % can only prove <= 303 % of the baseline" in found.told
    assert found.told.endswith("or raise the bar")


def test_nothing_to_count_proves_nothing():
    found = reachable(SPLIT, 0.05, samples=0, within=HOURS)
    assert (found.enough, found.provable) == (False, 0.0)
    assert "nothing to count in 6 h proves nothing" in found.told


def test_what_is_compared_with_costs_too():
    """A known rate needs least; few others to compare with need most."""
    fixed = Baseline(mode=Mode.FIXED, allowed=0.85, rate=0.05)
    weeks = Baseline(mode=Mode.MATCHED_WINDOWS, allowed=0.85)
    sizes = [needed(fixed, 0.05), needed(weeks, 0.05), needed(SPLIT, 0.05, control=0.25)]
    assert sizes == sorted(sizes)
