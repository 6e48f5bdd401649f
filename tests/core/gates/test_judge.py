"""One look: too little is no data, failure wins, and what is no number never passes."""

import math

import pytest

from proctor.adapters.conditions import SimpleConditions
from proctor.core.gates import look, with_earlier
from proctor.model import Baseline, Metric, Mode, Phase, PythonFigures

HOLDS = SimpleConditions().holds
GOOD, BAD, UNSURE, ERROR = Phase.SUCCESSFUL, Phase.FAILED, Phase.INCONCLUSIVE, Phase.ERROR


def metric(**words):
    return Metric(name="rate", source=PythonFigures(call=float), **words)


def judged(figures, **words):
    return look(metric(**words), figures, HOLDS)[0]


@pytest.mark.parametrize(
    ("value", "only_success", "only_failure", "both"),
    [(1, GOOD, GOOD, GOOD), (5, BAD, GOOD, UNSURE), (9, BAD, BAD, BAD)],
)
def test_conditions_are_read_as_argo_reads_them(value, only_success, only_failure, both):
    """Below 3 is success, above 7 is failure, and between them nobody knows."""
    success, failure = "result.value < 3", "result.value > 7"
    figures = {"value": value}
    assert judged(figures, success_condition=success) is only_success
    assert judged(figures, failure_condition=failure) is only_failure
    assert judged(figures, success_condition=success, failure_condition=failure) is both


def test_failure_is_asked_first_and_wins():
    words = {"success_condition": "result.value > 1", "failure_condition": "result.value > 2"}
    assert judged({"value": 3}, **words) is BAD


@pytest.mark.parametrize("samples", [{"total": 99}, {"rows": 0}, {"total": math.nan}])
def test_too_few_samples_are_no_data(samples):
    """Also where the failure condition would hold of them, and where none would."""
    for condition in ("result.value > 1", "result.value < 1"):
        words = {"failure_condition": condition, "min_samples": 100}
        phase, told = look(metric(**words), {"value": 0, **samples}, HOLDS)
        assert phase is UNSURE
        assert told.startswith("no data")


def test_enough_samples_are_asked_of_a_figure_that_is_there():
    assert judged({"value": 0}, failure_condition="result.value > 1", min_samples=2) is UNSURE
    assert judged({"value": 0}, failure_condition="result.value > 1") is GOOD
    assert judged({"total": 2, "value": 0}, failure_condition="result.value > 1") is GOOD
    assert judged({}, failure_condition="result.value > 1") is UNSURE


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
@pytest.mark.parametrize("kind", ["success_condition", "failure_condition"])
@pytest.mark.parametrize("condition", ["default(result.value, 0) < 1", "asFloat(1) < result.value"])
def test_what_is_no_number_never_passes(value, kind, condition):
    assert judged({"value": value}, **{kind: condition}) is not GOOD


def test_what_is_no_number_is_no_failure_either_unless_it_is_asked_for():
    assert judged({"value": math.nan}, success_condition="result.value < 1") is UNSURE
    assert judged({"value": math.nan}, failure_condition="isNaN(result.value)") is BAD


@pytest.mark.parametrize("condition", ["result.other > 1", "1 / result.value > 1"])
def test_a_condition_that_raises_is_an_error_and_says_why(condition):
    phase, told = look(metric(failure_condition=condition), {"value": 0}, HOLDS)
    assert phase is ERROR
    assert condition in told


def test_a_look_says_what_was_seen():
    words = {"failure_condition": "result.rate > 0.02"}
    told = look(metric(**words), {"rate": 0.0312345, "total": 1500, "more": 1}, HOLDS)
    assert told == (BAD, "rate 0.03123: result.rate > 0.02")


FIXED = Baseline(mode=Mode.FIXED, allowed=0.85, rate=0.05)
SPLIT = Baseline(mode=Mode.CONCURRENT, allowed=0.85)
WEEKS = Baseline(mode=Mode.MATCHED_WINDOWS, allowed=0.85)
NOW = {"events": 5, "total": 100}
CONTROL = {"control_events": 5, "control_total": 100}


@pytest.mark.parametrize(
    ("baseline", "figures"),
    [
        (FIXED, {"events": 101, "total": 100}),
        (FIXED, {"events": -1, "total": 100}),
        (FIXED, {"events": 0.5, "total": 100}),
        (FIXED, {"events": math.nan, "total": 100}),
        (FIXED, {"events": None, "total": 100}),
        (FIXED, {"value": 0.05}),
        (SPLIT, NOW),
        (SPLIT, {**NOW, "control_events": 6, "control_total": 5}),
        (WEEKS, {**NOW, "events_1": 7, "total_1": 6}),
        (WEEKS, {**NOW, "total_1": 6}),
    ],
)
def test_counts_that_make_no_sense_are_an_error_of_the_metric(baseline, figures):
    assert judged(figures, baseline=baseline) is ERROR


def test_counts_that_can_be_are_measured_and_judged_later():
    assert judged(NOW, baseline=FIXED) is GOOD
    assert judged({**NOW, **CONTROL}, baseline=SPLIT) is GOOD
    assert judged({"events": 0, "total": 0}, baseline=FIXED) is UNSURE
    few = {**NOW, "control_events": 0, "control_total": 9}
    assert judged(few, baseline=SPLIT, min_samples=10) is UNSURE


def test_earlier_windows_stand_in_the_same_measurement():
    found = with_earlier(NOW, [{"events": 4, "total": 90}, None, {"events": 6, "total": 80}])
    assert found == {**NOW, "events_1": 4, "total_1": 90, "events_3": 6, "total_3": 80}
    assert judged(found, baseline=WEEKS) is GOOD
