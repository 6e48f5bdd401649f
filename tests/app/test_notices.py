"""Notices of real runs at a real web server: sent beside the run, which never waits or fails."""

import asyncio
import time

import pytest

from proctor.app import RunOptions
from proctor.engine import notices
from receiver import receiving
from shop import BACKFILLS, CONFIG, Shop

FAILING = BACKFILLS.replace(
    'return {"normal": "x"}', 'return {"normal": "x" if row["id"] % 2 else 1 / 0}'
)
UNITS = '''
from proctor import backfill, grid, table

@backfill(grid(month=range(1, 5)), emits=table("works", key="isbn"), fills=("title",), version="1")
def month(unit, ctx):
    """Half of what is generated is resolved."""
    ctx.record(generated=20, resolved=10)
    return [{"isbn": f"{unit['month']}", "title": "x"}]
'''


@pytest.fixture
def receiver():
    with receiving() as server:
        yield server


@pytest.fixture
def shop(tmp_path, receiver):
    made = Shop(tmp_path)
    made.receiver = receiver
    return made


def place(shop, *keys, table="[notify]", url=None):
    lines = "\n".join(keys)
    return f'{table}\nurls = ["{url or shop.receiver.url}"]\n{lines}\n'


async def run(shop, name="fill"):
    async with shop.by("ada") as app:
        return (await app.run(name, RunOptions())).run


async def test_one_command_is_one_message_that_is_sent_before_it_ends(shop):
    """What happens together is told together."""
    shop.configure(CONFIG + place(shop, 'severity = "info"', 'events = ["run.*"]'))
    ended = await run(shop)
    (got,) = shop.receiver.got
    assert got["title"] == "Proctor, local: run.opened of fill (info) and 1 more"
    assert f"run.succeeded of fill (info) [{ended.id}]" in got["message"]
    assert got["type"] == "info"
    (told,) = await shop.told("notice.sent")
    assert told.data["place"] == "place 1"
    assert len(told.data["things"]) == 2


async def test_a_run_that_goes_well_tells_nobody_who_did_not_ask(shop):
    shop.configure(CONFIG + place(shop))
    await run(shop)
    assert shop.receiver.got == []


async def test_one_place_gets_all_and_another_only_what_is_critical(shop):
    with receiving() as pager:
        places = place(shop, 'severity = "info"', 'events = ["run.*"]', table="[[notify]]")
        places += place(shop, 'severity = "critical"', table="[[notify]]", url=pager.url)
        shop.configure(CONFIG + places)
        await run(shop)
        assert pager.got == []
        async with shop.by("ada") as app:
            app.site.events.emit("run.stalled", "r1", seconds=130)
        assert "run.stalled (critical)" in pager.titles[0]
    assert len(shop.receiver.got) == 2


async def test_the_same_thing_is_told_once_whichever_process_finds_it(shop):
    """A schedule that fails every five minutes does not call every five minutes."""
    shop.configure(CONFIG + place(shop))
    for _ in range(3):
        async with shop.by("cron") as app:
            app.site.events.emit("run.failed", "", backfill="fill", why="down")
    assert len(shop.receiver.got) == 1
    async with shop.by("cron") as app:
        app.site.events.emit("run.failed", "", backfill="another", why="down")
    assert len(shop.receiver.got) == 2


async def test_what_could_not_be_sent_is_no_repeat(shop):
    """It is tried again, and told when the place is back."""
    shop.configure(CONFIG + place(shop))
    shop.receiver.status = 500
    async with shop.by("cron") as app:
        app.site.events.emit("run.failed", "r1", why="down")
    (missed,) = await shop.told("notice.missed")
    assert "500" in missed.data["why"]
    assert missed.data["notices"] == 1
    assert len(shop.receiver.got) == 2
    shop.receiver.status = 200
    async with shop.by("cron") as app:
        app.site.events.emit("run.failed", "r1", why="down")
    assert len(shop.receiver.got) == 3
    assert len(await shop.told("notice.sent")) == 1


async def test_no_place_can_stop_a_run(shop, tmp_path):
    """Dead, unknown, not set, refusing: the run ends as it would have ended."""
    shop.receiver.status = 500
    said = 'severity = "info"'
    urls = ["json://127.0.0.1:1", "nosuch://x", "${NOT_SET_ANYWHERE}", shop.receiver.url]
    shop.configure(CONFIG + "".join(place(shop, said, table="[[notify]]", url=u) for u in urls))
    assert (await run(shop)).state == "succeeded"
    missed = await shop.told("notice.missed")
    assert {e.data["place"] for e in missed} == {f"place {n}" for n in (1, 2, 3, 4)}
    assert "NOT_SET_ANYWHERE" in str([e.data for e in missed])


async def test_a_place_that_hangs_holds_up_neither_run_nor_end(shop, monkeypatch):
    """The run goes on while it hangs, and the command gives it only so long."""
    monkeypatch.setattr(notices, "CLOSE_WITHIN", 0.5)
    shop.receiver.free.clear()
    shop.configure(CONFIG + place(shop, 'severity = "info"'))
    began = time.monotonic()
    assert (await run(shop)).state == "succeeded"
    assert time.monotonic() - began < 8
    (missed,) = await shop.told("notice.missed")
    assert missed.data["why"] == "the command ended first"


async def test_events_are_heard_at_once_however_slow_a_place_is(shop):
    """Telling costs a run nothing: a thousand events while a message is on its way."""
    shop.receiver.free.clear()
    shop.configure(CONFIG + place(shop))
    async with shop.by("ada") as app:
        events = app.site.events
        events.emit("run.failed", "r0", why="x")
        await asyncio.to_thread(shop.receiver.asked.wait, 30)
        began = time.monotonic()
        for n in range(1, 1_201):
            events.emit("run.failed", f"r{n}", why="x")
        assert time.monotonic() - began < 5
        shop.receiver.free.set()
    assert "and 1199 more" in shop.receiver.titles[1]


async def test_no_secret_is_sent(shop, monkeypatch):
    """P12."""
    monkeypatch.setenv("OPS_TOKEN", "hunter22hunter")
    shop.configure(CONFIG + place(shop))
    async with shop.by("ada") as app:
        app.site.events.emit("run.failed", "r1", why="401 for hunter22hunter")
    assert "401 for ***" in shop.receiver.got[0]["message"]
    assert "hunter22hunter" not in str(shop.receiver.got)


async def test_silence_holds_back_warnings(shop):
    shop.configure(CONFIG + place(shop, 'silence = ["00:00-24:00"]'))
    async with shop.by("ada") as app:
        app.site.events.emit("limit.neared", provider="p", limit="daily", used=8, of=10)
        app.site.events.emit("run.stalled", "r1", seconds=130)
    (title,) = shop.receiver.titles
    assert title.endswith("run.stalled (critical)")


async def test_only_the_environments_that_were_named_are_told_of(shop):
    shop.configure(CONFIG + place(shop, 'envs = ["production"]'))
    async with shop.by("ada") as app:
        app.site.events.emit("run.failed", "r1", why="x")
    assert shop.receiver.got == []


async def test_more_failed_rows_than_allowed_raise_an_alert(shop):
    """*books*: more than 5 failed. Told once, with both numbers."""
    shop.write(
        FAILING.replace('version="1"', 'version="1", budget=ErrorBudget(share=1.0)').replace(
            "import backfill", "import ErrorBudget, backfill"
        )
    )
    shop.configure(CONFIG + "[alerts]\nfailed = 5\n" + place(shop))
    await run(shop)
    (told,) = await shop.told("alert.raised")
    assert told.data["alert"] == "failed"
    assert (told.data["value"], told.data["limit"]) == (15, 5)
    assert "15 rows failed, and 5 may" in shop.receiver.got[0]["message"]


@pytest.mark.parametrize(("wanted", "raised"), [(0.5, 0), (0.9, 1)])
async def test_too_little_coverage_at_the_end_raises_an_alert(shop, wanted, raised):
    shop.write(
        BACKFILLS.replace(
            'return {"normal": "x"}', 'return {"normal": "x"} if row["id"] % 5 else Skip("later")'
        ).replace("import backfill", "import Skip, backfill")
    )
    shop.configure(CONFIG + f"[alerts]\ncoverage = {wanted}\n")
    await run(shop)
    told = await shop.told("alert.raised")
    assert len(told) == raised
    assert all("80.0% of 30 is done" in event.data["why"] for event in told)


@pytest.mark.parametrize(
    ("keys", "raised"),
    [("below = 0.6", 1), ("below = 0.4", 0), ("below = 0.6\nmin_samples = 81", 0)],
)
async def test_a_share_of_what_units_record_raises_an_alert(shop, keys, raised):
    """*books*: resolution under 60 %; of too few nothing is said."""
    shop.sql("CREATE TABLE works (isbn TEXT PRIMARY KEY, title TEXT)")
    shop.write(UNITS)
    share = f'[alerts.share.resolution]\nof = "resolved"\namong = "generated"\n{keys}\n'
    shop.configure(CONFIG + share)
    await run(shop, "month")
    told = await shop.told("alert.raised")
    assert len(told) == raised
    assert all("resolved 40 of generated 80: 50%" in event.data["why"] for event in told)


async def test_without_a_table_of_alerts_nothing_is_looked_at(shop):
    await run(shop)
    assert await shop.told("alert.raised") == []
