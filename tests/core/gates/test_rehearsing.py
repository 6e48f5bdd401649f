"""Before a soak: how often its gate would have been wrong, and what it can prove."""

from datetime import timedelta

import pytest

from proctor.adapters.statistics import ExactStatistics
from proctor.core.gates import reachable_by_windows, rehearse, with_earlier
from proctor.model import Baseline, Direction, Metric, Mode, PythonFigures

EXACT = ExactStatistics()
HOURS = timedelta(hours=6)
STEADY = [600, 612, 590, 605, 598, 601, 607, 596]
WILD = [400, 800, 500, 700, 600, 450, 750, 550]


def metric(allowed=0.85):
    direction = Direction.DECREASE if allowed < 1 else Direction.INCREASE
    baseline = Baseline(mode=Mode.MATCHED_WINDOWS, allowed=allowed, direction=direction)
    return Metric(name="conversion", source=PythonFigures(call=float), baseline=baseline)


def windows(events):
    return with_earlier({}, [{"events": one, "total": 12_000} for one in events])


@pytest.mark.parametrize("allowed", [0.85, 1.15])
def test_steady_weeks_rehearse_green_and_wild_ones_do_not(allowed):
    steady = rehearse(metric(allowed), windows(STEADY), EXACT)
    assert (steady.windows, steady.passed, steady.failed) == (8, 8, 0)
    assert steady.told == (
        "asked of 8 earlier windows, each against the others, conversion passes 8, fails 0 and is "
        "inconclusive in 0"
    )
    wild = rehearse(metric(allowed), windows(WILD), EXACT)
    assert wild.passed < 4
    assert wild.passed + wild.failed + wild.inconclusive == 8


def test_one_week_that_was_out_of_order_is_found_in_the_rehearsal():
    assert rehearse(metric(), windows([*STEADY, 300]), EXACT).failed == 1


def test_three_windows_rehearse_nothing():
    found = rehearse(metric(), windows(STEADY[:4]), EXACT)
    assert (found.windows, found.inconclusive) == (4, 4)


def test_what_windows_can_prove_is_said_by_how_much_they_differ():
    """By hand: (1.8946 + 0.8416) * 0.0114 * sqrt(1 + 1/8) = 0.0331 on the logarithm."""
    found = reachable_by_windows(metric(), windows(STEADY), EXACT, within=HOURS)
    assert found.enough
    assert found.provable == pytest.approx(0.9675, abs=0.0002)
    assert found.told == (
        "8 earlier windows of 6 h at a rate of 5.01 % differ so much that another can prove >= "
        "96.7 % of the baseline; you asked for 85 %"
    )
    wild = reachable_by_windows(metric(), windows(WILD), EXACT, within=HOURS)
    assert not wild.enough
    assert wild.told.endswith("compare with more of them, or longer ones, or lower the bar")
    up = reachable_by_windows(metric(1.15), windows(WILD), EXACT, within=HOURS)
    assert (up.enough, up.provable > 1.15) == (False, True)
    assert up.told.endswith("or raise the bar")


def test_windows_that_are_alike_and_count_little_can_prove_nothing():
    """By hand, p = 2.5 / 40.5: (1 - p) / p * (1 + 1/8) * (1.6449 + 0.8416)^2 / ln(0.85)^2."""
    alike = with_earlier({}, [{"events": 2, "total": 40} for _ in range(8)])
    found = reachable_by_windows(metric(), alike, EXACT, within=HOURS)
    assert (found.enough, found.needed) == (False, 4003)
    assert found.told.startswith("40 in 6 h at a rate of ")


def test_too_few_windows_can_prove_nothing():
    found = reachable_by_windows(metric(), windows(STEADY[:3]), EXACT, within=HOURS)
    assert not found.enough
    assert found.told == (
        "3 of 3 earlier windows of 6 h have 1 or more to count, and 4 such are needed: soak "
        "longer, or compare with more of them"
    )
