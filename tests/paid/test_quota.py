"""A daily quota that is used up: waited for, left, or gone on without; by the vendor's count."""

import os
import signal

from datetime import timedelta

import pytest

from paid.songs import until
from proctor import app
from proctor.config import load
from proctor.model import RunState
from proctor.testing.clock import AheadClock

LONG = bool(os.environ.get("PROCTOR_LONG"))
DAILY = 1_000 if LONG else 100
MODEL = "gpt-5-mini"
DAY = 86_400
CAUGHT = """
try:
    said = await ctx.llm(f"What does {song['title']} feel like?", output=Song)
except OutOfQuota as spent:
    return {"emotions": f"none from {spent.provider}", "confidence": "low"}
return {"emotions": said.emotions, "confidence": said.confidence}
"""
TOGETHER = """
async with asyncio.TaskGroup() as several:
    asked = several.create_task(
        ctx.llm(f"What does {song['title']} feel like?", output=Song)
    )
said = asked.result()
return {"emotions": said.emotions, "confidence": said.confidence}
"""
GATHERED = """
(said,) = await asyncio.gather(
    ctx.llm(f"What does {song['title']} feel like?", output=Song), return_exceptions=True
)
if not isinstance(said, Song):
    return {"emotions": "none from writer", "confidence": "low"}
return {"emotions": said.emotions, "confidence": said.confidence}
"""
IMPORTED = "from proctor import OutOfQuota"


@pytest.fixture
def days(songs):
    """Songs for two days of a quota, at noon of a simulated day; the clock both sides go by."""
    songs.add(f"song {number}" for number in range(40, 2 * DAILY))
    songs.configure(daily=DAILY)
    songs.vendor.limit(MODEL, daily=DAILY)
    clock = AheadClock()
    now = clock.now()
    noon = now.replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)

    def advance(seconds):
        songs.vendor.advance(seconds)  # it first: nobody asks for tomorrow's while it is today
        clock.advance(seconds)

    advance((noon - now).total_seconds())
    songs.tomorrow = lambda: advance(DAY)
    songs.clock = clock
    return songs


async def ended(days, hear, **options):
    """The end of a run of the app by the simulated clock; `hear` is told every event."""
    async with app.open(load(days.root / "proctor.toml"), clock=days.clock) as opened:
        opened.site.events.hear.append(hear)
        return await opened.run("about", app.RunOptions(**options))


async def test_a_daily_quota_is_waited_for_and_the_run_goes_on(days):
    """P6: so many on the first day, so many on the second, and nobody typed resume."""
    told = []

    def hear(event):
        told.append(event)
        if event.name == "quota.spent":
            assert days.books.calls == DAILY
            days.tomorrow()

    end = await ended(days, hear)
    assert end.run.state is RunState.SUCCEEDED, end
    assert sorted(days.books.by_day.values()) == [DAILY, DAILY]
    assert (days.books.limited, days.books.paid_again) == (0, 0)
    assert not days.wrong()
    names = [event.name for event in told]
    assert names.count("quota.spent") == names.count("quota.renewed") == 1
    (spent,) = (event for event in told if event.name == "quota.spent")
    assert (spent.data["provider"], spent.data["waits"]) == ("writer", True)
    assert f"{spent.data['until']:%H:%M}" == "00:00"
    near = [event.data for event in told if event.name == "limit.neared"]
    assert [(one["limit"], one["used"]) for one in near] == [("daily", str(DAILY * 4 // 5))] * 2


async def test_a_function_may_go_on_without_the_answer(days):
    """It catches OutOfQuota: what it gives instead is written, and nobody waits."""
    days.sql("DELETE FROM songs WHERE id > ?", DAILY + 20)
    days.says(CAUGHT, more=IMPORTED)
    told = []
    end = await ended(days, lambda event: told.append(event.name))
    assert end.run.state is RunState.SUCCEEDED, end
    without = [title for title, (said, _) in days.rows().items() if said == "none from writer"]
    assert (len(without), days.books.calls) == (20, DAILY)
    assert "quota.spent" not in told


async def test_a_quota_is_heard_through_a_group_of_questions(days):
    """Several asked at once, as asyncio.TaskGroup does: the run waits, and no row has failed."""
    days.sql("DELETE FROM songs WHERE id > ?", DAILY + 20)
    days.says(TOGETHER, more="import asyncio")

    def hear(event):
        if event.name == "quota.spent":
            days.tomorrow()

    end = await ended(days, hear)
    assert end.run.state is RunState.SUCCEEDED, end
    assert end.run.outcome.written == DAILY + 20
    assert not days.wrong()


@pytest.mark.parametrize(
    ("says", "more"), [(CAUGHT, IMPORTED), (GATHERED, "import asyncio")], ids=["caught", "gathered"]
)
async def test_whoever_catches_it_does_not_catch_a_stop(days, says, more):
    """Told to stop, a run writes no row as if its quota were used up: it asks later."""
    days.says(says, more=more)
    days.configure()
    days.vendor.limit(MODEL, daily=None, latency_s=0.05)
    stop = app.Stop()

    def hear(event):
        if event.name == "chunk.applied":
            stop.ask()

    end = await ended(days, hear, stop=stop)
    assert end.interrupted
    assert 0 < days.books.calls < 2 * DAILY
    assert not [title for title, (said, _) in days.rows().items() if said == "none from writer"]
    again = await ended(days, lambda _event: None)
    assert again.run.state is RunState.SUCCEEDED
    assert not days.wrong()


async def test_an_end_before_the_reset_is_not_waited_for(days):
    """--until comes first: there is nothing to stay for."""
    days.sql("DELETE FROM songs WHERE id > ?", DAILY + 20)
    told = []
    soon = days.clock.now().astimezone() + timedelta(hours=1)
    end = await ended(days, told.append, until=f"{soon:%H:%M}")
    (spent,) = (event for event in told if event.name == "quota.spent")
    assert (end.exit_code, end.run.state, spent.data["waits"]) == (3, RunState.PAUSED, False)
    assert "until" in end.run.reason


async def test_the_vendors_own_quota_is_waited_for_until_it_says_so(days):
    """proctor.toml knows of none: the first reply that says so is believed."""
    days.sql("DELETE FROM songs WHERE id > ?", DAILY + 20)
    days.configure(concurrency=1)  # none is in the air while a day passes
    told = []

    def hear(event):
        told.append(event.name)
        if event.name == "quota.spent":
            days.tomorrow()

    end = await ended(days, hear)
    assert end.run.state is RunState.SUCCEEDED, end
    assert sorted(days.books.by_day.values()) == [20, DAILY]
    assert days.books.paid_again == 0
    assert "quota.renewed" in told


def test_a_run_that_shall_not_wait_pauses_and_says_until_when(songs):
    """By word, or by proctor.toml."""
    songs.configure(daily=25)
    ended = songs.run("--no-wait")
    assert (ended.code, ended.json["state"]) == (3, "paused"), ended.said
    songs.configure(daily=25, others='[run]\nwhen_quota_spent = "pause"\n')
    again = songs.proctor("resume", ended.json["id"], "--json")
    assert (again.code, again.json["state"]) == (3, "paused"), again.said
    assert "25 of 25 requests of the day are made" in again.json["reason"]
    told = songs.proctor("resume", ended.json["id"])
    assert told.code == 3
    assert "exit code 3 the run is paused" in told.said


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_waits_says_so_and_can_be_stopped(songs, processes):
    """In its log, in `status` and in JSON, whoever looks; pause ends it at once."""
    songs.configure(daily=25)
    process = songs.spawn("run", "about", "--json", "--processes", str(processes))

    def waiting():
        seen = songs.proctor("status", "--json")
        return seen.code == 0 and next((r for r in seen.json["runs"] if r["waits_for"]), None)

    run = until(waiting, "waiting")
    assert run["state"] == "running"
    assert run["waits_for"][0].startswith("the daily quota of writer until 20")
    assert run["paid"]["providers"][0]["today"]["calls"] == 25
    shown = songs.proctor("status", run["id"]).said
    assert "waits for the daily quota of writer until" in shown
    assert songs.proctor("pause", run["id"]).code == 0
    ended = songs.ended(process)
    assert (ended.code, ended.json["state"]) == (130, "paused"), ended.said
    assert "waiting for the daily quota of writer until" in ended.err
    assert songs.books.calls == 25


def test_control_c_ends_a_wait(songs):
    """A person at the keyboard is not held until midnight."""
    songs.configure(daily=25)
    process = songs.spawn("run", "about", "--json")
    until(lambda: songs.books.calls == 25, "the last call of the day")
    process.send_signal(signal.SIGINT)
    ended = songs.ended(process)
    assert (ended.code, ended.json["state"]) == (130, "paused"), ended.said
