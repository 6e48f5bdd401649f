"""P6: budgets, rates and quotas hold by the vendor's own count, and a run that meets one waits."""

import re

from decimal import Decimal

import pytest

from paid.songs import CODE

BUDGET = Decimal("0.01")
OTHER = (
    CODE.format(concurrency=32)
    .replace('"songs"', '"others"')
    .replace("async def about", "async def other")
)


@pytest.fixture
def dear(songs):
    """Three hundred songs, of which a budget of a cent pays some."""
    songs.add(f"song {number}" for number in range(40, 300))
    songs.write(CODE.format(concurrency=32))
    songs.configure(budget_usd='"0.01"', price="{ input = 2.5, output = 20.0 }")
    songs.vendor.limit("gpt-5-mini", input_usd=Decimal("2.5"), output_usd=Decimal(20))
    return songs


def test_a_budget_is_never_exceeded_and_says_what_is_spent(dear):
    """Thirty-two at once; paused, with the numbers, exit 3; nothing of an answer is lost."""
    ended = dear.run()
    assert (ended.code, ended.json["state"]) == (3, "paused"), ended.said
    assert 0 < dear.books.usd <= BUDGET
    assert "of the budget of $0.01, $0.00" in ended.json["reason"]
    assert "budget_usd" in ended.json["reason"]


def test_after_the_budget_is_raised_only_what_is_missing_is_asked(dear):
    """`proctor resume` goes on, once it is told of the change; answers that were paid are used."""
    first = dear.run().json
    assert "--accept-changes providers" in first["reason"]
    run = first["id"]
    dear.configure(budget_usd='"5"', price="{ input = 2.5, output = 20.0 }")
    ended = dear.proctor("resume", run, "--json")
    assert ended.code == 3
    assert "providers.writer.budget_usd was 0.01 and is 5" in ended.said
    ended = dear.proctor("resume", run, "--accept-changes", "providers", "--json")
    assert ended.code == 0, ended.said
    assert not dear.wrong()
    assert (dear.books.calls, dear.books.paid_again) == (300, 0)


def test_a_resume_without_more_money_asks_nothing(dear):
    """It pauses again with the same words."""
    run = dear.run().json["id"]
    asked = dear.books.calls
    again = dear.proctor("resume", run, "--json")
    assert (again.code, again.json["state"]) == (3, "paused"), again.said
    assert dear.books.usd <= BUDGET
    assert dear.books.calls - asked <= 1  # what was held for others may have been let go


def test_two_runs_share_one_budget(dear):
    """Two backfills in two processes at the same time, on one ledger."""
    dear.sql("CREATE TABLE others AS SELECT * FROM songs")
    dear.sql("CREATE UNIQUE INDEX others_id ON others (id)")
    dear.sql("UPDATE others SET title = 'other ' || id")
    second = OTHER.partition("@backfill")[2]
    dear.write(f"{CODE.format(concurrency=32)}\n@backfill{second}")
    both = [dear.spawn("run", name, "--json") for name in ("about", "other")]
    ends = [dear.ended(process) for process in both]
    assert [end.code for end in ends] == [3, 3], [end.said for end in ends]
    assert dear.books.usd <= BUDGET


def test_slices_of_one_run_share_its_budget(dear):
    """--processes 2: the run pauses, as it does in one process."""
    ended = dear.ended(dear.spawn("run", "about", "--json", "--processes", "2"))
    assert (ended.code, ended.json["state"]) == (3, "paused"), ended.said
    assert "of the budget of $0.01" in ended.json["reason"]
    assert dear.books.usd <= BUDGET


def test_a_rate_is_kept_by_the_vendors_count(songs):
    """An even flow after a short burst: in any 5 seconds no more than both together."""
    songs.vendor.limit("gpt-5-mini", window_s=5)
    songs.sql("DELETE FROM songs WHERE id > 20")
    songs.configure(rpm=120)
    ended = songs.run()
    assert ended.code == 0, ended.said
    assert not songs.wrong()
    assert songs.books.limited == 0
    assert songs.books.calls == 20
    assert songs.books.most_in_window <= 15  # 4.9 at once, and 1.94 a second


def test_no_more_calls_are_in_flight_than_allowed(songs):
    """Whatever the function's own concurrency is."""
    songs.vendor.limit("gpt-5-mini", latency_s=0.02)
    songs.configure(concurrency=3)
    assert songs.run().code == 0
    assert songs.books.most_at_once <= 3
    assert not songs.wrong()


def test_a_daily_quota_pauses_and_says_until_when(songs):
    """Ours: known before the call is made."""
    songs.configure(daily=25, resets_at='"00:00 America/Los_Angeles"')
    ended = songs.run("--no-wait")
    assert (ended.code, ended.json["state"]) == (3, "paused"), ended.said
    assert songs.books.calls == 25
    assert "25 of 25 requests of the day are made" in ended.json["reason"]
    assert re.search(r"until 20\d\d-\d\d-\d\d 0[78]:00 UTC", ended.json["reason"])
    songs.configure(daily=100)
    accepted = ("--accept-changes", "providers")
    assert songs.proctor("resume", ended.json["id"], *accepted).code == 0
    assert not songs.wrong()
    assert (songs.books.calls, songs.books.paid_again) == (40, 0)


def test_a_daily_quota_of_the_vendor_pauses_too(songs):
    """Theirs: found out by the first reply that says so, and by few more."""
    songs.vendor.limit("gpt-5-mini", daily=25)
    ended = songs.run("--no-wait")
    assert (ended.code, ended.json["state"]) == (3, "paused"), ended.said
    assert "today's quota is used up" in ended.json["reason"]
    assert songs.books.calls == 25
    assert songs.books.limited <= 16
    songs.vendor.limit("gpt-5-mini", daily=None)
    assert songs.proctor("resume", ended.json["id"]).code == 0
    assert not songs.wrong()
    assert songs.books.paid_again == 0


def test_answers_in_the_air_when_a_run_pauses_are_kept(songs):
    """They are paid: the resumed run does not ask for them again."""
    songs.vendor.limit("gpt-5-mini", latency_s=0.3)
    songs.configure(daily=25)
    ended = songs.run("--no-wait")
    assert ended.code == 3
    songs.configure()
    accepted = ("--accept-changes", "providers")
    assert songs.proctor("resume", ended.json["id"], *accepted).code == 0
    assert (songs.books.calls, songs.books.paid_again) == (40, 0)
