"""What the heart of a run raises the alarm about; hours of virtual time, a real store."""

import asyncio
import sqlite3
import sys

from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from proctor.adapters.ledger import MemoryLedger
from proctor.app import RunOptions
from proctor.app.wiring import open_app
from proctor.config import load
from proctor.engine.events import Events
from proctor.model import AlertRules
from proctor.testing.clock import FakeClock

BACKFILLS = '''
from proctor import backfill, table

@backfill(table("items", key="id"), fills="normal", version="1")
async def take_a_while(row):
    """As long as the test says."""
    await wait(row["id"])
    return {"normal": "done"}
'''
NONE = AlertRules()
ROWS = 280
CHUNK = 10


@pytest.fixture
def clock():
    return FakeClock(auto=False)


@pytest.fixture
def shop(tmp_path):
    """Rows to fill, and a project beside them."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as db:
        db.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, normal TEXT)")
        db.executemany("INSERT INTO items (id) VALUES (?)", [(n,) for n in range(ROWS)])
        db.commit()
    (tmp_path / "taking.py").write_text(BACKFILLS)
    (tmp_path / "proctor.toml").write_text(
        'backfills = ["taking"]\nledger = "sqlite:///ledger.db"\n'
        '[env.local]\nstore = "sqlite:///shop.db"\n'
        f"[run]\nchunk_rows = {CHUNK}\nworkers = 1\n"
    )
    return tmp_path


async def told(shop, clock, seconds_for, alerts=NONE):
    """The events of a run, each row of which takes so many seconds of the clock."""
    heard = []
    async with open_app(load(shop / "proctor.toml")) as app:
        events = Events(ledger=MemoryLedger(), clock=clock, env="local", who="ann")
        events.hear.append(heard.append)
        steady = replace(app.site.settings, most_rows=CHUNK)
        app.site = replace(app.site, clock=clock, events=events, settings=steady, alerts=alerts)
        sys.modules["taking"].wait = lambda key: clock.sleep(seconds_for(key))
        run = asyncio.create_task(app.run("take_a_while", RunOptions()))
        while not run.done():
            await clock.advance(1.0)
            for _ in range(5):
                # The file has one thread: what was asked in this second is answered before it ends.
                await app.site.store.health()
        assert (await run).run.outcome.written == ROWS
    return heard


def named(heard, name):
    return [event.data for event in heard if event.name == name]


async def test_a_run_that_stands_still_raises_an_event_once(shop, clock):
    """Two minutes without a settled row, while nothing throttles it."""
    heard = await told(shop, clock, lambda key: 200 if key == 50 else 1)
    (stalled,) = named(heard, "run.stalled")
    assert 120 <= stalled["seconds"] <= 125


async def test_a_rate_that_collapses_against_its_own_past_raises_an_event_once(shop, clock):
    """A tenth of what it was for minutes: with both rates, for whoever is called."""
    heard = await told(shop, clock, lambda key: 30 if 200 <= key < 230 else 1)
    (fallen,) = named(heard, "run.rate_collapsed")
    assert fallen["rate"] < 0.2 * fallen["usual"]
    assert not named(heard, "run.stalled")


async def test_what_is_worked_on_for_too_long_raises_an_alert_once(shop, clock):
    """*books*: processing for over an hour; who holds it, and what to do about it."""
    rules = AlertRules(stuck_after=timedelta(hours=1))
    heard = await told(shop, clock, lambda key: 4_000 if key == 50 else 1, rules)
    (stuck,) = named(heard, "alert.raised")
    assert (stuck["alert"], stuck["limit"]) == ("stuck", 60)
    assert 60 < stuck["value"] < 62
    assert "end that process, and it is tried again" in stuck["why"]


async def test_a_steady_run_raises_no_alarm(shop, clock):
    """Nor do its sweep and its last count."""
    heard = await told(shop, clock, lambda _key: 1, AlertRules(stuck_after=timedelta(minutes=1)))
    assert heard[-1].name == "run.succeeded"
    alarms = ("run.rate_collapsed", "run.stalled", "alert.raised")
    assert [name for name in alarms if named(heard, name)] == []
