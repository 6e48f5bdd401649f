"""What a run has asked of providers, on every face: asked, cost, left, waited for, unknown."""

import io
import json as stdlib_json

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from rich.console import Console

from proctor.engine.snapshot import Planned
from proctor.model import Account, Bill, Limits, Spending
from proctor.ui import bills, documents, lines, live
from proctor.ui.reports import html, json, markdown
from proctor.ui.text import runs

MIDNIGHT = datetime(2026, 11, 29, tzinfo=UTC)


def drawn(parts, width=80):
    """As it comes out on a terminal of this width; no line is longer."""
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False)
    for part in parts if isinstance(parts, list) else [parts]:
        console.print(part)
    text = console.file.getvalue()
    assert all(len(line) <= width for line in text.splitlines())
    return text


def words(text):
    """The text on one line, however it was wrapped."""
    return " ".join(text.split())


@pytest.fixture
def writer():
    return Account(
        model="openai:gpt-5-mini",
        bill=Bill(
            run="r",
            provider="writer",
            calls=1204,
            kept=310,
            input_tokens=512_000,
            output_tokens=41_000,
            usd=Decimal("0.37"),
            limited=3,
            broken=1,
            refused=2,
            flying=4,
            held_usd=Decimal("0.04"),
        ),
        spent=Spending(
            provider="writer",
            usd=Decimal("10.1"),
            held_usd=Decimal("0.04"),
            today=8_100,
            minute=412,
            minute_tokens=38_000,
            waits="rpm is 500",
        ),
        limits=Limits(rpm=500, tpm=200_000, daily=10_000, budget_usd=Decimal("12.50")),
    )


@pytest.fixture
def asked(seen, writer):
    """A run that asks two providers, one without any limit."""
    free = replace(
        writer,
        bill=Bill(run="r", provider="vectors", calls=2),
        spent=Spending(provider="vectors"),
        limits=Limits(),
    )
    return replace(seen, paid=(writer, free), paid_waits=("writer: rpm is 500",))


def test_the_live_view_shows_money_pace_warnings_and_waits(asked):
    """At one glance and within 80 columns."""
    text = words(drawn(live.panel(asked)))
    for said in (
        "writer: 1,204 calls (+310 kept) · $0.41, $0.00028 a row · $2.36 left · 3 answered 429",
        "this minute 412 of 500 calls, 38,000 of 200,000 tokens",
        "81.0 % of the daily quota of writer is used",
        "81.1 % of the budget of writer is spent",
        "waiting for writer: rpm is 500",
        "vectors: 2 calls",
    ):
        assert said in text, said
    plain = lines.line(asked)
    assert "writer: 1,204 calls (+310 kept)" in plain
    assert "waiting for writer: rpm is 500" in plain


def test_status_tells_all_of_each_provider(asked):
    """What is not bounded is said to be so; what a row costs that nobody wrote is unknown."""
    text = words(drawn(runs.one(asked)))
    for said in (
        "waits for writer: rpm is 500",
        "writer openai:gpt-5-mini",
        "calls 1,204; 4 in flight or lost",
        "kept answers 310, for nothing",
        "came to nothing 3 answered 429, 1 broke, 2 refused by the model",
        "tokens 512,000 in, 41,000 out",
        "money $0.41, $0.040 of it held for those",
        "budget left $2.36 of $12.50, for all who share it",
        "today 8,100 of 10,000 requests",
        "budget left no budget is set",
    ):
        assert said in text, said
    nobody = replace(asked, run=replace(asked.run, outcome=type(asked.run.outcome)()))
    assert "a row written unknown" in words(drawn(runs.one(nobody)))
    assert "it waits for writer: rpm is 500" in words(drawn(runs.runs([asked])))


def test_json_has_every_number_with_money_exact(asked):
    """For scripts: text, so that no float rounds it."""
    found = documents.snapshot(asked)
    assert found["waits_for"] == ["writer: rpm is 500"]
    assert found["paid"]["usd"] == "0.41"
    one, free = found["paid"]["providers"]
    assert (one["usd"], one["held_usd"], one["left_usd"]) == ("0.37", "0.04", "2.36")
    assert one["minute"] == {"calls": 412, "rpm": 500, "tokens": 38_000, "tpm": 200_000}
    assert one["today"] == {"calls": 8_100, "daily": 10_000, "begins_anew": None}
    assert (free["left_usd"], free["usd_per_row"]) == (None, "0")


def test_what_cannot_be_read_is_unknown_on_every_face(seen, report):
    """Never $0."""
    why = "the ledger cannot be reached"
    dark = replace(seen, paid_unknown=why)
    for text in (
        drawn(live.panel(dark)),
        lines.line(dark),
        drawn(runs.one(dark)),
        drawn(runs.ended(replace(report, paid_unknown=why), {})),
        markdown.render(replace(report, paid_unknown=why)),
        html.render(replace(report, paid_unknown=why)),
    ):
        assert f"unknown: {why}" in words(text)
        assert "$0" not in text
    paid = documents.snapshot(dark)["paid"]
    assert (paid["usd"], paid["unknown"]) == (None, why)


def test_a_run_that_asks_nobody_shows_nothing_of_it(seen, report):
    """No heading, no zero."""
    shown = drawn(live.panel(seen)) + drawn(runs.one(seen)) + drawn(runs.ended(report, {}))
    assert "calls" not in shown
    assert "Paid answers" not in markdown.render(report) + html.render(report)


def test_a_report_sets_what_was_foreseen_beside_what_was_paid(report, writer):
    """In every format."""
    planned = Planned(
        made=MIDNIGHT,
        sample=50,
        rows=500,
        calls=500,
        usd=Decimal("0.40"),
        usd_low=Decimal("0.38"),
        usd_high=Decimal("0.43"),
    )
    told = replace(report, paid=(writer,), planned=planned)
    said = "$0.38 to $0.43 for 500 rows by the plan of 2026-11-29 00:00:00 UTC; $0.41 for 489 rows"
    assert said in markdown.render(told)
    assert said in words(html.render(told))
    assert said in words(drawn(runs.ended(told, {})))
    found = stdlib_json.loads(json.render(told))
    assert (found["foreseen"]["usd_low"], found["paid"]["usd"]) == ("0.38", "0.41")
    for line in ("| calls | 1,204; 4 in flight or lost |", "| tokens | 512,000 in, 41,000 out |"):
        assert line in markdown.render(told).splitlines()


def test_a_quota_that_is_used_up_says_when_it_begins_anew(writer):
    """Also where nobody waits for it, for the function goes on without."""
    spent = replace(writer, spent=replace(writer.spent, today=10_000, until=MIDNIGHT))
    told = dict(bills.facts(spent, 10))
    assert told["today"] == "10,000 of 10,000 requests; anew at 2026-11-29 00:00:00 UTC"
    assert "100 % of the daily quota of writer is used" in told["attention"]
