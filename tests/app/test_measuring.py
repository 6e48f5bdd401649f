"""A look at a metric: figures from whoever knows them, and every failure an error of its own."""

import asyncio
import contextlib

from datetime import timedelta

import pytest

from proctor.adapters.conditions import SimpleConditions
from proctor.app import RunOptions
from proctor.app.auditing import coverage_of
from proctor.engine.measuring import Gauge
from proctor.errors import Unmeasured
from proctor.model import (
    CheckedRows,
    Coverage,
    Metric,
    ProbeAnswer,
    PythonFigures,
    RunFigures,
    SqlCounts,
)
from shop import Shop

CODE = '''
from proctor import Skip, backfill, checks, table

@backfill(table("items", key="id", where="id > 5"), fills="normal", version="1", checks=[
    checks.length("normal", most=3), checks.forbidden("normal", "z", level="critical"),
    checks.forbidden("normal", "y", level="warning"),
])
def fill(row):
    """Ten rows are skipped, and one fails."""
    if row["id"] == 7: raise ValueError
    return Skip("no") if row["id"] > 20 else {"normal": "x"}
'''


class World:
    """What is outside: gives what the test says, raises it, or never answers."""

    def __init__(self, answer=None):
        self.answer = answer
        self.asked = []

    async def measure(self, source, /, *, since, until, within):
        self.asked.append((source, until - since, within))
        if isinstance(self.answer, BaseException):
            raise self.answer
        if self.answer is None:
            await asyncio.Event().wait()
        return self.answer


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    shop.write(CODE)
    return shop


@contextlib.asynccontextmanager
async def gauge(shop, world=None):
    async with shop.by("ada") as app:
        gauge = Gauge(site=app.site, meter=world or World(), backfills=app.backfills)

        async def look(source, before=None, **more):
            now = app.site.clock.now()
            metric = Metric(name="m", source=source, **more)
            since = now - timedelta(hours=1)
            return await gauge.measure(metric, since=since, until=now, before=before)

        yield app, look


async def test_coverage_is_of_the_rows_that_the_backfill_is_for(shop):
    """Rows that `where=` leaves out are neither done nor to do; skipped ones are to do."""
    async with gauge(shop) as (app, look):
        source = Coverage(backfill="fill")
        nothing = {"eligible": 25, "done": 0, "total": 25, "share": 0.0, "exact": 1}
        assert await look(source) == nothing
        await app.run("fill", RunOptions())
        assert await look(source) == {
            "eligible": 11,
            "done": 14,
            "total": 25,
            "share": 0.56,
            "exact": 1,
        }


async def test_rows_of_an_older_version_are_not_done(shop):
    shop.sql("ALTER TABLE items ADD COLUMN made TEXT")
    shop.write(CODE.replace('version="1"', 'version="2", stamp="made"'))
    shop.sql("UPDATE items SET normal = 'x', made = '1' WHERE id <= 20")
    shop.sql("UPDATE items SET made = '2' WHERE id <= 10")
    async with gauge(shop) as (_, look):
        found = await look(Coverage(backfill="fill"))
    assert (found["total"], found["done"], found["eligible"]) == (25, 5, 20)


async def test_of_no_rows_there_is_no_share(shop):
    """P8: an empty table proves nothing."""
    shop.sql("DELETE FROM items")
    async with gauge(shop) as (app, look):
        assert "share" not in await look(Coverage(backfill="fill"))
        assert (await coverage_of(app, "fill", {})).share is None


async def test_a_runs_figures_are_its_books_and_what_they_grew_by(shop):
    async with gauge(shop) as (app, look):
        source = RunFigures(backfill="fill")
        with pytest.raises(Unmeasured, match="no run"):
            await look(source)
        await app.run("fill", RunOptions())
        first = await look(source)
        assert (first["read"], first["written"], first["skipped"], first["failed"]) == (
            25,
            14,
            10,
            1,
        )
        assert first["written_new"] == 14
        assert first["rate"] > 0
        again = await look(source, first)
        assert (again["written"], again["written_new"], again["rate"]) == (14, 0, 0)
        for name in ("calls", "limited", "fallbacks", "usd"):
            assert (first[name], first[f"{name}_new"]) == (0, 0)
        # Another run has begun since, with fewer rows so far: all of them are new.
        other = await look(source, {**first, "read": 1000})
        assert other["read_new"] == 25


ERRORS = '''
from proctor import Refuse, backfill, checks, table

@backfill(table("items", key="id"), fills="normal", version="1",
          checks=[checks.forbidden("normal", "z")])
def fill(row):
    """Rows of every kind of failure."""
    if row["id"] < 4: raise ValueError(f"odd: {row['id']} at 3:4")
    if row["id"] == 4: raise KeyError
    if row["id"] == 5: return 5
    if row["id"] == 6: return Refuse("ValueError at x.py:3")
    return {"normal": "z" if row["id"] < 9 else "x"}
'''


async def test_failed_rows_are_counted_by_class_of_error(shop):
    """Of each class that is named, also of one that never came; the rest is `other`."""
    shop.write(ERRORS)
    async with gauge(shop) as (app, look):
        await app.run("fill", RunOptions())
        named = ("ValueError", "forbidden", "TimeoutError")
        first = await look(RunFigures(backfill="fill", errors=named))
        again = await look(RunFigures(backfill="fill", errors=named), {**first})
        plain = await look(RunFigures(backfill="fill"))
    classes = {k: v for k, v in first.items() if k.startswith("failed.") and "_new" not in k}
    assert classes == {
        "failed.ValueError": 3,
        "failed.forbidden": 2,
        "failed.TimeoutError": 0,
        "failed.other": 2,
    }
    assert sum(classes.values()) == first["failed"] == 7
    assert (first["failed.ValueError_new"], again["failed.ValueError_new"]) == (3, 0)
    assert not [name for name in plain if name.startswith("failed.")]
    assert SimpleConditions().holds('result["failed.TimeoutError"] == 0', first)


async def test_rows_are_checked_as_they_stand(shop):
    shop.sql("UPDATE items SET normal = 'x'")
    shop.sql("UPDATE items SET normal = 'long' WHERE id = 28")
    shop.sql("UPDATE items SET normal = 'y' WHERE id IN (29, 30)")
    async with gauge(shop) as (gauged, look):
        found = await look(CheckedRows(backfill="fill", latest=10))
        assert found == {
            "rows": 10,
            "failures": 1,
            "critical": 0,
            "warnings": 2,
            "unsure": 0,
            "passed": 0,
        }
        shop.sql("UPDATE items SET normal = 'z' WHERE id = 28")
        assert (await look(CheckedRows(backfill="fill", latest=10)))["critical"] == 1
        await gauged.site.events.flush()
        assert not await gauged.site.events.ledger.events(name="rows.checked")


async def test_counts_are_asked_of_the_store(shop):
    async with gauge(shop) as (_, look):
        sql = "SELECT count(*) AS total, count(normal) AS events FROM items WHERE :since < :until"
        assert await look(SqlCounts(sql=sql)) == {"total": 30, "events": 0}


async def test_all_else_is_asked_outside(shop):
    world = World({"value": 1})
    async with gauge(shop, world) as (_, look):
        for source in (ProbeAnswer(probe="home"), PythonFigures(call=dict)):
            assert await look(source, timeout=timedelta(seconds=7)) == {"value": 1}
    assert [(type(s).__name__, window.seconds, within.seconds) for s, window, within in world.asked]
    assert world.asked[1][1:] == (timedelta(hours=1), timedelta(seconds=7))


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Unmeasured("the tool is away"), "the tool is away"),
        (KeyError("4111-1111"), "KeyError"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (None, "in time"),
    ],
)
async def test_whatever_fails_is_an_error_of_the_metric(shop, answer, told):
    """By its class alone: its words may hold what stands in a row."""
    async with gauge(shop, World(answer)) as (_, look):
        with pytest.raises(Unmeasured, match=told) as caught:
            await look(ProbeAnswer(probe="home"), timeout=timedelta(milliseconds=50))
    assert "4111" not in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        SqlCounts(sql="SELECT 0.5 AS share"),
        SqlCounts(sql="DELETE FROM items RETURNING id AS total"),
        Coverage(backfill="nobody"),
        RunFigures(backfill="nobody"),
        CheckedRows(backfill="nobody"),
    ],
    ids=str,
)
async def test_a_question_that_cannot_be_answered_is_an_error_of_the_metric(shop, source):
    async with gauge(shop) as (_, look):
        with pytest.raises(Unmeasured):
            await look(source)
    assert shop.sql("SELECT count(*) FROM items") == [(30,)]


async def test_a_table_that_is_gone_is_an_error_of_the_metric(shop):
    async with gauge(shop) as (_, look):
        shop.sql("DROP TABLE items")
        counts = SqlCounts(sql="SELECT count(*) AS total FROM items")
        for source in (Coverage(backfill="fill"), CheckedRows(backfill="fill"), counts):
            with pytest.raises(Unmeasured):
                await look(source)


async def test_who_is_cancelled_is_cancelled(shop):
    """It is no failure of the metric."""
    async with gauge(shop, World()) as (_, look):
        looking = asyncio.ensure_future(look(ProbeAnswer(probe="home")))
        await asyncio.sleep(0)
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
