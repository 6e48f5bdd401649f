"""Postgres itself dies in the middle of a run, more than once, and comes back on the same data."""

import random

import pytest

import servers

from crash.story import finish_rollback, finish_run, look, undisturbed
from crash.worlds import PostgresWorld

DEATHS = 2
ROWS = 100


@pytest.fixture
def durable():
    """A server of this test's own that keeps what it committed."""
    server = servers.start_postgres(fsync=True)
    yield server
    server.close()


@pytest.fixture
def world(lives, tmp_path, durable):
    """A world on that server, without a proxy."""
    found = PostgresWorld(lives, tmp_path / "project", durable, None, rows=ROWS)
    yield found
    found.bury()
    found.close()


def kill_and_restart(world):
    """Kill -9 of the postmaster, and a start on the same data directory."""
    world.server.kill()
    world.connection.close()
    world.server.start()
    world.connect()


def test_postgres_killed_while_a_run_is_at_work(world):
    """The run waits for the database and goes on by itself; the end is the undisturbed one."""
    dice = random.Random(20261122)
    truth = undisturbed(world)
    world.fresh()
    life = world.birth("resume", env={"CRASH_SLOW_S": "0.02"})
    for part in range(1, DEATHS + 1):
        written = truth.outcome["written"] * part // (DEATHS + 2) + dice.randint(0, 5)
        world.until(f"SELECT count(*) >= {written} FROM audit")
        kill_and_restart(world)
    assert life.doing() != "Z", "the run was over before the last death"
    report = life.wait()
    assert report["resume"]["state"] == "succeeded", report
    finish_run(world, truth)
    world.clear_audit()
    life = world.birth("undo")
    world.until("SELECT count(*) > 0 FROM audit")
    kill_and_restart(world)
    life.wait()
    look(world.live("look"))
    finish_rollback(world, truth)
