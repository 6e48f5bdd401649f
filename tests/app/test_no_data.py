"""P8: no data never passes: a run that read nothing has nothing to be proud of."""

from proctor.app import RunOptions
from proctor.ui.reports import html, markdown
from proctor.ui.reports import json as statistics
from shop import Shop


async def test_a_run_that_read_nothing_has_no_rate_and_proves_nothing(tmp_path):
    """P8: neither a share of successes nor a verdict, on no face."""
    shop = Shop(tmp_path)
    shop.sql("DELETE FROM items")
    async with shop.by("ada") as app:
        run = (await app.run("fill", RunOptions())).run
        report = await app.report(run.id)
        verified = await app.verify(run.id)
    assert run.outcome.read == 0
    assert report.success_rate is None
    assert report.rows_per_second is None
    for face in (html, markdown, statistics):
        assert "100%" not in face.render(report).partition("<body>")[2 if face is html else 0]
    assert verified.verdict == "inconclusive"
