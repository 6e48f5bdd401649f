"""What a sample of paid answers tells of a whole run."""

import random

from datetime import timedelta
from decimal import Decimal

import pytest

from hypothesis import given
from hypothesis import strategies as st

from proctor.core.foresee import foresee
from proctor.model import Asked, Known, Limits, Usage


def asked(
    unit, *, usd="0.001", spent=None, key=None, provider="writer", paid=True, tokens=(100, 20)
):
    return Asked(
        key=key or f"{provider} {unit}",
        unit=(unit,),
        provider=provider,
        model="openai:m",
        usage=Usage(input_tokens=tokens[0], output_tokens=tokens[1]),
        usd=Decimal(usd),
        spent=Decimal(spent or usd),
        paid=paid,
    )


def seen(answers, *, rows=10, eligible=1000, at_once=8, units=None, seconds=None, **limits):
    more = {
        name: limits.pop(name) for name in ("used_today", "left_usd", "batch") if name in limits
    }
    known = Known(limits=Limits(**limits), seconds=seconds, **more)
    return foresee(
        answers,
        rows=rows,
        units=rows if units is None else units,
        eligible=eligible,
        known={"writer": known, "embedder": Known(limits=Limits())},
        at_once=at_once,
    )


def test_tokens_calls_and_money_grow_with_the_rows():
    """Ten rows of a thousand: a hundred times as much, and the sample's tenth is paid already."""
    told = seen([asked(i) for i in range(10)], rows=10, eligible=1000)
    (writer,) = told.providers
    assert (writer.calls_per_row, writer.input_per_row, writer.output_per_row) == (1, 100, 20)
    assert (writer.calls, writer.input_tokens, writer.output_tokens) == (1000, 100_000, 20_000)
    assert (told.usd, told.to_pay, told.paid) == (Decimal(1), Decimal("0.99"), Decimal("0.01"))
    assert told.usd_low < told.usd < told.usd_high
    assert told.paid_calls == 10


def test_batch_calls_cost_what_they_cost_and_may_take_a_day_each():
    """No limit of direct calls counts; the sample itself was asked directly, and cost more."""
    answers = [asked(i, usd="0.001", spent="0.002") for i in range(10)]
    told = seen(answers, rows=10, eligible=1000, batch=300, seconds=1.0, rpm=1, daily=1)
    assert (told.usd, told.paid) == (Decimal(1), Decimal("0.02"))
    assert timedelta(minutes=20) == told.low < told.high == timedelta(days=4)
    assert (told.days, told.bound) == (None, "batch calls of writer, which may take a day each")


@pytest.mark.parametrize("size", [20, 50, 200])
def test_the_range_holds_the_truth_nineteen_times_in_twenty(size):
    """Rows that differ by a factor of ten, drawn at random again and again."""
    dice = random.Random(7)
    costs = [Decimal(dice.randint(100, 1000)) / 100_000 for _ in range(2000)]
    held = 0
    for _ in range(200):
        drawn = dice.sample(range(len(costs)), size)
        told = seen([asked(i, usd=costs[i]) for i in drawn], rows=size, eligible=len(costs))
        held += told.usd_low <= sum(costs) <= told.usd_high
    assert held >= 184


def test_rows_that_asked_nothing_count():
    """A row that the function skips costs nothing, and there will be more like it."""
    told = seen([asked(1)], rows=4, eligible=400)
    assert told.usd == Decimal("0.1")
    assert told.usd_high > Decimal("0.25")


def test_a_single_row_says_nothing_of_how_they_differ():
    """The range is as wide as the sum itself."""
    told = seen([asked(1)], rows=1, eligible=100)
    assert (told.usd_low, told.usd_high) == (Decimal("0.001"), Decimal("0.2"))


def test_a_sample_of_all_rows_leaves_nothing_to_come():
    """What was looked at whole is known, and paid."""
    told = seen([asked(i) for i in range(10)], rows=10, eligible=10, rpm=1, seconds=9.0)
    assert told.usd_low == told.usd == told.usd_high == told.paid
    assert told.to_pay == 0
    assert (told.low, told.high, told.bound) == (timedelta(0), timedelta(0), "")


def test_a_question_that_was_asked_twice_is_paid_once():
    """As in a run: identical questions share an answer."""
    told = seen([asked(i, key="same") for i in range(10)])
    assert told.paid_calls == 1
    assert told.usd == Decimal("0.1")


def test_an_answer_that_was_kept_costs_nothing_now_and_counts_for_the_forecast():
    """The forecast is of the whole run; what was paid just now is said beside it."""
    told = seen([asked(i, paid=False) for i in range(10)])
    assert (told.usd, told.paid, told.paid_calls) == (Decimal(1), Decimal(0), 0)


@pytest.mark.parametrize(
    ("limits", "seconds", "bound"),
    [
        ({"rpm": 60}, 61.25 * 990 / 60, "rpm = 60 of writer"),
        ({"tpm": 12_000}, 61.25 * 990 * 120 / 12_000, "tpm = 12,000 of writer"),
        ({"rpm": 60_000, "seconds": 2.0, "concurrency": 4}, 990 * 2 / 4, "concurrency = 4 of"),
        ({"seconds": 2.0, "concurrency": 64}, 990 * 2 / 8, "8 calls of the function at once"),
    ],
)
def test_the_limit_that_binds_decides_the_time(limits, seconds, bound):
    """Requests, tokens, calls in flight at the provider, or the function's own concurrency."""
    told = seen([asked(i) for i in range(10)], **limits)
    assert told.low.total_seconds() == pytest.approx(seconds)
    assert told.low < told.high
    assert told.bound.startswith(bound)


def test_a_daily_quota_makes_days_of_it():
    """990 calls to come at 300 a day, 200 of today's used: today's last hundred and three more."""
    told = seen([asked(i) for i in range(10)], daily=300, used_today=200)
    assert told.days == told.providers[0].days == 4
    assert timedelta(days=2) <= told.low <= told.high
    assert told.high >= timedelta(days=3)
    assert seen([asked(1)], rows=1, eligible=100, daily=300).days == 1


def test_each_provider_is_told_by_itself():
    """Two of them for one row, whose money adds up."""
    both = [asked(i, provider=p, usd=u) for i in range(5) for p, u in PRICES.items()]
    told = seen(both, rows=5, eligible=50)
    assert [p.provider for p in told.providers] == ["embedder", "writer"]
    assert sum(p.usd for p in told.providers) == told.usd == Decimal("0.055")


PRICES = {"writer": "0.001", "embedder": "0.0001"}


@given(
    costs=st.lists(st.decimals(0, 10, places=6), min_size=1, max_size=30),
    more=st.integers(0, 10**7),
    daily=st.none() | st.integers(1, 10**4),
    rpm=st.none() | st.integers(1, 10**4),
)
def test_the_range_is_a_range(costs, more, daily, rpm):
    """Low is not above what is expected, nor that above high; nothing is below what is paid."""
    answers = [asked(i, usd=usd) for i, usd in enumerate(costs)]
    told = seen(answers, rows=len(costs), eligible=len(costs) + more, daily=daily, rpm=rpm)
    assert told.usd_low <= told.usd <= told.usd_high
    assert told.paid <= told.usd_low + Decimal("0.000001")
    assert timedelta(0) <= told.low <= told.high
