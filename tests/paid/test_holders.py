"""Calls in flight have a holder: who dies leaves its places, and two never pay for one question."""

import os
import signal
import time

from contextlib import closing
from sqlite3 import connect

import pytest

from paid.songs import CODE, right, until

SOON_S = 30
"""A hold of these tests runs out after 70 seconds; a run needs a few."""

SPARE_USD = 0.0015
"""Enough for some calls, and not for forty."""


@pytest.fixture
def twice(songs):
    """The same songs in two tables, for two backfills: every question is asked by both."""
    songs.sql("CREATE TABLE others (id INTEGER PRIMARY KEY, title, emotions, confidence)")
    songs.sql("INSERT INTO others (id, title) SELECT id, title FROM songs")
    first = CODE.format(concurrency=16)
    # The second wants all rows at once: what the first does not ask, it asks beside it.
    second = CODE.format(concurrency=40).partition("@backfill")[2].replace('"songs"', '"others"')
    songs.write(f"{first}\n@backfill{second.replace('def about', 'def other')}")
    return songs


def in_the_air(songs, process, calls=16):
    """Wait until so many calls are; those after them are answered at once."""
    until(lambda: songs.books.at_once == calls or process.poll() is not None, "calls in the air")
    assert process.poll() is None, songs.ended(process).said
    songs.vendor.limit("gpt-5-mini", latency_s=0.0)


def kill(process):
    """SIGKILL, of all its group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def held(songs):
    """Money that is held, as the ledger keeps it."""
    with closing(connect(songs.root / ".proctor" / "ledger.db")) as ledger:
        return ledger.execute("SELECT usd FROM proctor_ledger_holds").fetchall()


def test_a_run_that_was_killed_with_all_places_taken_goes_on_at_once(songs):
    """Its calls in flight are in flight for nobody; they stay spent (P6)."""
    songs.configure(concurrency=16, timeout_s=60)
    songs.vendor.limit("gpt-5-mini", latency_s=60.0)
    process = songs.spawn("run", "about", "--json")
    in_the_air(songs, process)
    kill(process)
    began = time.monotonic()
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert time.monotonic() - began < SOON_S
    assert ended.json["resumed"]
    assert not songs.wrong()
    assert songs.books.paid_again <= 16
    assert len(held(songs)) == 16


def test_the_money_of_a_run_that_was_killed_stays_spent(songs):
    """P6, by the vendor's books: what was in flight may have been paid."""
    songs.configure(concurrency=16, timeout_s=60, budget_usd='"0.01"')
    songs.vendor.limit("gpt-5-mini", latency_s=60.0)
    process = songs.spawn("run", "about", "--json")
    in_the_air(songs, process)
    kill(process)
    taken = sum(float(usd) for (usd,) in held(songs))
    songs.configure(concurrency=16, timeout_s=60, budget_usd=f'"{taken + SPARE_USD:.6f}"')
    began = time.monotonic()
    ended = songs.run("--accept-changes", "providers")
    assert (ended.code, ended.json["state"]) == (3, "paused"), ended.said
    assert time.monotonic() - began < SOON_S
    assert 0 < float(songs.books.usd) <= SPARE_USD
    assert songs.books.calls < 40


def test_a_question_of_two_processes_is_paid_once(twice):
    """P5, by the vendor's books: whoever comes second waits for the first one's answer."""
    twice.vendor.limit("gpt-5-mini", latency_s=5.0)
    both = [twice.spawn("run", name, "--json") for name in ("about", "other")]
    until(lambda: twice.books.at_once >= 16, "calls in the air")
    twice.vendor.limit("gpt-5-mini", latency_s=0.0)
    ends = [twice.ended(process) for process in both]
    assert [end.code for end in ends] == [0, 0], [end.said for end in ends]
    assert not twice.wrong()
    told = twice.sql("SELECT title, emotions, confidence FROM others")
    assert all(right(title) == tuple(got) for title, *got in told)
    assert (twice.books.calls, twice.books.paid_again) == (40, 0)


def test_whoever_waits_for_a_process_that_dies_asks_itself(twice):
    """It does not wait until the time of those calls is over."""
    twice.vendor.limit("gpt-5-mini", latency_s=60.0)
    first = twice.spawn("run", "about", "--json")
    in_the_air(twice, first)
    second = twice.spawn("run", "other", "--json")
    until(lambda: twice.books.calls >= 24, "all that the first does not ask")
    assert second.poll() is None
    kill(first)
    began = time.monotonic()
    ended = twice.ended(second)
    assert ended.code == 0, ended.said
    assert time.monotonic() - began < SOON_S
    assert twice.books.paid_again <= 16
