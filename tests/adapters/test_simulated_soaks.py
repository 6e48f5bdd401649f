"""Thousands of soaks whose truth is known: how often the gate is wrong.

The figures stand at the end of what pytest says.
"""

import importlib.util
import sys

from pathlib import Path

import pytest

from proctor.model import Mode

SOAKS = 2000
# Three standard errors of a share of 5 % among so many: what a right gate may show by chance.
CHANCE = 3 * (0.05 * 0.95 / SOAKS) ** 0.5


def _bench():
    path = Path(__file__).parents[2] / "bench" / "gates.py"
    spec = importlib.util.spec_from_file_location("bench_gates", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


BENCH = _bench()
DRIFT = {Mode.MATCHED_WINDOWS: 0.08}


@pytest.fixture
def soaks(record_property):
    """Simulate one kind of soak, and tell what became of it."""

    def simulate(mode, ratio, samples=12_000, **words):
        kind = BENCH.Soak(
            mode=mode, ratio=ratio, samples=samples, drift=DRIFT.get(mode, 0.0), **words
        )
        shares = BENCH.simulate(kind, SOAKS)
        name = mode.value if mode not in DRIFT else f"{kind.windows} windows"
        record_property("figures", BENCH.row(name, ratio, samples, shares))
        return shares

    return simulate


def wrong(shares):
    """The part that was stepped back, during the soak or at its end."""
    return shares["rolled back"] + shares["failed at the end"]


@pytest.mark.parametrize("mode", Mode)
def test_of_healthy_soaks_at_most_one_in_twenty_is_rolled_back(soaks, mode):
    assert wrong(soaks(mode, 1.0)) <= 0.05


def test_with_little_traffic_healthy_soaks_are_held_rather_than_rolled_back(soaks):
    found = soaks(Mode.CONCURRENT, 1.0, samples=480)
    assert wrong(found) <= 0.05
    assert found["inconclusive"] > 0.5


@pytest.mark.parametrize("mode", [Mode.FIXED, Mode.CONCURRENT])
def test_of_harmful_soaks_at_least_nineteen_in_twenty_are_caught(soaks, mode):
    found = soaks(mode, 0.6)
    assert found["rolled back"] >= 0.95
    assert found["passed"] == 0


@pytest.mark.parametrize(("windows", "caught"), [(8, 0.9), (12, 0.95)])
def test_weeks_that_differ_by_themselves_hide_no_harm(soaks, windows, caught):
    """By 8 % from week to week: 12 of them say enough of that, 8 a little less; none passes."""
    found = soaks(Mode.MATCHED_WINDOWS, 0.6, windows=windows)
    assert wrong(found) >= caught
    assert found["passed"] == 0


@pytest.mark.parametrize(
    ("mode", "samples"),
    [(Mode.FIXED, 12_000), (Mode.CONCURRENT, 2_400), (Mode.MATCHED_WINDOWS, 12_000)],
)
def test_on_the_bar_itself_one_in_twenty_passes_and_few_are_rolled_back(soaks, mode, samples):
    """A ratio of 0.85, with 0.85 asked for: the promise of 95 % is kept, and not by far more."""
    found = soaks(mode, 0.85, samples=samples)
    assert 0.02 <= found["passed"] <= 0.05 + CHANCE
    assert found["rolled back"] <= 0.05


def test_a_soak_that_is_extended_and_asked_again_passes_no_more_often_on_the_bar(soaks):
    """Two chances to pass would be two risks, were the bounds not wider for it."""
    found = soaks(Mode.FIXED, 0.85, samples=6_000, extended=True)
    assert 0.02 <= found["passed"] <= 0.05 + CHANCE
    assert found["rolled back"] <= 0.05


def test_errors_that_must_not_increase_are_judged_by_the_same_rules(soaks):
    """A rate of 1 % that may be half as much again: at 1, at the bar, and at three times."""
    words = {"allowed": 1.5, "rate": 0.01}
    assert wrong(soaks(Mode.CONCURRENT, 1.0, **words)) <= 0.05
    bar = soaks(Mode.CONCURRENT, 1.5, **words)
    assert bar["passed"] <= 0.05 + CHANCE
    assert bar["rolled back"] <= 0.05
    assert soaks(Mode.CONCURRENT, 3.0, **words)["rolled back"] >= 0.95


def test_the_obvious_rule_rolls_back_nearly_every_healthy_soak(record_property):
    """What the page says of it; the reason for all of this."""
    shares = BENCH.naive(BENCH.Soak(ratio=1.0), SOAKS)
    record_property("figures", BENCH.row("the obvious rule", 1.0, 12_000, shares))
    single, cumulative = shares.values()
    assert single > 0.99
    assert cumulative > 0.25
