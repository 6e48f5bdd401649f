"""P12: no secret of the environment leaves through what an author's function says of a row."""

import pytest

from proctor.app import RunOptions
from proctor.ui.reports import html, markdown
from proctor.ui.reports import json as statistics
from shop import Shop

TOKEN = "correct-horse-battery"
BACKFILLS = '''
import os

from proctor import ErrorBudget, Refuse, Skip, backfill, table

BUDGET = ErrorBudget({budget})

@backfill(table("items", key="id"), fills="normal", version="1", budget=BUDGET)
def fill(row):
    """Ask a service that answers with what it was asked with."""
    token = os.environ["OPS_TOKEN"]
    match row["id"] % 5:
        case 0:
            raise ValueError(f"401 for {{token}}")
        case 1:
            return Skip(f"not asked with {{token}}")
        case 2:
            return Refuse(f"postgresql://app:{{token}}@db refused")
    return {{"normal": "x"}}
'''


@pytest.mark.parametrize(("budget", "state"), [("share=1.0", "succeeded"), ("count=2", "paused")])
async def test_no_reason_of_a_row_holds_a_secret(tmp_path, monkeypatch, budget, state):
    """Neither in the list of rows nor in the run's own reason, in the target or on a face."""
    monkeypatch.setenv("OPS_TOKEN", TOKEN)
    shop = Shop(tmp_path)
    shop.write(BACKFILLS.format(budget=budget))
    async with shop.by("ada") as app:
        run = (await app.run("fill", RunOptions())).run
        report = await app.report(run.id)
        kept = [await app.site.store.issues(run.id), await app.site.store.run(run.id)]
        told = await app.unwritten(run.id)
        record = await app.record(run.id)
    assert run.state == state
    assert "401 for ***" in repr(kept)
    for text in (repr(kept), repr(told), repr(record)):
        assert TOKEN not in text
    for face in (html, markdown, statistics):
        assert TOKEN not in face.render(report)


async def test_what_a_signal_says_is_kept_without_secrets(tmp_path, monkeypatch):
    """The ledger of every environment is opened with the net of its configuration."""
    monkeypatch.setenv("OPS_TOKEN", TOKEN)
    shop = Shop(tmp_path)
    async with shop.by("ada") as app:
        app.site.events.emit("run.throttled", "r1", why=f"401 for {TOKEN}")
        await app.site.events.flush()
    (told,) = await shop.told("run.throttled")
    assert told.data["why"] == "401 for ***"
