"""What a provider may be asked: no schedule of calls ever passes a limit, and none is wasted."""

import itertools
import json

from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.core.allowance import admit, hinted, limited, settled, spending, succeeded
from proctor.core.allowed import State, Taken
from proctor.core.resets import next_reset
from proctor.model import Hints, Hold, Limits, Spent, Wait

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
MANY = 10**6


def at(seconds):
    return START + timedelta(seconds=seconds)


def usd(text):
    return Decimal(text)


class Caller:
    """Somebody who asks and settles, with a clock that the test moves."""

    def __init__(self, limits, *, hold_for=timedelta(minutes=10)):
        self.limits, self.hold_for = limits, hold_for
        self.state, self.now = State(), 0.0
        self.granted = []

    def ask(self, *, tokens=0, cost="0"):
        hold = Hold(tokens=tokens, usd=usd(cost))
        self.state, word = admit(
            self.state, self.limits, hold, at(self.now), hold_for=self.hold_for
        )
        if isinstance(word, Taken):
            self.granted.append(self.now)
        return word

    def settle(self, taken, *, tokens=0, cost="0"):
        self.state = settled(
            self.state, self.limits, taken, tokens=tokens, cost=usd(cost), now=at(self.now)
        )

    def limit(self, taken, **hints):
        self.state = limited(self.state, self.limits, taken, Hints(**hints), at(self.now))

    def succeed(self, taken):
        self.state = succeeded(self.state, self.limits, taken, at(self.now))

    def once(self, **hold):
        """A call that is let through and over at once."""
        taken = self.ask(**hold)
        assert isinstance(taken, Taken), taken
        self.settle(taken)
        return taken


def most_in_a_minute(events):
    """The largest sum of what happened in any 60 s, both ends included."""
    window, total, most = deque(), 0, 0
    for when, n in events:
        window.append((when, n))
        total += n
        while when - window[0][0] > 60:
            total -= window.popleft()[1]
        most = max(most, total)
    return most


# Rates

STEPS = st.lists(
    st.tuples(st.floats(0, 40), st.integers(1, 30), st.integers(0, 900), st.floats(0, 1)),
    max_size=60,
)


@given(STEPS, st.integers(1, 40), st.integers(500, 3000))
@settings(max_examples=150)
def test_no_schedule_passes_a_minutes_limit(steps, rpm, tpm):
    """Bursts, pauses, large calls and small: requests and tokens of any 60 s are within."""
    caller = Caller(Limits(rpm=rpm, tpm=tpm, concurrency=MANY))
    calls = []
    for pause, count, tokens, used in steps:
        caller.now += pause
        for _ in range(count):
            taken = caller.ask(tokens=tokens)
            if isinstance(taken, Taken):
                calls.append((caller.now, round(tokens * used)))
                caller.settle(taken, tokens=round(tokens * used))
    assert most_in_a_minute((when, 1) for when, _ in calls) <= rpm
    assert most_in_a_minute(calls) <= tpm


@given(st.lists(st.tuples(st.floats(-90, 90), st.integers(1, 20)), max_size=40), st.integers(1, 30))
def test_a_clock_that_is_set_back_lets_nothing_through_twice(steps, rpm):
    """As if no time had passed: over the time that really did, the limit holds."""
    caller = Caller(Limits(rpm=rpm, concurrency=MANY))
    real, calls = 0.0, []
    for step, count in steps:
        caller.now += step
        real += max(0.0, step)
        calls += [(real, 1) for _ in range(count) if isinstance(caller.ask(), Taken)]
    assert most_in_a_minute(calls) <= rpm


def test_a_clock_that_is_set_back_stops_nobody_until_it_has_caught_up():
    """An hour that was wrong must not cost an hour."""
    caller = Caller(Limits(rpm=3))
    caller.now = 7200
    caller.once()
    caller.now = 0
    word = caller.ask()
    assert isinstance(word, Wait)
    assert word.seconds < 62
    caller.now += 62
    assert isinstance(caller.ask(), Taken)


@pytest.mark.parametrize(
    ("rpm", "late"),
    [(3, 0.0), (3, 0.2), (10, 0.0), (60, 0.2), (500, 0.0), (10_000, 0.0), (100_000, 0.2)],
)
def test_asking_as_told_uses_nearly_all_of_the_rate(rpm, late):
    """At least 97.5 of 100, also by somebody who always wakes a little late."""
    caller = Caller(Limits(rpm=rpm, concurrency=MANY), hold_for=timedelta(seconds=1))
    span = 124 if rpm > 1000 else 620
    while caller.now < span:
        word = caller.ask()
        if isinstance(word, Wait):
            caller.now += word.seconds + late
    made = sum(when < span for when in caller.granted)
    assert made >= 0.975 * rpm * span / 60
    assert most_in_a_minute((when, 1) for when in caller.granted) <= rpm


@given(st.floats(0, 0.999), st.integers(2, 300))
def test_calls_that_arrive_up_to_a_second_later_than_others_are_within_the_limit(shift, rpm):
    """The first of a minute as late as can be, all others at once."""
    caller = Caller(Limits(rpm=rpm, concurrency=MANY))
    caller.now = shift
    while caller.now < 130:
        word = caller.ask()
        if isinstance(word, Wait):
            caller.now += word.seconds
    granted = caller.granted
    assert all(b - a >= 61 - 1e-6 for a, b in zip(granted, granted[rpm:], strict=False))


@pytest.mark.parametrize(("tpm", "each"), [(1000, 10), (30_000, 700), (2_000_000, 1500)])
def test_asking_as_told_uses_nearly_all_of_the_tokens(tpm, each):
    caller = Caller(Limits(tpm=tpm, concurrency=MANY), hold_for=timedelta(seconds=1))
    while caller.now < 310:
        word = caller.ask(tokens=each)
        if isinstance(word, Wait):
            caller.now += word.seconds
    assert len(caller.granted) * each >= 0.95 * tpm * 310 / 60


@given(st.integers(3, 2000), st.floats(0, 200))
def test_a_minutes_allowance_is_not_sent_in_one_burst(rpm, pause):
    """However long nobody asked: a few seconds' worth at once, not a minute's."""
    caller = Caller(Limits(rpm=rpm, concurrency=MANY))
    caller.once()
    caller.now += pause
    burst = sum(isinstance(caller.ask(), Taken) for _ in range(rpm))
    assert burst <= 1 + rpm / 20


def test_a_call_larger_than_a_burst_is_let_through_and_paid_off():
    """Not waited for for ever, and the next one waits for the rate to catch up."""
    caller = Caller(Limits(tpm=6000))
    caller.once(tokens=0)
    assert isinstance(caller.ask(tokens=3000), Taken)
    word = caller.ask(tokens=100)
    assert isinstance(word, Wait)
    assert 25 < word.seconds < 32
    assert word.reason == "tpm is 6,000"


def test_a_call_larger_than_the_limit_is_refused_and_not_waited_for():
    word = Caller(Limits(tpm=1000)).ask(tokens=1001)
    assert isinstance(word, Spent)
    assert word.until is None
    assert "1,001 tokens, and tpm is 1,000" in word.reason


def test_tokens_that_were_not_used_are_free_for_others():
    """The most is held before the call, what it took is what counts after it."""
    caller = Caller(Limits(tpm=1000))
    taken = caller.ask(tokens=1000)
    assert isinstance(caller.ask(tokens=500), Wait)
    caller.settle(taken, tokens=10)
    caller.now += 20
    assert isinstance(caller.ask(tokens=900), Taken)


def test_what_a_provider_says_is_left_is_believed():
    """Somebody else uses the same key."""
    caller = Caller(Limits(rpm=600))
    caller.once()
    caller.state = hinted(caller.state, caller.limits, Hints(requests_left=0), at(0))
    word = caller.ask()
    assert isinstance(word, Wait)
    assert word.seconds < 1


def test_limits_of_nothing_let_nothing_through():
    for limits in (Limits(rpm=0), Limits(tpm=0), Limits(concurrency=0)):
        assert isinstance(Caller(limits).ask(), Spent)


# Days


@given(st.lists(st.tuples(st.floats(0, 20_000), st.integers(1, 5)), max_size=60), st.integers(1, 6))
def test_no_schedule_passes_a_days_quota(steps, daily):
    """Between any reset and the next, through the night on which the clock changes."""
    text = "00:00 America/Los_Angeles"  # 2026-03-08 has 23 hours there
    caller = Caller(Limits(daily=daily, resets_at=text, concurrency=MANY))
    for pause, count in steps:
        caller.now += pause
        for _ in range(count):
            caller.ask()
    days = [next_reset(text, at(when)) for when in caller.granted]
    assert all(sum(1 for _ in same) <= daily for _, same in itertools.groupby(days))


def test_a_day_that_is_used_up_says_until_when():
    caller = Caller(Limits(daily=1, resets_at="13:00 UTC"))
    caller.once()
    word = caller.ask()
    assert isinstance(word, Spent)
    assert word.until == at(3600)
    assert word.reason == "1 of 1 requests of the day are made"
    caller.now = 3599.999
    assert isinstance(caller.ask(), Spent)
    caller.now = 3600
    assert isinstance(caller.ask(), Taken)


# Money

CENTS = st.integers(0, 40).map(lambda n: str(Decimal(n) / 100))


@given(st.lists(st.tuples(CENTS, st.booleans(), st.integers(0, 100)), max_size=60))
def test_no_schedule_passes_the_budget(calls):
    """P6: whatever is spent and whatever may yet be, at every moment, to the cent."""
    caller = Caller(Limits(budget_usd=usd("1.00"), concurrency=MANY))
    for most, settles, share in calls:
        word = caller.ask(cost=most)
        if isinstance(word, Taken) and settles:
            caller.settle(word, cost=str(usd(most) * share / 100))
        assert caller.state.spent + caller.state.held <= usd("1.00")


def test_the_budget_is_spent_to_the_last_cent():
    """Ten dimes are a dollar, which floats would not say."""
    caller = Caller(Limits(budget_usd=usd("1.00"), concurrency=MANY))
    for _ in range(10):
        caller.settle(caller.ask(cost="0.10"), cost="0.10")
    word = caller.ask(cost="0.000001")
    assert isinstance(word, Spent)
    assert word.until is None
    assert "of the budget of $1.00, $1.00 are spent and $0.00 held" in word.reason


def test_money_that_others_hold_is_waited_for_while_they_live():
    """They may give some back; of one who died nobody ever knows, so it stays spent."""
    caller = Caller(Limits(budget_usd=usd(1)), hold_for=timedelta(minutes=1))
    taken = caller.ask(cost="0.90")
    word = caller.ask(cost="0.20")
    assert isinstance(word, Wait)
    assert "hold the rest of the budget" in word.reason
    caller.settle(taken, cost="0.10")
    assert isinstance(caller.ask(cost="0.90"), Taken)
    caller.now += 61
    assert isinstance(caller.ask(cost="0.01"), Spent)


@pytest.mark.parametrize("cost", ["NaN", "Infinity", "-0.01"])
def test_a_cost_that_is_no_number_is_never_let_through(cost):
    with pytest.raises(ValueError, match="finite"):
        Caller(Limits()).ask(cost=cost)


# Calls in flight


def test_calls_in_flight_are_bounded_and_a_dead_one_is_not_in_flight_for_ever():
    caller = Caller(Limits(concurrency=2), hold_for=timedelta(minutes=10))
    caller.ask()
    taken = caller.ask()
    word = caller.ask()
    assert isinstance(word, Wait)
    assert word.reason == "2 calls are in flight, and 2 may be"
    caller.settle(taken)
    assert isinstance(caller.ask(), Taken)
    caller.now += 601
    assert isinstance(caller.ask(), Taken)
    assert caller.state.flying == ((int(at(1201).timestamp()), 1),)


# 429s


def test_a_lone_429_that_tells_its_rest_costs_that_rest_alone():
    """P6 held: its minute and ours are not the same one, and rates that are right stay."""
    caller = Caller(Limits(rpm=600, concurrency=MANY))
    for _ in range(3):
        caller.limit(caller.once(), retry_after=timedelta(seconds=2))
        assert caller.ask().seconds == 2
        assert caller.state.share == 1
        caller.now += 61


def test_a_429_soon_after_another_lowers_the_rate_by_a_quarter_after_a_rest():
    caller = Caller(Limits(rpm=600, concurrency=MANY))
    caller.limit(caller.once(), retry_after=timedelta(seconds=1))
    caller.now += 1
    caller.limit(caller.once(), retry_after=timedelta(seconds=7))
    word = caller.ask()
    assert isinstance(word, Wait)
    assert (word.seconds, word.reason) == (7, "the provider asked for a rest (429)")
    assert caller.state.share == 0.75
    caller.now += 7
    while isinstance(word := caller.ask(), Taken):
        pass
    assert word.reason == "rpm is 600, brought down to 75% by 429s"


def test_many_429s_of_calls_that_were_in_flight_together_are_one():
    caller = Caller(Limits(rpm=600))
    taken = [caller.ask() for _ in range(5)]
    for one in taken:
        caller.limit(one)
        caller.now += 0.1
    assert caller.state.share == 0.75


def test_rests_double_while_429s_go_on_and_the_rate_has_a_floor():
    """1, 2, 4 … 60 s where the provider does not say how long; never below 5 %."""
    caller, rests = Caller(Limits(rpm=60_000)), []
    for _ in range(30):
        taken = caller.ask()
        while isinstance(taken, Wait):
            caller.now += taken.seconds
            taken = caller.ask()
        caller.settle(taken)
        caller.limit(taken)
        rests.append(caller.state.rest_until - caller.state.at)
        caller.now += rests[-1] + 1
    assert [round(rest) for rest in rests[:8]] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert caller.state.share == 0.05


def test_good_replies_bring_the_full_rate_back_within_about_a_minute():
    caller = Caller(Limits(rpm=6000))
    for _ in range(20):
        caller.now += 70
        caller.limit(caller.once())
    start = caller.now = caller.now + 61
    while caller.state.share < 1:
        caller.now += 0.5
        caller.succeed(caller.once())
    assert 50 <= caller.now - start <= 70


def test_good_replies_to_calls_from_before_the_cut_bring_nothing_back():
    caller = Caller(Limits(rpm=600))
    early, late = caller.ask(), caller.ask()
    caller.limit(late)
    caller.now += 30
    caller.succeed(early)
    assert caller.state.share == 0.75


def test_without_rates_429s_lower_how_many_calls_are_in_flight():
    caller = Caller(Limits(concurrency=8))
    caller.limit(caller.once(), retry_after=timedelta(seconds=1))
    caller.now += 1
    taken = [caller.ask() for _ in range(8)]
    assert sum(isinstance(word, Taken) for word in taken) == 6


# The text that is kept


@given(STEPS, st.booleans())
def test_the_state_survives_its_text_at_every_moment(steps, has_rates):
    """Whoever reads it decides as whoever wrote it would."""
    rates = {"rpm": 20, "tpm": 2000} if has_rates else {}
    caller = Caller(Limits(daily=50, budget_usd=usd("5"), **rates))
    for pause, _, tokens, used in steps:
        caller.now += pause
        word = caller.ask(tokens=tokens, cost=f"{used:.7f}")
        if isinstance(word, Taken):
            caller.settle(word, tokens=7, cost="0.0000001")
            caller.limit(word)
        assert State.of(caller.state.text()) == caller.state


def test_money_is_kept_as_text():
    """A float would not come back as it was."""
    caller = Caller(Limits())
    caller.settle(caller.ask(cost="0.30"), cost="0.10")
    body = json.loads(caller.state.text())
    assert (body["spent"], body["held"]) == ("0.10", "0.00")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"seconds":[],"flying":[],"spent":"x"}'])
def test_a_text_that_is_something_else_is_refused(text):
    with pytest.raises(ValueError, match="not the state"):
        State.of(text)


def test_spending_is_told_with_what_is_held_apart():
    caller = Caller(Limits(resets_at="13:00 UTC"))
    caller.settle(caller.ask(tokens=100, cost="0.50"), tokens=60, cost="0.20")
    caller.ask(tokens=100, cost="0.50")
    told = spending("openai", caller.state, caller.limits, at(1))
    assert (told.calls, told.tokens, told.usd, told.held_usd, told.today) == (
        2,
        60,
        usd("0.20"),
        usd("0.50"),
        2,
    )
    assert spending("openai", caller.state, caller.limits, at(3600)).today == 0
