"""The grid of looks: fixed, whoever looks and whenever; what was missed is told, never lost."""

from datetime import UTC, datetime, timedelta

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.gates import at, due, looks, windows
from proctor.model import Baseline, Metric, Mode, PythonFigures, SqlCounts

BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ENDS = BEGUN + 60 * MINUTE


def metric(**words):
    return Metric(
        **{
            "name": "rate",
            "source": PythonFigures(call=float),
            "interval": 15 * MINUTE,
            "initial_delay": 10 * MINUTE,
            **words,
        }
    )


COUNTED = SqlCounts(sql="SELECT 1 AS value WHERE now() BETWEEN :since AND :until")


def ask(minutes, *, last=None, seen=None, **words):
    return due(
        metric(**words), begun=BEGUN, ends=ENDS, now=BEGUN + minutes * MINUTE, last=last, seen=seen
    )


def test_nothing_is_due_before_the_initial_delay():
    found = ask(9)
    assert (found.slot, list(found.missed), found.backwards) == (None, [], False)
    assert found.next_at == BEGUN + 10 * MINUTE


@pytest.mark.parametrize(("minutes", "slot"), [(10, 0), (24, 0), (25, 1), (55, 3)])
def test_the_slot_that_came_last_is_measured(minutes, slot):
    found = ask(minutes, last=slot - 1 if slot else None)
    assert (found.slot, list(found.missed)) == (slot, [])


def test_a_slot_is_measured_once():
    assert ask(26, last=1).slot is None
    assert ask(26, last=1).next_at == BEGUN + 40 * MINUTE


def test_slots_that_nobody_was_there_for_are_missed():
    """A machine that slept from the first look to the fourth missed two."""
    found = ask(57, last=0)
    assert (list(found.missed), found.slot, found.next_at) == ([1, 2], 3, None)


def test_a_stage_has_the_slots_that_lie_in_it():
    """At 10, 25, 40 and 55 minutes; and one on its very last moment."""
    assert looks(metric(), BEGUN, ENDS) == 4
    assert looks(metric(), BEGUN, BEGUN + 55 * MINUTE) == 4
    assert looks(metric(initial_delay=61 * MINUTE), BEGUN, ENDS) == 0
    assert looks(metric(initial_delay=timedelta(0), interval=15 * MINUTE), BEGUN, ENDS) == 5


def test_the_last_slot_is_missed_when_its_time_is_over():
    found = ask(71, last=1)
    assert (list(found.missed), found.slot, found.next_at) == ([2, 3], None, None)


def test_the_last_slot_can_be_counted_afterwards_where_the_source_is_asked_about_a_time():
    found = ask(600, last=1, source=COUNTED)
    assert (list(found.missed), found.slot, found.next_at) == ([2], 3, None)


def test_a_clock_that_went_backwards_is_told():
    assert ask(20, last=1).backwards
    assert ask(12, last=0, seen=BEGUN + 13 * MINUTE).backwards
    assert ask(-1).backwards
    assert not ask(13, last=0, seen=BEGUN + 13 * MINUTE + timedelta(milliseconds=900)).backwards


@given(st.lists(st.integers(0, 4000), min_size=1, max_size=30), st.booleans())
def test_every_slot_ends_measured_or_missed_and_none_twice(minutes, counted):
    """Whenever somebody comes, and however long nobody does."""
    last, seen = None, []
    words = {"source": COUNTED} if counted else {}
    for minute in [*sorted(minutes), 4001]:
        found = ask(minute / 40, last=last, **words)
        seen += [*found.missed, *([] if found.slot is None else [found.slot])]
        last = seen[-1] if seen else None
        assert found.next_at is None or found.next_at > BEGUN + minute / 40 * MINUTE
    assert seen == [0, 1, 2, 3]


def test_a_condition_judges_what_came_since_the_slot_before():
    assert windows(metric(), BEGUN, 1) == ((BEGUN + 10 * MINUTE, BEGUN + 25 * MINUTE),)


def test_a_baseline_compares_all_since_the_begin_and_the_same_hours_of_earlier_weeks():
    weekly = Baseline(mode=Mode.MATCHED_WINDOWS, allowed=0.85, windows=4)
    now, *before = windows(metric(baseline=weekly), BEGUN, 3)
    assert now == (BEGUN, at(metric(), BEGUN, 3))
    assert [now[0] - since for since, _ in before] == [timedelta(weeks=k) for k in (1, 2, 3, 4)]
    assert {until - since for since, until in before} == {now[1] - now[0]}
    here = Baseline(mode=Mode.CONCURRENT, allowed=0.85)
    assert windows(metric(baseline=here), BEGUN, 3) == (now,)
