"""The report's sample of rows: as many as it shows, however unequal the chunks were."""

from proctor.app import RunOptions
from shop import CONFIG, Shop


async def test_a_small_last_chunk_leaves_its_places_to_the_others(tmp_path):
    """Ten rows of a run of 102 in chunks of 100 and of 2, in the order of their keys."""
    shop = Shop(tmp_path, rows=102)
    shop.configure(CONFIG.replace("chunk_rows = 10", "chunk_rows = 100"))
    async with shop.by("ada") as app:
        run = (await app.run("fill", RunOptions())).run.id
        sample = (await app.report(run)).sample
        written = [c.outcome.written for c in await app.site.store.chunks(run)]
    assert written == [100, 2]
    keys = [preview.key[0] for preview in sample]
    assert len(keys) == 10
    assert keys == sorted(keys)
    assert keys[-2:] == [101, 102]
