"""A run's rate, its end and its collapse, from marks once a second and nothing else."""

import random

from datetime import UTC, datetime, timedelta

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.core.pace import MOST_MARKS, Pace

START = datetime(2026, 11, 22, 9, tzinfo=UTC)


def at(seconds):
    return START + timedelta(seconds=seconds)


def follow(pace, arrivals, *, start=0, stop, held=lambda _second: False):
    """Mark once a second what had arrived by then; the first second of a collapse, or None."""
    done, queue = 0, sorted(arrivals)
    total = pace.marks[-1].read if pace.marks else 0
    for second in range(start, stop):
        while done < len(queue) and queue[done][0] <= second:
            total += queue[done][1]
            done += 1
        pace.mark(at(second), total, held=held(second))
        if pace.collapsed() is not None:
            return second
    return None


def steady(every, rows, *, start=0.0, stop):
    """Chunks of so many rows, one every so many seconds."""
    count = int((stop - start) / every)
    return [(start + every * (i + 1), rows) for i in range(count)]


def test_nothing_is_known_before_two_marks():
    """A rate is never guessed."""
    pace = Pace()
    assert pace.rate() is None
    assert pace.eta(100) is None
    pace.mark(START, 0)
    assert pace.rate() is None
    assert pace.collapsed() is None


def test_a_run_that_has_just_begun_has_no_rate():
    """Also one that goes on after a pause: 0 rows/s beside thousands of rows would be wrong."""
    pace = Pace()
    for second in range(10):
        pace.mark(at(second), 15_000)
        assert pace.rate() is None


def test_a_run_that_has_not_moved_has_rate_zero_and_no_end():
    pace = Pace()
    follow(pace, [], stop=40)
    assert pace.rate() == 0.0
    assert pace.eta(100) is None


def test_a_mark_that_is_not_later_is_ignored():
    """A clock that stands or steps back makes no infinite rate."""
    pace = Pace()
    pace.mark(at(1), 10)
    pace.mark(at(1), 20)
    pace.mark(at(0), 30)
    assert [m.read for m in pace.marks] == [10]


def test_a_count_that_falls_is_no_negative_rate():
    pace = Pace()
    for second, read in enumerate([0, 100, 90, 90, 200]):
        pace.mark(at(second), read)
    assert pace.rate() == pytest.approx(50.0)


def test_a_resumed_run_does_not_count_what_was_read_before():
    """The first mark is where the rate begins, not a leap from zero."""
    pace = Pace()
    for second in range(5):
        pace.mark(at(second), 1_000_000 + 10 * second)
    assert pace.rate() == pytest.approx(10.0)


def test_the_rate_covers_the_last_half_minute_only():
    pace = Pace()
    follow(pace, steady(1, 1000, stop=60) + steady(1, 10, start=60, stop=120), stop=121)
    assert pace.rate() == pytest.approx(10.0)


def test_the_rate_of_slow_chunks_does_not_swing():
    """Between two chunks of 20 seconds the rate is that of the chunks, never zero."""
    pace, seen = Pace(), []
    arrivals = dict(steady(20, 100, stop=300))
    total = 0
    for second in range(300):
        total += arrivals.get(second, 0)
        pace.mark(at(second), total)
        if second > 60:
            seen.append(pace.rate())
    assert seen == pytest.approx([5.0] * len(seen))


def test_the_rate_falls_to_zero_when_nothing_comes_any_more():
    pace = Pace()
    follow(pace, steady(1, 10, stop=50), stop=100)
    assert pace.rate() == 0.0


@settings(max_examples=60)
@given(
    every=st.integers(1, 40),
    rows=st.integers(1, 10_000),
    chunks_seen=st.integers(4, 12),
    chunks_left=st.integers(0, 500),
    offset=st.integers(0, 39),
)
def test_the_range_of_the_end_holds_the_truth_for_a_steady_run(
    every, rows, chunks_seen, chunks_left, offset
):
    """Whatever the chunk takes and whenever one looks."""
    pace, offset = Pace(), offset % every
    now = chunks_seen * every + offset
    follow(pace, steady(every, rows, stop=now), stop=now + 1)
    low, high = pace.eta(chunks_left * rows)
    truth = timedelta(seconds=max(0, chunks_left * every - offset))
    assert low <= truth <= high


@settings(max_examples=40)
@given(every=st.floats(0.05, 30), rows=st.integers(1, 1000), left=st.integers(0, 100_000))
def test_the_range_of_the_end_holds_the_truth_between_the_marks(every, rows, left):
    """Chunks that fall between two marks: off by no more than a chunk and a mark."""
    pace = Pace()
    now = max(60, int(10 * every))
    follow(pace, steady(every, rows, stop=now), stop=now + 1)
    low, high = pace.eta(left * rows)
    truth, grain = left * every, every + 1.0
    assert low.total_seconds() - grain <= truth <= high.total_seconds() + grain


def test_an_uneven_run_has_a_wider_range():
    """The range admits what it does not know."""
    even, uneven = Pace(), Pace()
    follow(even, steady(1, 100, stop=60), stop=60)
    dice = random.Random(3)
    follow(uneven, [(s + 1, dice.choice([10, 190])) for s in range(60)], stop=60)
    widths = []
    for pace in (even, uneven):
        low, high = pace.eta(100_000)
        widths.append((high - low) / high)
    assert widths[1] > 2 * widths[0]


@pytest.mark.parametrize(
    ("rows_before", "every_before", "every_after"),
    [
        pytest.param(1, 3600 / 3874, 3600 / 70, id="row by row"),
        pytest.param(50, 50 * 3600 / 3874, 50 * 3600 / 70, id="fifty a call"),
        pytest.param(10, 10 * 3600 / 3874, 10 * 3600 / 70, id="ten a call"),
    ],
)
@pytest.mark.parametrize("fell_at", [600, 1800, 5400])
def test_the_collapse_of_jobs_is_found_within_five_minutes(
    rows_before, every_before, every_after, fell_at
):
    """3,874 rows an hour that become 70: found in five minutes and never before."""
    pace = Pace()
    before = steady(every_before, rows_before, stop=fell_at)
    after = steady(every_after, rows_before, start=fell_at, stop=fell_at + 600)
    found = follow(pace, before + after, stop=fell_at + 600)
    assert found is not None
    assert fell_at < found <= fell_at + 300
    now, usual = pace.collapsed()
    assert now < 0.2 * usual
    assert usual == pytest.approx(3874 / 3600, rel=0.25)


def test_a_run_that_stops_altogether_is_found():
    pace = Pace()
    found = follow(pace, steady(0.5, 500, stop=300), stop=600)
    assert found is not None
    assert 300 < found <= 360


@pytest.mark.parametrize("every", [0.1, 0.7, 1.5, 10, 37, 170])
@pytest.mark.parametrize("seed", range(2))
def test_slow_but_steady_chunks_are_no_collapse(every, seed):
    """Nothing comes for seconds or minutes, and then a chunk: that is how chunks come."""
    dice = random.Random(seed)
    moment, arrivals = 0.0, []
    while moment < 60 * every + 600:
        moment += every * dice.uniform(0.6, 1.6)
        arrivals.append((moment, dice.randint(400, 600)))
    assert follow(Pace(), arrivals, stop=int(moment)) is None


@pytest.mark.parametrize("every", [0.8, 4.0, 12.0])
@pytest.mark.parametrize("seed", range(8))
def test_chance_alone_is_no_collapse(seed, every):
    """Two lanes whose chunks take what they take, with some that take three times as long."""
    dice, stop = random.Random(seed), int(60 * every + 300)
    arrivals = []
    for _ in range(2):
        moment = 0.0
        while moment < stop:
            moment += 2 * every * (3 if dice.random() < 0.05 else dice.uniform(0.5, 1.5))
            arrivals.append((moment, 500))
    assert follow(Pace(), arrivals, stop=stop) is None


def test_a_burst_at_the_start_is_not_what_is_usual():
    """Rows that needed nothing went by at once: the slow rest is the run's own speed."""
    arrivals = steady(0.25, 10_000, stop=5) + steady(2, 20, start=5, stop=600)
    assert follow(Pace(), arrivals, stop=600) is None


def test_too_little_past_is_no_collapse():
    """A run that stops after half a minute has no usual rate to fall from."""
    assert follow(Pace(), steady(1, 100, stop=20), stop=120) is None


def test_a_slow_start_is_no_collapse():
    """Nothing before the first chunk, however long it takes."""
    assert follow(Pace(), [(900, 500)], stop=1000) is None


def test_time_in_which_the_run_was_held_is_no_collapse():
    """A blackout of an hour, and on at the speed of before."""
    arrivals = steady(1, 100, stop=300) + steady(1, 100, start=3900, stop=4200)
    pace = Pace()
    assert follow(pace, arrivals, stop=4200, held=lambda s: 300 < s <= 3900) is None
    assert pace.rate() == pytest.approx(100.0)


def test_a_collapse_after_a_hold_is_found_at_once():
    """What was usual before the blackout is still known after it."""
    arrivals = steady(1, 100, stop=300) + steady(60, 1, start=3900, stop=5000)
    found = follow(Pace(), arrivals, stop=5000, held=lambda s: 300 < s <= 3900)
    assert found is not None
    assert 3900 < found <= 3970


def test_a_gap_in_which_nobody_looked_is_no_collapse():
    """Between two sweeps nothing beats, for as long as the search for keys takes."""
    pace = Pace()
    follow(pace, steady(1, 100, stop=300), stop=300)
    pace.mark(at(500), pace.marks[-1].read)
    assert pace.collapsed() is None


def test_a_collapse_is_told_once_and_ends_with_the_recovery():
    """A rate that jumps about the threshold is one collapse, not many."""
    pace, told = Pace(), []
    rates = [100] * 300 + [5] * 120 + [30, 10] * 120 + [100] * 300 + [0] * 100
    total = 0
    for second, rows in enumerate(rates):
        had = pace.collapsed()
        total += rows
        pace.mark(at(second), total)
        if (pace.collapsed() is None) != (had is None):
            told.append((second, "fell" if had is None else "recovered"))
    assert [what for _, what in told] == ["fell", "recovered", "fell"]
    assert 300 < told[0][0] < 360
    assert 660 < told[1][0] < 720
    assert 960 < told[2][0] < 1060


def test_a_long_collapse_does_not_become_usual():
    """It stays told as long as it lasts, however long that is."""
    pace = Pace()
    follow(pace, steady(1, 100, stop=300), stop=300)
    total = pace.marks[-1].read
    for second in range(300, 300 + 3600):
        total += 1
        pace.mark(at(second), total)
    now, usual = pace.collapsed()
    assert now == pytest.approx(1.0)
    assert usual == pytest.approx(100.0)


def test_a_growing_chunk_is_no_collapse():
    """The chunk size follows the write time: ten rows a second become thousands."""
    arrivals, rows = [], 10.0
    for second in range(1, 400):
        rows = min(5000, rows * 1.2)
        arrivals.append((second, int(rows)))
    assert follow(Pace(), arrivals, stop=400) is None


def test_memory_is_bounded_and_holds_chunks_not_seconds():
    """A day of marks keeps the last chunks, and a slow run's are not crowded out by seconds."""
    pace = Pace()
    follow(pace, steady(60, 500, stop=20_000), stop=20_000)
    assert len(pace.marks) <= MOST_MARKS
    assert (
        sum(b.read > a.read for a, b in zip(pace.marks, list(pace.marks)[1:], strict=False)) > 300
    )


@given(
    st.lists(st.tuples(st.integers(-5, 50), st.integers(-100, 5000), st.booleans()), max_size=80)
)
def test_any_marks_give_sane_numbers(moves):
    """No order, stop or step back of the clock makes it raise or go below zero."""
    pace, second, read = Pace(), 0, 0
    for passed, rows, held in moves:
        second, read = second + passed, max(0, read + rows)
        pace.mark(at(second), read, held=held)
        rate, end = pace.rate(), pace.eta(1000)
        assert rate is None or rate >= 0
        assert end is None or timedelta(0) <= end[0] <= end[1]
        fallen = pace.collapsed()
        assert fallen is None or 0 <= fallen[0] < fallen[1]
