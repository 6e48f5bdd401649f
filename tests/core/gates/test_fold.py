"""Many looks fold into one verdict: the worst wins, and no data never passes."""

from datetime import UTC, datetime, timedelta

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.gates import gate, judged
from proctor.model import Measurement, Metric, Phase, PythonFigures, Ruling

GOOD, BAD, UNSURE, ERROR, MISSED = (
    Phase.SUCCESSFUL,
    Phase.FAILED,
    Phase.INCONCLUSIVE,
    Phase.ERROR,
    Phase.MISSED,
)
PASS, FAIL, INCONCLUSIVE = Ruling.PASS, Ruling.FAIL, Ruling.INCONCLUSIVE
AT = datetime(2026, 3, 1, tzinfo=UTC)


def metric(**words):
    return Metric(
        **{
            "name": "error_rate",
            "source": PythonFigures(call=float),
            "failure_condition": "result.rate > 0.02",
            **words,
        }
    )


def seen(*phases, total=1000):
    """Looks one after the other; None is one without data."""
    return [
        Measurement(
            metric="error_rate",
            slot=slot,
            at=AT + slot * timedelta(minutes=5),
            phase=phase or UNSURE,
            figures={}
            if phase in {ERROR, MISSED}
            else {"rate": 0.031, "total": total if phase else 0},
            told="the query failed" if phase is ERROR else "",
        )
        for slot, phase in enumerate(phases)
    ]


def fold(*phases, over=True, **words):
    return judged(metric(**words), seen(*phases), over=over)


def ruled(*phases, **words):
    return fold(*phases, **words).verdict.ruling


def test_good_looks_pass_when_the_stage_is_over_and_not_before():
    assert ruled(GOOD, GOOD) is PASS
    running = fold(GOOD, GOOD, over=False)
    assert (running.verdict.ruling, running.finished) == (INCONCLUSIVE, False)
    assert running.verdict.reason == (
        "error_rate: still running; 2 of 2 looks good; last rate 0.031"
    )


def test_the_first_failure_kills_where_nothing_else_is_said():
    found = fold(GOOD, BAD, over=False)
    assert (found.verdict.ruling, found.finished) == (FAIL, True)


def test_failures_are_counted_over_all_looks_and_told():
    looks = [GOOD] * 21 + [BAD] * 3
    assert fold(*looks, failure_limit=3).verdict.ruling is PASS
    found = fold(*looks, failure_limit=2)
    assert found.verdict == gate(found)
    assert found.verdict.reason == ("error_rate: 3 of 24 looks failed, 2 allowed; last rate 0.031")


def test_no_limit_is_minus_one_and_still_nothing_good_never_passes():
    assert ruled(BAD, BAD, GOOD, failure_limit=-1) is PASS
    assert ruled(BAD, BAD, failure_limit=-1) is INCONCLUSIVE
    assert ruled(BAD, BAD, failure_limit=5) is INCONCLUSIVE


@pytest.mark.parametrize(
    "looks", [(), (MISSED,) * 9, (None,) * 9, (ERROR,) * 3, (MISSED, None, ERROR, MISSED)]
)
def test_no_data_never_passes(looks):
    found = fold(*looks)
    assert (found.verdict.ruling, found.finished, found.harm) == (INCONCLUSIVE, True, False)
    assert "no data never passes" in found.verdict.reason


def test_looks_without_data_are_no_doubt_and_use_up_no_limit():
    """Traffic may begin late: the looks before it say nothing, and are told."""
    found = fold(None, None, None, GOOD)
    assert found.verdict.ruling is PASS
    assert "3 without data" in found.verdict.reason


def test_doubtful_looks_have_a_limit_of_their_own():
    assert ruled(GOOD, UNSURE) is INCONCLUSIVE
    assert ruled(GOOD, UNSURE, inconclusive_limit=1) is PASS


def test_errors_have_to_come_in_a_row():
    four = [ERROR] * 4
    assert ruled(*four, GOOD, *four) is PASS
    found = fold(GOOD, *four, ERROR, GOOD)
    assert found.verdict.ruling is INCONCLUSIVE
    assert "5 looks in a row could not be made, 4 allowed (the query failed)" in (
        found.verdict.reason
    )


@pytest.mark.parametrize(
    ("looks", "ruling", "word"),
    [
        ([BAD, *[ERROR] * 5, UNSURE], FAIL, "failed"),
        ([UNSURE, *[ERROR] * 5, GOOD], INCONCLUSIVE, "could not be made"),
        ([UNSURE, GOOD], INCONCLUSIVE, "were inconclusive"),
    ],
)
def test_the_worst_wins_and_nothing_later_hides_it(looks, ruling, word):
    """Failed, then error, then inconclusive, then running, then successful."""
    for order in (looks, looks[::-1]):
        found = fold(*order)
        assert found.verdict.ruling is ruling
        assert word in found.verdict.reason


def test_a_count_of_looks_finishes_early_and_errors_do_not_count():
    assert not fold(GOOD, ERROR, MISSED, None, GOOD, over=False, count=3).finished
    found = fold(GOOD, ERROR, MISSED, None, GOOD, GOOD, over=False, count=3)
    assert (found.verdict.ruling, found.finished) == (PASS, True)


def test_so_many_successes_in_a_row_pass_early():
    words = {"consecutive_success_limit": 3, "failure_limit": -1, "over": False}
    assert fold(GOOD, GOOD, BAD, GOOD, GOOD, **words).verdict.ruling is INCONCLUSIVE
    found = fold(BAD, GOOD, GOOD, GOOD, **words)
    assert found.verdict.ruling is PASS
    assert "held 3 times in a row, 3 asked for" in found.verdict.reason


def test_a_row_goes_over_what_was_missed():
    words = {"consecutive_success_limit": 2, "failure_limit": -1}
    assert ruled(BAD, GOOD, MISSED, GOOD, **words) is PASS
    assert ruled(GOOD, ERROR, ERROR, MISSED, ERROR, consecutive_error_limit=2) is INCONCLUSIVE


def test_what_held_and_holds_no_longer_does_not_pass():
    """So a gate of several passes only when all of them hold at once."""
    words = {"consecutive_success_limit": 1, "failure_limit": -1, "over": False}
    coverage, quality = fold(GOOD, GOOD, **words), fold(GOOD, BAD, **words)
    assert not coverage.finished
    assert gate(coverage, quality).ruling is INCONCLUSIVE
    assert gate(coverage, fold(BAD, GOOD, **words)).ruling is PASS


@pytest.mark.parametrize("between", [BAD, UNSURE, ERROR, None])
def test_a_row_is_broken_by_whatever_is_not_good(between):
    words = {"consecutive_success_limit": 2, "failure_limit": -1, "inconclusive_limit": -1}
    assert ruled(GOOD, between, GOOD, **words) is INCONCLUSIVE


def test_harm_is_the_failure_of_a_critical_metric():
    assert fold(BAD, critical=True).harm
    assert not fold(BAD).harm
    assert not fold(ERROR, UNSURE, critical=True).harm
    assert not fold(BAD, critical=True, dry_run=True).harm


def test_a_gate_is_as_bad_as_its_worst_metric_and_says_which():
    good, bad = fold(GOOD), fold(BAD)
    unsure = fold(None)
    assert gate(good, good).ruling is PASS
    assert gate(good, unsure) == unsure.verdict
    assert gate(unsure, good, bad).ruling is FAIL
    assert gate(unsure, good, bad).reason.startswith("error_rate: 1 of 1 look failed, 0 allowed")


def test_a_dry_run_is_told_and_decides_nothing():
    aside = fold(BAD, dry_run=True)
    found = gate(fold(GOOD), aside)
    assert found.ruling is PASS
    assert found.reason.endswith("1 of 1 look failed, 0 allowed; last rate 0.031 (dry run)")
    assert gate(aside).ruling is INCONCLUSIVE
    assert gate().ruling is INCONCLUSIVE


LOOKS = st.lists(st.sampled_from([GOOD, BAD, UNSURE, ERROR, MISSED, None]), max_size=30)
WORDS = st.fixed_dictionaries(
    {
        "failure_limit": st.integers(-1, 3),
        "inconclusive_limit": st.integers(-1, 3),
        "consecutive_error_limit": st.integers(-1, 3),
        "consecutive_success_limit": st.integers(0, 3),
        "count": st.none() | st.integers(1, 8),
        "over": st.booleans(),
    }
)
# How far from a pass: what was added may only lead away from it, or leave it.
WORSE = {PASS: 0, INCONCLUSIVE: 1, FAIL: 2}


@given(LOOKS, WORDS)
def test_a_pass_has_seen_something_good_with_enough_samples(looks, words):
    if ruled(*looks, **words) is PASS:
        assert GOOD in looks
    poor = judged(metric(min_samples=50), seen(*looks, total=49), over=True)
    assert poor.verdict.ruling is not PASS


@given(LOOKS, st.lists(st.sampled_from([BAD]), min_size=1, max_size=4), WORDS)
def test_a_failing_look_never_turns_a_fail_into_anything_better(looks, more, words):
    before, after = ruled(*looks, **words), ruled(*looks, *more, **words)
    if before is FAIL:
        assert after is FAIL
    if words["count"] is None:
        assert WORSE[after] >= WORSE[before]


@given(LOOKS, st.sampled_from([GOOD, BAD, UNSURE, ERROR, MISSED, None]), WORDS)
def test_a_fail_is_for_good(looks, later, words):
    if ruled(*looks, **words) is FAIL:
        assert ruled(*looks, later, **words) is FAIL


@given(LOOKS, st.data(), WORDS)
def test_missed_slots_change_no_verdict(looks, data, words):
    """They are recorded, and count neither for nor against; a row goes over them."""
    places = data.draw(st.lists(st.integers(0, len(looks)), max_size=5))
    more = list(looks)
    for place in sorted(places, reverse=True):
        more.insert(place, MISSED)
    before, after = fold(*looks, **words), fold(*more, **words)
    assert after.verdict.ruling is before.verdict.ruling
    assert (after.finished, after.looks) == (before.finished, before.looks)
    assert after.missed == before.missed + len(places)


@given(LOOKS, WORDS, st.randoms())
def test_looks_are_read_in_the_order_of_their_slots(looks, words, chance):
    """However a log gives them."""
    mixed = seen(*looks)
    chance.shuffle(mixed)
    over = words.pop("over")
    assert judged(metric(**words), mixed, over=over) == fold(*looks, over=over, **words)
