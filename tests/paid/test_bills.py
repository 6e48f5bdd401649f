"""What a run has asked and paid is on record, also after a kill, and on every face."""

import os
import signal

from decimal import Decimal

import pytest

from paid.songs import until
from proctor.testing.vendor import Fault, Flaw

LONG = bool(os.environ.get("PROCTOR_LONG"))


def paid(songs, run):
    """What `status --json` says of a run, and of its one provider."""
    (seen,) = songs.proctor("status", run, "--json").json["runs"]
    (one,) = seen["paid"]["providers"]
    return seen["paid"], one


def test_every_call_is_on_the_bill_by_its_end(songs):
    """P6: the same numbers as in the vendor's books; 429s, breaks, refusals and cut-offs apart."""
    songs.configure(budget_usd='"5"', rpm=6000)
    songs.vendor.script(
        Fault(flaw=Flaw.LIMITED, match="song 3 ", seconds=1),
        Fault(flaw=Flaw.UNAVAILABLE, match="song 4 ", times=1),
        Fault(flaw=Flaw.REFUSAL, match="song 5 ", times=1),
        Fault(flaw=Flaw.CUT_OFF, match="song 6 ", times=1),
        Fault(flaw=Flaw.FILTERED, match="song 7 ", times=1),
    )
    run = songs.run().json["id"]
    whole, one = paid(songs, run)
    books = songs.books
    assert one["calls"] == books.calls + 2  # the 429 and the 503 were no calls to the vendor
    assert (one["input_tokens"], one["output_tokens"]) == (books.input_tokens, books.output_tokens)
    assert Decimal(one["usd"]) == Decimal(whole["usd"]) == books.usd > 0
    kinds = ("limited", "broken", "refused", "cut_off", "filtered", "rejected", "lost")
    assert [one[kind] for kind in kinds] == [1, 1, 1, 1, 1, 0, 0]
    assert (one["flying"], Decimal(one["held_usd"])) == (0, 0)
    assert Decimal(one["left_usd"]) == 5 - books.usd
    # Refused and filtered rows are not written; the one that was cut off was asked for once more.
    assert Decimal(one["usd_per_row"]) == books.usd / 38
    text = songs.proctor("status", run).said
    for said in (
        "came to nothing 1 answered 429, 1 broke, 1 refused by the model, 1 filtered, 1 cut off",
        "budget left $5.00 of $5.00, for all who share it",
        f"{books.input_tokens:,} in, {books.output_tokens:,} out",
    ):
        assert said in text, text
    for form in ("md", "html"):
        report = songs.proctor("report", run, "--format", form).said
        assert "Paid answers" in report
        assert "1 answered 429" in report


def test_answers_for_nothing_are_counted_apart(songs):
    """A second run of the same questions asks nobody, and says so; it has cost nothing."""
    songs.run()
    songs.sql("UPDATE songs SET emotions = NULL")
    ended = songs.run()
    _, one = paid(songs, ended.json["id"])
    assert (one["calls"], one["kept"], Decimal(one["usd"])) == (0, 40, 0)
    assert ended.json["paid"]["providers"][0]["kept"] == 40


def test_a_run_that_asked_nobody_has_no_bill(songs):
    """Nothing is shown where nothing was asked."""
    songs.says('return {"emotions": "none", "confidence": "low"}')
    ended = songs.run()
    assert ended.json["paid"]["providers"] == []
    assert "calls" not in songs.proctor("status", ended.json["id"]).said


def test_what_a_plan_foresaw_stands_beside_what_was_paid(songs):
    """From a sample of real calls: the run's own cost lies in the range, in every report."""
    assert songs.proctor("plan", "about", "--paid-sample", "15").code == 0
    sampled = songs.books.usd
    ended = songs.run()
    found = songs.proctor("report", ended.json["id"], "--json").json
    seen, usd = found["foreseen"], Decimal(found["paid"]["usd"])
    assert (seen["sample"], seen["rows"]) == (15, 40)
    assert usd == songs.books.usd - sampled
    assert Decimal(seen["usd_low"]) <= usd <= Decimal(seen["usd_high"])
    assert "Foreseen: $0.00" in songs.proctor("report", ended.json["id"]).said


def test_a_kill_leaves_the_bill_right(songs):
    """P5, P6: calls in flight stay on it as what they can cost at most, until somebody knows."""
    songs.vendor.limit("gpt-5-mini", latency_s=0.2)
    process = songs.spawn("run", "about", "--json")
    until(lambda: songs.books.calls >= 8, "some calls")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (seen,) = songs.proctor("status", "--json").json["runs"]
    (one,) = seen["paid"]["providers"]
    until(lambda: songs.books.at_once == 0, "the vendor's last reply")
    assert one["calls"] <= songs.books.calls <= one["calls"] + one["flying"]
    assert Decimal(one["usd"]) <= songs.books.usd <= Decimal(seen["paid"]["usd"])
    lost = one["flying"]
    songs.vendor.limit("gpt-5-mini", latency_s=0.0)
    assert songs.proctor("resume", seen["id"], "--json").code == 0
    _, one = paid(songs, seen["id"])
    assert (one["flying"], one["calls"]) == (lost, 40)
    assert not songs.wrong()


@pytest.mark.parametrize(("processes", "workers"), [(32, 1)] if LONG else [(2, 16)])
def test_a_budget_of_a_dollar_with_thirty_two_workers(songs, processes, workers):
    """P6: overshoot $0.00 by the vendor's own count; the warning is on record once."""
    songs.add(f"song {number}" for number in range(40, 300))
    songs.configure(
        budget_usd='"1.00"', max_tokens=60, price="{ input = 20, output = 200 }", concurrency=64
    )
    songs.vendor.limit("gpt-5-mini", input_usd=Decimal(20), output_usd=Decimal(200))
    words = ("--processes", str(processes), "--workers", str(workers))
    ended = songs.ended(songs.spawn("run", "about", "--json", *words), patience=300)
    assert (ended.code, ended.json["state"]) == (3, "paused"), ended.said
    assert Decimal("0.9") < songs.books.usd <= 1
    assert Decimal(ended.json["paid"]["usd"]) == songs.books.usd
    shown = songs.proctor("status", ended.json["id"]).said
    assert "of the budget of writer is spent" in shown
    told = songs.sql_of(
        "ledger", "SELECT data FROM proctor_ledger_events WHERE name = ?", "limit.neared"
    )
    assert len(told) == 1, told
    assert '"budget_usd"' in told[0][0]
