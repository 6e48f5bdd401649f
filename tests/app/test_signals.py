"""Throttle signals of the user's own: wrong ones stop a run before it is opened or are named."""

import sqlite3

from contextlib import asynccontextmanager, closing

import pytest

from proctor.app import RunOptions
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
    async def opened(signals="", source=BACKFILLS):
        (tmp_path / "watched.py").write_text(source)
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


BROKEN = (
    '[[throttle.signal]]\nname = "queue"\nlimit = 5\nsql = "SELECT count(*) FROM outbx"\n'
    '[[throttle.signal]]\nname = "metrics"\nlimit = 5\nhttp = "http://127.0.0.1:1/x"\njson = "a"\n'
)
WATCHES = BACKFILLS.replace("import ", "import Watch, ").replace(
    'version="1"',
    'version="1", watch=[Watch(name="rows", limit=100, sql="SELECT count(*) FROM items")]',
)


async def test_doctor_asks_every_signal_once_and_says_what_is_wrong_with_it(shop):
    """The database's own words, not the place in our code where they were heard."""
    async with shop(BROKEN + NOT_THERE, source=WATCHES) as app:
        found = {f.subject: f for f in await app.doctor()}
    assert not found["throttle: queue"].ok
    assert "no such table: outbx" in found["throttle: queue"].detail
    assert not found["throttle: metrics"].ok
    assert "Connection refused" in found["throttle: metrics"].detail
    assert not found["throttle: lost"].ok
    assert "No module named 'sigz'" in found["throttle: lost"].detail
    rows = found["throttle: rows of normalise"]
    assert (rows.ok, rows.detail) == (True, "rows is 60 of 100")


async def test_a_plan_shows_the_signals_of_the_author_and_warns_of_silent_ones(shop):
    """What would not slow the run down is known before it runs."""
    async with shop(BROKEN, source=WATCHES) as app:
        plan = await app.plan("normalise")
    values = {s.name: s.value for s in plan.throttle}
    assert (values["rows"], values["queue"], values["metrics"]) == (60, None, None)
    warned = [w for w in plan.warnings if "not watched" in w]
    assert [w.split(" is not watched")[0] for w in warned] == [
        "the throttle signal queue",
        "the throttle signal metrics",
    ]


async def test_a_plan_of_a_run_that_would_be_refused_is_refused(shop):
    """A signal that cannot be loaded lets no run begin; its plan says so."""
    async with shop(NOT_THERE) as app:
        with pytest.raises(ConfigError, match="sigz:count cannot be loaded"):
            await app.plan("normalise")


async def test_a_run_says_on_record_which_signals_were_not_watched(shop):
    """Nobody needs to have looked at the terminal."""
    async with shop(BROKEN) as app:
        ended = await app.run("normalise", RunOptions())
        report = await app.report(ended.run.id)
        told = [e.data["signal"] for e in await app.record(ended.run.id) if "missed" in e.name]
    assert told == ["queue", "metrics"]
    assert any("signal queue was not watched" in warning for warning in report.warnings)
