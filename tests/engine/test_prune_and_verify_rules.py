"""Which runs may be forgotten, and what a verification makes of what it saw."""

import sqlite3

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from proctor.app import RunOptions
from proctor.app.wiring import open_app
from proctor.config import load
from proctor.core.lifecycle import ACTIVE, OCCUPYING
from proctor.engine.prune import Forgetting, chosen
from proctor.engine.verify import judge
from proctor.errors import IllegalMove
from proctor.model import RunState, Undone

BACKFILLS = '''
from proctor import backfill, table

@backfill(table("items", key="id"), fills="normal", version="1")
def fill(row):
    """Anything."""
    return {"normal": "x"}
'''


@pytest.fixture
async def pruned(tmp_path):
    """A function that puts a finished run into a state, and says what words would forget of it."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as db:
        db.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, normal TEXT)")
        db.execute("INSERT INTO items (id) VALUES (1), (2), (3)")
        db.commit()
    (tmp_path / "backfills.py").write_text(BACKFILLS)
    (tmp_path / "proctor.toml").write_text(
        'backfills = ["backfills"]\nledger = "sqlite:///ledger.db"\n'
        '[env.local]\nstore = "sqlite:///shop.db"\n'
    )
    async with open_app(load(tmp_path / "proctor.toml"), "local") as app:
        run = (await app.run("fill", RunOptions())).run

        async def ask(state, **words):
            with closing(sqlite3.connect(tmp_path / "shop.db")) as db:
                now = datetime.now(UTC).isoformat()
                db.execute("UPDATE proctor_runs SET state = ?, heartbeat = ?", (state, now))
                db.commit()
            words = {"run": run.id} | words
            return [part.rows for part in await chosen(app.site, Forgetting(**words), {})]

        yield ask


@pytest.mark.parametrize("state", sorted(ACTIVE - {RunState.QUEUED}))
async def test_a_run_at_work_is_not_forgotten_even_by_name(pruned, state):
    """P3: it would lose what it has just learned to undo."""
    with pytest.raises(IllegalMove, match="cannot be forgotten"):
        await pruned(state.value)
    assert await pruned("succeeded") == [3]


@pytest.mark.parametrize("state", sorted(OCCUPYING))
@pytest.mark.parametrize("words", [{"table": "items"}, {"older_than": timedelta(0)}])
async def test_a_run_that_is_not_finished_is_not_forgotten_with_others(pruned, state, words):
    """P3: nobody meant it, and it may be rolled back yet."""
    assert await pruned(state.value, run=None, **words) == []
    assert await pruned("succeeded", run=None, **words) == [3]


@pytest.mark.parametrize("wrong", ["changed", "gone", "blocked"])
def test_a_row_that_does_not_hold_what_was_written_fails_a_verification(wrong):
    """P8: in whichever way it does not."""
    verdict, _ = judge(Undone(written=3, restored=2, **{wrong: 1}), 0, 0)
    assert verdict == "fail"
    assert judge(Undone(written=3, restored=3), 0, 0)[0] == "pass"
    assert judge(Undone(written=3, restored=3), 2, 1)[0] == "fail"


def test_a_verification_that_saw_no_row_or_not_all_is_inconclusive():
    """P8: no data never passes."""
    assert judge(Undone(), 0, 0)[0] == "inconclusive"
    seen = judge(Undone(written=3, restored=3), 3, 0, unseen="2 rows: their images were pruned")
    assert seen[0] == "inconclusive"
