"""Batch calls of a provider: submitted once, polled by whoever lives, kept by row, half price."""

import os
import signal

from decimal import Decimal

from paid.songs import until

PRICE = "price = { input = 0.125, output = 1.0 }"


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
    until(lambda: songs.books.batches, "a batch call")
    until(lambda: opened(songs), "its name in the ledger")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    songs.vendor.advance(1000)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert ended.json["resumed"]
    assert not songs.wrong()
    assert (songs.books.batches, songs.books.batched, songs.books.paid_again) == (1, 40, 0)


def opened(songs):
    """Batch calls of which the ledger knows the vendor's name."""
    return songs.sql_of("ledger", "SELECT id FROM proctor_ledger_batches WHERE state = 'open'")
