"""From signals of load to a share of time: proportional, with a reason, and never blind."""

import itertools
import math

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.throttle import EASE_FROM, SLOWEST, describe, pressure, rest_after
from proctor.model import Signal

loads = st.floats(0, 3, allow_nan=False)


def lag(value, limit=10.0, **extra):
    return Signal(name="replication lag", value=value, limit=limit, unit="s", **extra)


def duty(load, **extra):
    return pressure([lag(load, 1.0)], **extra).duty


def test_no_signal_means_full_speed():
    found = pressure([])
    assert (found.duty, found.reason, found.cause, found.vanished) == (1.0, "", "", ())


@given(loads, loads)
def test_more_load_never_gives_more_time(one, other):
    """Monotone: no load is better than a lower one."""
    low, high = sorted((one, other))
    assert duty(low) >= duty(high)


@given(loads)
def test_the_duty_is_a_share(load):
    assert 0.0 <= duty(load) <= 1.0


def test_full_speed_until_the_ease_and_a_stop_at_the_limit():
    assert duty(EASE_FROM) == 1.0
    assert duty(math.nextafter(1.0, 0.0)) >= SLOWEST
    assert duty(1.0) == 0.0
    assert duty(7.0) == 0.0


def test_between_ease_and_limit_it_is_proportional():
    """Equal steps of load take equal steps of time: no cliff but the limit itself."""
    steps = [duty(EASE_FROM + i * 0.03) for i in range(1, 10)]
    drops = [a - b for a, b in itertools.pairwise(steps)]
    assert drops == pytest.approx([drops[0]] * len(drops))
    assert drops[0] > 0
    assert duty(EASE_FROM + 1e-6) == pytest.approx(1.0, abs=1e-4)
    assert duty(1.0 - 1e-6) == pytest.approx(SLOWEST, abs=1e-4)


def test_the_worst_signal_decides_and_is_named_with_numbers():
    calm = Signal(name="lock waiters", value=0, limit=5)
    found = pressure([calm, lag(9.0), Signal(name="connections", value=71, limit=100)])
    assert found.reason == "replication lag is 9 of 10 s"
    assert found.cause == "replication lag"


def test_the_cause_stays_while_the_numbers_move():
    """What is news is the signal, not its third digit."""
    causes = {pressure([lag(value)]).cause for value in (7.5, 8.25, 9.9, 12.0)}
    assert causes == {"replication lag"}


def test_two_runs_share_the_time_of_one():
    assert duty(0.0, runs=2) == 0.5
    assert duty(0.0, runs=4) == 0.25
    assert pressure([], runs=3).reason == "3 runs share this database"
    assert duty(0.85, runs=2) == pytest.approx(duty(0.85) / 2)
    assert pressure([lag(8.5)], runs=2).cause == "replication lag"


def test_a_stop_is_not_shared():
    assert duty(1.0, runs=2) == 0.0


def test_a_signal_that_cannot_be_had_is_not_watched():
    """Not watched from the start is shown and goes on; it says why."""
    found = pressure([lag(None, why="no replica")])
    assert found.duty == 1.0
    assert found.vanished == ()
    assert describe(lag(None, why="no replica")) == "replication lag: not watched (no replica)"
    assert describe(lag(None)) == "replication lag: not watched (not available here)"


@pytest.mark.parametrize(
    "signals",
    [
        pytest.param([lag(None)], id="no value"),
        pytest.param([lag(math.nan)], id="not a number"),
        pytest.param([], id="not reported"),
        pytest.param([Signal(name="lock waiters", value=0, limit=5)], id="another one"),
    ],
)
def test_a_signal_that_vanishes_is_told(signals):
    """What was watched and is not any more stops the run, however it went missing."""
    assert pressure(signals, seen={"replication lag"}).vanished == ("replication lag",)


def test_a_signal_that_is_there_has_not_vanished():
    assert pressure([lag(1.0)], seen={"replication lag"}).vanished == ()


def test_a_value_that_is_not_a_number_is_no_load():
    """NaN compares false with everything: it must not read as calm, nor hide the others."""
    assert lag(math.nan).load is None
    assert pressure([lag(math.nan), Signal(name="connections", value=9, limit=9)]).duty == 0.0
    assert "not watched" in describe(lag(math.nan))


def test_a_limit_of_zero_stops_at_zero():
    """A limit is the number at which Proctor stops, also where that is none at all."""
    assert lag(0.0, 0.0).load == 1.0
    assert lag(3.0, 0.0).load == 1.0
    assert lag(-1.0, 0.0).load == 0.0


def test_a_signal_reads_in_words_and_numbers():
    assert describe(lag(1234.5, 5000)) == "replication lag is 1,234 of 5,000 s"
    assert describe(Signal(name="connections", value=3, limit=90)) == "connections is 3 of 90"


@given(busy=st.floats(0.001, 5), share=st.floats(0.1, 1.0, exclude_max=True))
def test_the_rest_makes_the_duty_hold(busy, share):
    """Busy time over busy time and rest is the duty, also for long writes."""
    assert busy / (busy + rest_after(busy, share)) == pytest.approx(share)


def test_rests_are_bounded_and_none_is_owed_at_full_speed_or_at_a_stop():
    assert rest_after(3600, 0.01) == 60.0
    assert rest_after(5, 1.0) == 0.0
    assert rest_after(5, 0.0) == 0.0
