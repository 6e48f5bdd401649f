"""Counts against a baseline: three answers, by numbers that others have computed."""

import math

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.adapters.statistics import ExactStatistics
from proctor.core.gates import (
    broken_split,
    compared,
    final,
    harmed,
    judged,
    ratio_bounds,
    tightened,
)
from proctor.errors import ProctorError
from proctor.model import (
    Baseline,
    Direction,
    Measurement,
    Metric,
    Mode,
    Phase,
    PythonFigures,
    Ruling,
)

EXACT = ExactStatistics()
PASS, FAIL, INCONCLUSIVE = Ruling.PASS, Ruling.FAIL, Ruling.INCONCLUSIVE


def metric(mode=Mode.CONCURRENT, allowed=0.85, **words):
    baseline = {
        "direction": Direction.DECREASE if allowed < 1 else Direction.INCREASE,
        "rate": 0.05 if mode is Mode.FIXED else None,
        **words,
    }
    return Metric(
        name="conversion",
        source=PythonFigures(call=float),
        baseline=Baseline(mode=mode, allowed=allowed, **baseline),
        critical=True,
    )


def split(events, total, control_events, control_total):
    return {
        "events": events,
        "total": total,
        "control_events": control_events,
        "control_total": control_total,
    }


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        # statsmodels 0.15.0, confint_proportions_2indep(compare="ratio", method="score",
        # alpha=0.1), where it has an answer
        ((85, 2000, 400, 8000), 0.70129238, 1.02915756),
        ((0, 2000, 400, 8000), 0.0, 0.02702182),
        ((100, 100, 50, 100), 1.72013280, 2.38863277),
        ((1, 10, 1, 10), 0.14254451, 7.01535242),
        ((50_000, 1_000_000, 200_000, 4_000_000), 0.99201503, 1.00804719),
        # where it divides by zero or gives bounds above 1 for two rates of 1
        ((5, 2000, 0, 8000), 7.39311404, math.inf),
        ((0, 100, 0, 100), 0.0, math.inf),
        ((0, 0, 5, 100), 0.0, math.inf),
        ((10, 10, 10, 10), 0.77833486, 1.28479405),
    ],
)
def test_ratios_have_the_score_interval(counts, low, high):
    assert ratio_bounds(*counts, 0.95) == pytest.approx((low, high), rel=1e-6)


@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_the_interval_turned_around_is_that_of_the_other_ratio(a, b, c, d):
    """And it holds the ratio that was seen."""
    low, high = ratio_bounds(a, a + b, c, c + d, 0.95)
    other = ratio_bounds(c, c + d, a, a + b, 0.95)
    assert low == pytest.approx(1 / other[1] if other[1] else math.inf, rel=1e-4, abs=1e-12)
    if a and c:
        seen = a / (a + b) / (c / (c + d))
        assert low * (1 - 1e-9) <= seen <= high * (1 + 1e-9)


def test_counts_that_cannot_be_are_refused():
    with pytest.raises(ProctorError):
        ratio_bounds(6, 5, 1, 10, 0.95)


@pytest.mark.parametrize(
    ("counts", "ruling"),
    [
        ((600, 12_000, 2_400, 48_000), PASS),
        ((360, 12_000, 2_400, 48_000), FAIL),
        ((85, 2_000, 400, 8_000), INCONCLUSIVE),
        ((6, 100, 5, 100), INCONCLUSIVE),
        ((0, 100, 0, 100), INCONCLUSIVE),
        ((0, 12_000, 600, 12_000), FAIL),
        ((500, 500, 2_000, 2_000), PASS),
        ((0, 12_000, 3, 48_000), INCONCLUSIVE),
    ],
)
def test_the_end_has_three_answers(counts, ruling):
    assert final(metric(), split(*counts), EXACT).ruling is ruling


def test_more_of_what_must_not_increase_fails():
    """Errors of 1 %, and half as many again at most."""
    errors = metric(allowed=1.5)
    assert final(errors, split(120, 12_000, 480, 48_000), EXACT).ruling is PASS
    assert final(errors, split(300, 12_000, 480, 48_000), EXACT).ruling is FAIL
    assert final(errors, split(2, 100, 480, 48_000), EXACT).ruling is INCONCLUSIVE


def test_the_end_is_told_in_words_with_numbers():
    assert final(metric(), split(85, 2_000, 400, 8_000), EXACT).reason == (
        "85 of 2,000 (4.25 %) against 400 of 8,000 (5 %) without the new data: between 70.1 % and "
        "103 % of the baseline (each bound 95 % sure), at least 85 % asked for: too little to tell"
    )


def test_a_soak_that_may_be_asked_twice_has_to_prove_more():
    """97.5 % sure instead of 95 %, so that two chances to pass have the risk of one."""
    counts = look(split(568, 12_000, 2_400, 48_000))
    once = judged(metric(), [counts], over=True, proofs=EXACT)
    assert once.verdict.ruling is PASS
    twice = judged(metric(), [counts], over=True, proofs=EXACT, endings=2)
    low = compared(tightened(metric(), 2), counts.figures, EXACT).low
    assert low < compared(metric(), counts.figures, EXACT).low
    assert (twice.verdict.ruling is PASS) == (low >= 0.85)
    assert "each bound 97.5 % sure" in twice.verdict.reason


def test_a_fixed_rate_has_exact_bounds():
    """Of 0 in 299 and of 5 in 100, by Clopper and Pearson."""
    found = compared(metric(Mode.FIXED, rate=0.01), {"events": 0, "total": 299}, EXACT)
    assert (found.low, found.high) == (0.0, pytest.approx(0.997, abs=0.001))
    found = compared(metric(Mode.FIXED, rate=0.05), {"events": 5, "total": 100}, EXACT)
    assert (found.low, found.high) == pytest.approx((0.01991 / 0.05, 0.10225 / 0.05), rel=1e-3)


def weeks(now, *before):
    figures = {"events": now[0], "total": now[1]}
    for k, (events, total) in enumerate(before, 1):
        figures |= {f"events_{k}": events, f"total_{k}": total}
    return figures


STEADY = [(600, 12_000), (612, 12_000), (590, 12_000), (605, 12_000), (598, 12_000)]


def test_earlier_windows_say_how_much_is_ordinary():
    """Steady weeks prove what weeks that differ by themselves leave open."""
    weekly = metric(Mode.MATCHED_WINDOWS)
    assert final(weekly, weeks((600, 12_000), *STEADY), EXACT).ruling is PASS
    wild = [(400, 12_000), (800, 12_000), (500, 12_000), (700, 12_000), (600, 12_000)]
    assert final(weekly, weeks((600, 12_000), *wild), EXACT).ruling is INCONCLUSIVE
    assert final(weekly, weeks((360, 12_000), *STEADY), EXACT).ruling is FAIL


def test_the_interval_of_windows_is_students():
    """Computed by hand: d - t * s * sqrt(1 + 1/4), with t = 2.3534 at 95 % and 3 degrees."""
    rates = [0.05, 0.06, 0.04, 0.055]
    before = [(round(rate * 1e6), 1_000_000) for rate in rates]
    logs = [math.log(rate) for rate in rates]
    mean = sum(logs) / 4
    spread = math.sqrt(sum((one - mean) ** 2 for one in logs) / 3 * 1.25)
    found = compared(metric(Mode.MATCHED_WINDOWS), weeks((50_000, 1_000_000), *before), EXACT)
    want = [math.exp(math.log(0.05) - mean + sign * 2.3534 * spread) for sign in (-1, 1)]
    assert (found.low, found.high) == pytest.approx(want, rel=1e-4)


def test_a_small_window_is_not_judged_by_the_steadiness_of_large_ones():
    """Six of 120: by its own counts it may be anything."""
    assert final(metric(Mode.MATCHED_WINDOWS), weeks((6, 120), *STEADY), EXACT).ruling is (
        INCONCLUSIVE
    )


@pytest.mark.parametrize(
    ("mode", "figures"),
    [
        (Mode.CONCURRENT, split(1, 1, 0, 3)),
        (Mode.CONCURRENT, split(29, 29, 1, 5000)),
        (Mode.CONCURRENT, split(9, 1000, 0, 10_000)),
        (Mode.FIXED, {"events": 1, "total": 1}),
        (Mode.MATCHED_WINDOWS, weeks((1, 1), *[(1, 1)] * 8)),
        (Mode.MATCHED_WINDOWS, weeks((30, 30), *[(7, 10)] * 4)),
    ],
)
def test_a_handful_proves_nothing_whatever_a_formula_says(mode, figures):
    if mode is not Mode.MATCHED_WINDOWS or figures["total"] == 1:
        found = final(metric(mode), figures, EXACT)
        assert found.ruling is INCONCLUSIVE
        assert "too little to tell" in found.reason
    else:  # thirty of thirty where seven of ten were usual
        assert compared(metric(mode), figures, EXACT).low == pytest.approx(
            0.05 ** (1 / 30) / (7.5 / 10.5)
        )


def test_three_earlier_windows_are_too_few():
    found = final(metric(Mode.MATCHED_WINDOWS), weeks((600, 12_000), *STEADY[:3]), EXACT)
    assert found.ruling is INCONCLUSIVE
    assert "3 earlier windows have data, and at least 4 are needed" in found.reason


@pytest.mark.parametrize(
    "figures",
    [
        split(300, 12_000, 2_400, 48_000),
        {"events": 300, "total": 12_000},
        weeks((300, 12_000), *STEADY),
    ],
)
def test_harm_is_seen_at_any_look(figures):
    mode = (
        Mode.CONCURRENT
        if "control_total" in figures
        else Mode.MATCHED_WINDOWS
        if "total_1" in figures
        else Mode.FIXED
    )
    told = harmed(metric(mode), figures, EXACT)
    assert "proved to be below 85 % of the baseline" in told
    fine = {**figures, "events": 600}
    assert harmed(metric(mode), fine, EXACT) == ""


@pytest.mark.parametrize(
    ("mode", "bar"),
    [
        (Mode.CONCURRENT, split(85_000, 2_000_000, 400_000, 8_000_000)),
        (Mode.FIXED, {"events": 85_000, "total": 2_000_000}),
        (Mode.MATCHED_WINDOWS, weeks((510, 12_000), *STEADY)),
    ],
)
def test_on_the_bar_itself_nothing_is_proved_however_much_was_counted(mode, bar):
    assert harmed(metric(mode), bar, EXACT) == ""
    assert final(metric(mode), bar, EXACT).ruling is INCONCLUSIVE


def test_two_things_that_may_mislead_share_the_risk():
    """Earlier windows may have been out of the ordinary, and so may this one."""
    told = harmed(metric(Mode.MATCHED_WINDOWS), weeks((300, 12_000), *STEADY), EXACT)
    assert "40 to 1 needed" in told
    assert "20 to 1 needed" in harmed(metric(), split(300, 12_000, 2_400, 48_000), EXACT)


def test_nothing_yet_is_no_harm():
    assert harmed(metric(), split(0, 0, 0, 0), EXACT) == ""
    assert harmed(metric(Mode.FIXED), {"events": 0, "total": 10}, EXACT) == ""
    assert harmed(metric(Mode.MATCHED_WINDOWS), weeks((0, 10)), EXACT) == ""


def test_cohorts_that_are_not_what_the_flag_says_are_told():
    """SRM: 25 % were let in, and 22 % of 10,000 are counted; 24.5 % may be chance."""
    assert "cannot be compared" in broken_split(metric(), split(1, 2_200, 1, 7_800), 0.25)
    assert broken_split(metric(), split(1, 2_450, 1, 7_550), 0.25) == ""
    assert broken_split(metric(), split(0, 0, 0, 0), 0.25) == ""
    assert "nobody to compare with" in broken_split(metric(), split(1, 10, 0, 0), 1.0)
    assert broken_split(metric(Mode.FIXED), {"events": 1, "total": 2}, 0.25) == ""


def look(figures, slot=0, phase=Phase.SUCCESSFUL):
    return Measurement(
        metric="conversion",
        slot=slot,
        at=datetime(2026, 3, 1, tzinfo=UTC),
        phase=phase,
        figures=figures,
    )


def test_a_broken_split_never_passes_and_hides_no_harm():
    good = [look(split(600, 12_000, 2_400, 48_000))]
    assert judged(metric(), good, over=True, proofs=EXACT, share=0.2).verdict.ruling is PASS
    broken = judged(metric(), good, over=True, proofs=EXACT, share=0.25)
    assert broken.verdict.ruling is INCONCLUSIVE
    assert "cannot be compared" in broken.verdict.reason
    bad = [look(split(300, 12_000, 2_400, 48_000))]
    assert judged(metric(), bad, over=True, proofs=EXACT, share=0.25).harm


def test_a_baseline_is_judged_by_the_latest_counts_alone():
    """They are cumulative; an error after them takes nothing back."""
    looks = [
        look(split(1, 40, 20, 160)),
        look(split(600, 12_000, 2_400, 48_000), 1),
        look({}, 2, Phase.ERROR),
    ]
    running = judged(metric(), looks, over=False, proofs=EXACT)
    assert (running.verdict.ruling, running.finished) == (INCONCLUSIVE, False)
    assert judged(metric(), looks, over=True, proofs=EXACT).verdict.ruling is PASS


def test_too_little_traffic_is_inconclusive_and_not_green():
    found = judged(metric(), [look(split(6, 100, 5, 100))], over=True, proofs=EXACT)
    assert found.verdict.ruling is INCONCLUSIVE
    assert "too little to tell" in found.verdict.reason
    assert judged(metric(), [], over=True, proofs=EXACT).verdict.ruling is INCONCLUSIVE
    none = [look(split(0, 0, 0, 0), phase=Phase.INCONCLUSIVE)]
    assert judged(metric(), none, over=True, proofs=EXACT).verdict.ruling is INCONCLUSIVE


def test_without_anything_to_compute_with_nothing_passes():
    good = [look(split(600, 12_000, 2_400, 48_000))]
    assert judged(metric(), good, over=True).verdict.ruling is INCONCLUSIVE


def test_a_row_of_good_looks_does_not_stand_in_for_the_proof():
    """With a condition beside its baseline it has to hold, and to be proved at the end."""
    asked = replace(metric(), success_condition="result.total > 0", consecutive_success_limit=1)
    little, enough = split(6, 100, 5, 100), split(600, 12_000, 2_400, 48_000)
    running = judged(asked, [look(enough)], over=False, proofs=EXACT)
    assert running.verdict.ruling is INCONCLUSIVE
    assert judged(asked, [look(little)], over=True, proofs=EXACT).verdict.ruling is INCONCLUSIVE
    assert judged(asked, [look(enough)], over=True, proofs=EXACT).verdict.ruling is PASS
    worse = [look(enough), look(enough, 1, Phase.FAILED)]
    assert judged(asked, worse, over=True, proofs=EXACT).verdict.ruling is FAIL


def test_harm_steps_back_before_the_stage_is_over():
    found = judged(metric(), [look(split(300, 12_000, 2_400, 48_000))], over=False, proofs=EXACT)
    assert (found.verdict.ruling, found.finished, found.harm) == (FAIL, True, True)


COUNTS = st.tuples(
    st.integers(0, 400), st.integers(0, 8000), st.integers(0, 400), st.integers(1, 8000)
)


@given(COUNTS, st.sampled_from([0.85, 1.5]))
def test_a_pass_has_bounds_on_the_right_side_and_harm_never_passes(counts, allowed):
    figures = split(counts[0], counts[0] + counts[1], counts[2], counts[2] + counts[3])
    asked = metric(allowed=allowed)
    verdict, found = final(asked, figures, EXACT), compared(asked, figures, EXACT)
    if verdict.ruling is PASS:
        assert found.low >= 0.85 if allowed < 1 else found.high <= 1.5
        assert min(figures["total"], figures["control_total"]) >= 30
        assert figures["events"] + figures["control_events"] >= 10
        assert not harmed(asked, figures, EXACT)
