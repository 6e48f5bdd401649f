"""What prune forgets: all images of what was named, of no other run, and none before its time."""

import json

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from proctor.app import Forgetting, Part, RollbackOptions, RunOptions
from shop import BACKFILLS, CONFIG, Shop

TIMED = BACKFILLS.replace('version="1"', 'version="1", undo_for=timedelta(days=7)').replace(
    "from proctor", "from datetime import timedelta\nfrom proctor", 1
)


@pytest.fixture(params=["sqlite", "postgres", "ledger"])
def shop(request, tmp_path, pg):
    """Thirty items; progress and images beside them, or in the ledger."""
    made = Shop(tmp_path)
    if request.param == "ledger":
        made.configure(CONFIG.replace("[run]", 'progress = "ledger"\n[run]'))
    if request.param == "postgres":
        made.configure(CONFIG.replace('"sqlite:///shop.db"', json.dumps(pg)))
        with psycopg.connect(pg) as db:
            db.execute("CREATE TABLE items (id int PRIMARY KEY, normal text)")
            db.execute("INSERT INTO items SELECT n, NULL FROM generate_series(1, 30) n")
    return made


@pytest.mark.parametrize("words", [{"table": "items"}, {"older_than": timedelta(0)}, {}])
async def test_what_was_rolled_back_is_forgotten_too(shop, words):
    """Its images hold what stood in the rows: by table, by age and by name they go."""
    async with shop.by("ada") as app:
        run = (await app.run("fill", RunOptions())).run.id
        await app.rollback(run, RollbackOptions())
        plan = await app.prunable(Forgetting(**(words or {"run": run})))
        assert [(part.run.id, part.rows) for part in plan] == [(run, 0)]
        assert await app.prune(plan) == 0
        assert not any(c.has_undo for c in await app.site.store.chunks(run))
        assert await app.prunable(Forgetting(run=run)) == []
        assert (await app.report(run)).warnings == ()
    assert (await shop.told("images.pruned"))[-1].run == run


async def test_a_persons_rows_are_forgotten_where_they_were_undone(shop):
    """Whoever asked to be erased is in no journal any more; the others are."""
    async with shop.by("ada") as app:
        run = (await app.run("fill", RunOptions())).run.id
        await app.rollback(run, RollbackOptions(part=Part(stop="20")))
        await app.prune(await app.prunable(Forgetting(table="items", keys=("3", "23"))))
        chunks = await app.site.store.chunks(run)
        seen = await app.site.store.run(run)
        kept = [
            row.key
            for c in chunks
            for row in await app.site.store.journalled(seen, c.chunk.number, 99)
        ]
        assert {(3,), (23,)}.isdisjoint(kept)
        assert {(22,), (24,), (30,)} <= set(kept)
        undone = (await app.rollback(run, RollbackOptions())).undone
        assert (undone.written, undone.restored, undone.blocked) == (30, 29, 1)


async def test_runs_of_another_environment_are_not_forgotten(tmp_path):
    """P3: its protection must not be walked round."""
    shop = Shop(tmp_path)
    shop.configure(f'{CONFIG}\n[env.other]\nstore = "sqlite:///shop.db"\n')
    async with shop.by("ada") as app:
        await app.run("fill", RunOptions())
    async with shop.by("eve", env="other") as app:
        assert await app.prunable(Forgetting(table="items")) == []
        assert await app.prunable(Forgetting(older_than=timedelta(0))) == []


@pytest.mark.parametrize(("days", "kept"), [(6, [30]), (8, [])])
async def test_undo_data_is_kept_as_long_as_its_backfill_says(tmp_path, days, kept):
    """P3: neither for the thirty days of others, nor for less."""
    shop = Shop(tmp_path)
    shop.write(TIMED)
    async with shop.by("ada") as app:
        run = (await app.run("fill", RunOptions())).run.id
        ended = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        shop.sql(f"UPDATE proctor_runs SET ended = '{ended}'")
        await app.prune(await app.prunable(Forgetting()))
        assert [p.rows for p in await app.prunable(Forgetting(run=run))] == kept
