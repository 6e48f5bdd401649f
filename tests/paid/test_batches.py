"""Batch calls of a provider: submitted once, polled by whoever lives, kept by row, half price."""

import json
import os
import signal
import sqlite3

from datetime import timedelta
from decimal import Decimal

import pytest

from paid.songs import until
from proctor.testing.vendor import Fault, Flaw, Served

LONG = os.environ.get("PROCTOR_LONG") == "1"
PRICE = "price = { input = 0.125, output = 1.0 }"
ROWS = """
from typing import Literal
from pydantic import BaseModel
from proctor import backfill, table

class Song(BaseModel):
    emotions: str
    confidence: Literal["low", "medium", "high"]

@backfill(
    table("songs", key="id"), fills=("emotions", "confidence"), version="1", batch=10, concurrency=2
)
async def about(songs, ctx):
    said = await ctx.llm.rows(
        songs, prompt="What does each feel like?", one=lambda song: song["title"], output=Song
    )
    return [one if isinstance(one, Exception) else one.model_dump() for one in said]
"""


def batched(songs, *more, **settings):
    """Questions of the writer go into batch calls from now on."""
    said = ", ".join((PRICE, "gather_s = 0.1", "poll_s = 0.2", *more))
    songs.configure(batch=f"{{ {said} }}", **settings)


def bill(songs, run):
    """What `status --json` says of a run's one provider."""
    (seen,) = songs.proctor("status", run, "--json").json["runs"]
    (one,) = seen["paid"]["providers"]
    return one


def test_questions_go_in_one_batch_call_at_half_the_price(songs):
    """P6: submitted, polled, kept, used; the bill and the vendor's books say the same."""
    batched(songs, budget_usd='"1"')
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not songs.wrong()
    books = songs.books
    assert (books.batches, books.batched, books.calls, books.paid_again) == (1, 40, 40, 0)
    one = bill(songs, ended.json["id"])
    assert (one["batches"], one["batched"], one["calls"]) == (1, 40, 1)
    assert Decimal(one["usd"]) == Decimal(one["batched_usd"]) == books.batched_usd == books.usd > 0
    assert Decimal(one["left_usd"]) == 1 - books.usd


def test_a_killed_process_leaves_its_batch_and_the_next_one_polls_it(songs):
    """P5: SIGKILL while the vendor works on it; nothing is submitted again, nothing paid again."""
    batched(songs)
    songs.vendor.limit("gpt-5-mini", batch_s=1000)
    process = songs.spawn("run", "about", "--json")
    until(lambda: stands(songs, "open"), "its name in the ledger")
    killed(process)
    songs.vendor.advance(1000)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert ended.json["resumed"]
    assert not songs.wrong()
    assert (songs.books.batches, songs.books.batched, songs.books.paid_again) == (1, 40, 0)


@pytest.mark.parametrize("step", ["POST /v1/files", "POST /v1/batches"])
def test_a_process_that_dies_while_it_hands_over_submits_nothing_twice(songs, step):
    """P5: killed before the vendor began, nothing is paid; after it, its own list is searched."""
    batched(songs, budget_usd='"1"')
    songs.vendor.script(Fault(flaw=Flaw.SILENT, match=step, seconds=2))
    process = songs.spawn("run", "about", "--json")
    if step.endswith("batches"):
        until(lambda: songs.books.batches, "a batch that was begun")
    until(lambda: stands(songs, "reserved", "sent"), "a batch call in the ledger")
    killed(process)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not songs.wrong()
    books = songs.books
    assert (books.batches, books.batched, books.calls, books.paid_again) == (1, 40, 40, 0)
    one = bill(songs, ended.json["id"])
    assert Decimal(one["usd"]) == books.usd
    assert (one["flying"], Decimal(one["held_usd"])) == (0, 0)


def test_a_lost_reply_is_found_in_the_vendors_list(songs):
    """P5: the connection breaks when the vendor has begun."""
    batched(songs)
    songs.vendor.script(Fault(flaw=Flaw.RESET_LATE, match="POST /v1/batches"))
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not songs.wrong()
    assert (songs.books.batches, songs.books.calls, songs.books.paid_again) == (1, 40, 0)


@pytest.mark.parametrize(
    ("vendor_name", "model", "step"),
    [
        ("anthropic", "claude-haiku-4-5", "POST /v1/messages/batches"),
        ("google", "gemini-2.5-flash", "batchGenerateContent"),
    ],
)
def test_other_vendors_batches_go_the_same_way(songs, vendor_name, model, step):
    """P5: submitted once, though the reply was lost; some expire, and are asked again alone."""
    url = getattr(songs.vendor, f"{vendor_name}_url")
    songs.vendor.serve(Served(name=model, input_usd=Decimal("0.25"), output_usd=Decimal(2)))
    batched(songs, model=f'"{vendor_name}:{model}"', base_url=f'"{url}"')
    songs.vendor.script(
        Fault(flaw=Flaw.RESET_LATE, match=step),
        *(Fault(flaw=Flaw.EXPIRED, match=f" song {n} ") for n in range(3)),
    )
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not songs.wrong()
    books = songs.vendor.books()[model]
    assert (books.batches, books.batched, books.calls, books.paid_again) == (1, 37, 40, 0)
    assert Decimal(bill(songs, ended.json["id"])["usd"]) == books.usd


def test_a_batch_call_that_nobody_finds_counts_as_spent(songs, monkeypatch):
    """P6: it may have been begun; its questions are asked again, its money is never given back."""
    monkeypatch.setattr("proctor.engine.batched.FOUND_WITHIN", timedelta(0))
    batched(songs, budget_usd='"1"')
    songs.vendor.script(Fault(flaw=Flaw.RESET_EARLY, match="POST /v1/batches"))
    ended = songs.run()
    assert ended.code == 0, ended.said
    one = bill(songs, ended.json["id"])
    assert (one["lost"], songs.books.batches, songs.books.paid_again) == (1, 1, 0)
    told = songs.sql_of(
        "ledger", "SELECT data FROM proctor_ledger_events WHERE name = 'batch.ended' ORDER BY at"
    )
    lost, settled = (json.loads(data) for (data,) in told)
    assert (lost["how"], settled["how"]) == ("lost", "settled")
    assert Decimal(one["usd"]) == Decimal(lost["usd"]) + songs.books.usd > songs.books.usd


def test_only_what_expired_or_broke_is_asked_again(songs):
    """The finished ones are kept; many go into another batch call, a few are asked directly."""
    batched(songs, budget_usd='"1"')
    songs.vendor.script(
        *(Fault(flaw=Flaw.EXPIRED, match=f" song {n} ") for n in range(9)),
        *(Fault(flaw=Flaw.SERVER_ERROR, match=f" song {n} ") for n in range(9, 12)),
        Fault(flaw=Flaw.EXPIRED, match=" song 3 "),
    )
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not songs.wrong()
    books = songs.books
    assert (books.batches, books.batched, books.calls, books.paid_again) == (2, 39, 40, 0)
    one = bill(songs, ended.json["id"])
    assert (one["batches"], one["batched"], one["calls"]) == (2, 39, 3)
    assert Decimal(one["usd"]) == books.usd > books.batched_usd == Decimal(one["batched_usd"])


def test_several_batch_calls_are_in_the_air_at_once(songs):
    """P5: no question is in two of them, also where several processes gather their own."""
    songs.add(f"song {number}" for number in range(40, 400))
    batched(songs, "requests = 100")
    songs.vendor.limit("gpt-5-mini", batch_s=1)
    ended = songs.run("--processes", "2" if LONG else "1")
    assert ended.code == 0, ended.said
    assert songs.books.batches >= 4
    assert not songs.wrong()
    assert (songs.books.calls, songs.books.paid_again) == (400, 0)


def test_replies_that_are_no_answers_are_told_apart_as_ever(songs):
    """A refusal, a cut-off, a question that cannot be asked: repaired, refused, failed by row."""
    batched(songs)
    songs.vendor.script(
        Fault(flaw=Flaw.REFUSAL, match=" song 5 "),
        Fault(flaw=Flaw.CUT_OFF, match=" song 6 "),
        Fault(flaw=Flaw.NO_USAGE, match=" song 7 "),
    )
    ended = songs.run()
    assert ended.json["buckets"]["refused"] == 1, ended.said
    assert list(songs.wrong()) == ["song 5", "song 6"]
    assert songs.answered() == [title for title in songs.rows() if title != "song 5"]
    one = bill(songs, ended.json["id"])
    assert (one["refused"], one["cut_off"], one["batched"], one["calls"]) == (1, 1, 40, 2)


def test_a_stop_leaves_the_batch_at_the_vendor(songs):
    """Ctrl-C pauses at once; status says what is being worked on, and the next one fetches it."""
    batched(songs)
    songs.vendor.limit("gpt-5-mini", batch_s=1000)
    process = songs.spawn("run", "about", "--json")
    until(lambda: stands(songs, "open"), "its name in the ledger")
    process.send_signal(signal.SIGINT)
    ended = songs.ended(process, patience=10)
    assert (ended.code, ended.json["state"]) == (130, "paused"), ended.said
    assert "a batch of 40 questions was handed to writer" in ended.err
    assert "a batch of 40 questions is being worked by writer since" in ended.err
    shown = songs.proctor("status", ended.json["id"]).said
    assert "a batch of 40 questions is being worked by writer since" in shown
    songs.vendor.advance(1000)
    assert songs.run().code == 0
    assert not songs.wrong()
    assert (songs.books.batches, songs.books.paid_again) == (1, 0)


def test_a_budget_for_some_of_the_questions_holds(songs):
    """P6: as many go as it is enough for; what they did not take pays for the next ones."""
    batched(songs, budget_usd='"0.004"', max_tokens=200)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not songs.wrong()
    assert songs.books.batches > 1
    assert songs.books.usd <= Decimal("0.004")


def test_what_waits_too_long_is_asked_directly(songs):
    """The batch call is cancelled; nobody pays for it."""
    batched(songs, "direct_after_s = 1")
    songs.vendor.limit("gpt-5-mini", batch_s=1000)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not songs.wrong()
    books = songs.books
    assert (books.batches, books.batched, books.calls, books.paid_again) == (1, 0, 40, 0)


def test_rows_that_go_together_wait_together(songs):
    """Four questions about ten songs each in one batch call; after a kill they are the same."""
    songs.write(ROWS)
    batched(songs, "at_least = 2")
    if LONG:
        songs.vendor.limit("gpt-5-mini", batch_s=1000)
        process = songs.spawn("run", "about", "--json")
        until(lambda: stands(songs, "open"), "its name in the ledger")
        killed(process)
        songs.vendor.advance(1000)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert len(songs.answered()) == 40
    books = songs.books
    assert (books.batches, books.batched, books.calls, books.paid_again) == (1, 4, 4, 0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"batch": "true"}, "batch = { price = { input = …"),
        ({"batch": f"{{ {PRICE}, gather_s = 0.1 }}", "base_url": '"{url}/nothing"'}, "batch call"),
    ],
    ids=["price", "address"],
)
def test_what_cannot_work_is_told(songs, settings, said):
    """A price that nobody knows, an address without batch calls: the run stops and says so."""
    settings = {k: v.replace("{url}", songs.vendor.url) for k, v in settings.items()}
    songs.configure(**settings)
    ended = songs.run()
    assert ended.code == 2, ended.said
    assert said in ended.said
    assert "writer" in ended.said
    assert songs.books.calls == 0


def test_a_plan_reckons_with_the_batch_price(songs):
    """The sample is asked directly at the full price, the rest is foreseen at half."""
    batched(songs)
    plan = songs.proctor("plan", "about", "--paid-sample", "20", "--json").json
    paid = songs.books.usd
    assert songs.books.batches == 0
    assert Decimal(str(plan["paid"]["paid"])) == paid
    assert Decimal(str(plan["paid"]["usd"])) == pytest.approx(paid, rel=Decimal("0.1"))
    assert "batch calls of writer" in plan["paid"]["bound"]


def stands(songs, *states):
    """Batch calls that the ledger knows in one of these states."""
    try:
        found = songs.sql_of("ledger", "SELECT state FROM proctor_ledger_batches")
    except sqlite3.OperationalError:
        return []  # the ledger is being made
    return [state for (state,) in found if state in states]


def killed(process):
    """SIGKILL of the whole group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
