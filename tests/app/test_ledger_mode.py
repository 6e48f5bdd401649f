"""A role that may make no table: refused with both ways out, or run with progress in the ledger."""

import contextlib
import json
import sqlite3

import psycopg
import pytest

from proctor.app import RollbackOptions, RunOptions
from proctor.app.wiring import open_app
from proctor.config import load
from proctor.errors import ConfigError, Denied

BACKFILLS = '''
from proctor import backfill, table

@backfill(table("items", key="id"), fills="normal", version="1")
def normalise(row):
    """Lower-case it."""
    return {"normal": row["style"].lower()}
'''


@pytest.fixture
def poor(pg, pg_server):
    """A URL of a role that may read and fill the table, and nothing else."""
    database = pg.rpartition("/")[2]
    role = f"poor_{database}"
    with psycopg.connect(pg, autocommit=True) as connection:
        connection.execute("CREATE TABLE items (id int PRIMARY KEY, style text, normal text)")
        connection.execute("INSERT INTO items SELECT n, 'Style ' || n FROM generate_series(1, 9) n")
        connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
        connection.execute(f"GRANT SELECT, UPDATE (normal) ON items TO {role}")
    yield pg_server.url(database, user=role)
    with psycopg.connect(pg, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {role}")
        connection.execute(f"DROP ROLE {role}")


def project(root, store, extra=""):
    """A project with this store, as proctor.toml says it."""
    (root / "backfills.py").write_text(BACKFILLS)
    (root / "proctor.toml").write_text(
        f'backfills = ["backfills"]\nledger = "sqlite:///.proctor/ledger.db"\n'
        f"[env.production]\nstore = {json.dumps(store)}\nprotected = true\n{extra}"
    )
    return load(root / "proctor.toml")


def filled(url):
    with psycopg.connect(url) as connection:
        ((count,),) = connection.execute("SELECT count(normal) FROM items").fetchall()
        return count


async def test_without_asking_the_run_is_refused_with_both_ways_out(poor, tmp_path):
    """Nothing slides into the weaker mode by itself: the GRANT is named, and the alternative."""
    async with open_app(project(tmp_path, poor), "production") as app:
        warnings = " ".join((await app.plan("normalise")).warnings)
        found = {f.subject: f for f in await app.doctor()}
        with pytest.raises(Denied) as caught:
            await app.run("normalise", RunOptions(confirmed=True))
    assert "progress = 'ledger'" in warnings
    assert not found["backfill normalise"].ok
    assert "progress = 'ledger'" in found["backfill normalise"].fix
    assert f'GRANT CREATE ON DATABASE "{poor.rpartition("/")[2]}" TO "' in (
        found["backfill normalise"].fix
    )
    assert "GRANT CREATE ON DATABASE" in caught.value.fix
    assert 'progress = "ledger"' in caught.value.fix
    assert filled(poor) == 0


async def test_a_schema_without_privileges_on_it_is_refused_with_both_ways_out(pg, poor, tmp_path):
    """The tables of another role's runs are there: which role needs what, and the alternative."""
    async with open_app(project(tmp_path, pg), "production") as app:
        await app.run("normalise", RunOptions(confirmed=True))
    async with open_app(project(tmp_path, poor), "production") as app:
        with pytest.raises(Denied) as caught:
            await app.run("normalise", RunOptions(confirmed=True))
        assert not all(f.ok for f in await app.doctor())
    role = f"poor_{pg.rpartition('/')[2]}"
    assert caught.value.found == f"{role}: permission denied for schema proctor"
    assert f'GRANT ALL ON ALL TABLES IN SCHEMA proctor TO "{role}"' in caught.value.fix
    assert 'progress = "ledger"' in caught.value.fix


async def test_an_environment_that_asks_for_it_runs_verifies_and_rolls_back(poor, tmp_path):
    """The plan and doctor say what the mode loses; the run is an ordinary run."""
    config = project(tmp_path, poor, 'progress = "ledger"\n')
    async with open_app(config, "production") as app:
        plan = await app.plan("normalise")
        found = {f.subject: f for f in await app.doctor()}
        ended = await app.run("normalise", RunOptions(confirmed=True))
        run = ended.run.id
        assert filled(poor) == 9
        assert (await app.verify(run)).verdict == "pass"
        back = await app.rollback(run, RollbackOptions(confirmed=True))
    assert "a lost ledger loses the undo" in " ".join(plan.warnings)
    assert found["backfill normalise"].ok
    assert ended.run.outcome.written == 9
    assert back.undone.restored == 9
    assert filled(poor) == 0


async def test_runs_of_other_environments_on_the_same_ledger_are_not_seen(poor, tmp_path):
    """A ledger is shared; the runs on one database are not those on another."""
    config = project(tmp_path, poor, 'progress = "ledger"\n')
    async with open_app(config, "production") as app:
        await app.run("normalise", RunOptions(confirmed=True))
        assert len(await app.status()) == 1
    text = (tmp_path / "proctor.toml").read_text().replace("env.production", "env.staging")
    (tmp_path / "proctor.toml").write_text(text)
    async with open_app(load(tmp_path / "proctor.toml"), "staging") as app:
        assert await app.status() == []


async def test_a_ledger_in_memory_cannot_keep_progress(poor, tmp_path):
    """It would forget the undo with the process."""
    config = project(tmp_path, poor, 'progress = "ledger"\nledger = "memory://"\n')
    with pytest.raises(ConfigError, match="memory"):
        async with open_app(config, "production"):
            pass


async def test_the_ledger_may_not_be_the_file_that_is_filled(tmp_path):
    """Both would want its one write lock, and the tables would be in it after all."""
    (tmp_path / "shop.db").touch()
    store = f"sqlite:///{tmp_path / 'shop.db'}"
    config = project(tmp_path, store, f'progress = "ledger"\nledger = {json.dumps(store)}\n')
    with pytest.raises(ConfigError, match="the very file"):
        async with open_app(config, "production"):
            pass


async def test_a_sqlite_file_gets_no_table_of_ours(tmp_path):
    """Run, verified and rolled back; the file's schema is as it was."""
    with contextlib.closing(sqlite3.connect(tmp_path / "shop.db")) as file:
        file.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, style TEXT, normal TEXT)")
        file.executemany("INSERT INTO items VALUES (?, ?, NULL)", [(i, "Style") for i in range(9)])
        file.commit()
        config = project(tmp_path, f"sqlite:///{tmp_path / 'shop.db'}", 'progress = "ledger"\n')
        async with open_app(config, "production") as app:
            plan = await app.plan("normalise")
            ended = await app.run("normalise", RunOptions(confirmed=True))
            assert (await app.verify(ended.run.id)).verdict == "pass"
            assert file.execute("SELECT count(normal) FROM items").fetchone() == (9,)
            back = await app.rollback(ended.run.id, RollbackOptions(confirmed=True))
        assert back.undone.restored == 9
        assert file.execute("SELECT name FROM sqlite_master").fetchall() == [("items",)]
    assert "comparing images" in " ".join(plan.warnings)
