"""Throttle signals of the user's own: wrong ones stop a run before it is opened or are named."""

import sqlite3

from contextlib import asynccontextmanager, closing

import pytest

from proctor.app.facade import RunOptions
from proctor.app.wiring import open_app
from proctor.config import load
from proctor.engine.part import Part
from proctor.errors import ConfigError
from proctor.model import RunState

BACKFILLS = '''
from proctor import backfill, table

@backfill(table("items", key="id"), fills="normal", version="1")
def normalise(row):
    """Lower-case."""
    return {"normal": row["style"].lower()}
'''


@pytest.fixture
def shop(tmp_path):
    """A project with 60 rows; call it with the signals of its proctor.toml to open it."""
    with closing(sqlite3.connect(tmp_path / "shop.db")) as db:
        db.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, normal TEXT)")
        db.executemany(
            "INSERT INTO items (id, style) VALUES (?, ?)", [(n, f"STYLE {n}") for n in range(60)]
        )
        db.commit()

    @asynccontextmanager
    async def opened(signals=""):
        (tmp_path / "watched.py").write_text(BACKFILLS)
        (tmp_path / "proctor.toml").write_text(
            'backfills = ["watched"]\nledger = "sqlite:///ledger.db"\n'
            f'[env.local]\nstore = "sqlite:///shop.db"\n{signals}'
        )
        async with open_app(load(tmp_path / "proctor.toml"), "local") as app:
            yield app

    return opened


NOT_THERE = '[[throttle.signal]]\nname = "lost"\nlimit = 5\npython = "sigz:count"\n'


async def test_a_signal_that_cannot_be_loaded_leaves_no_run_behind(shop):
    """Wrong use writes nothing: the next run, of another part, is not refused for it."""
    async with shop(NOT_THERE) as app:
        with pytest.raises(ConfigError, match="sigz:count cannot be loaded"):
            await app.run("normalise", RunOptions(part=Part(limit=10)))
        assert await app.status() == []
    async with shop() as app:
        ended = await app.run("normalise", RunOptions(part=Part(limit=20)))
        assert ended.run.state is RunState.SUCCEEDED


async def test_a_restart_that_cannot_begin_gives_no_run_up(shop):
    """--restart cancels the unfinished run only where the new one can be opened."""
    async with shop() as app:
        options = RunOptions(until="00:00")
        options.stop.ask("the test's word")
        paused = await app.run("normalise", options)
        assert paused.run.state is RunState.PAUSED
    async with shop(NOT_THERE) as app:
        with pytest.raises(ConfigError, match="sigz:count cannot be loaded"):
            await app.run("normalise", RunOptions(restart=True))
        assert [seen.run.state for seen in await app.status()] == [RunState.PAUSED]
