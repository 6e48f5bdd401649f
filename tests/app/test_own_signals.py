"""A signal that a backfill watches for itself holds its run and its rollback alike."""

from proctor.app import RollbackOptions, RunOptions
from shop import BACKFILLS, Shop

WATCHING = BACKFILLS.replace("backfill, table", "Watch, backfill, table", 1).replace(
    'version="1"',
    'version="1", watch=Watch(name="queue", limit=10, sql="SELECT length FROM queue")',
)


async def test_a_rollback_watches_what_its_backfill_watches(tmp_path):
    """Its chunks are as heavy for that queue as those of the run were."""
    shop = Shop(tmp_path)
    shop.write(WATCHING)
    shop.sql("CREATE TABLE queue AS SELECT 1 AS length")
    seen = []
    async with shop.by("ada") as app:
        run = (await app.run("fill", RunOptions(), seen.append)).run.id
        assert "queue" in {s.name for shown in seen for s in shown.throttle}
        seen.clear()
        await app.rollback(run, RollbackOptions(), seen.append)
    assert "queue" in {s.name for shown in seen for s in shown.throttle}
