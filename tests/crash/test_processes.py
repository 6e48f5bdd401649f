"""A run spread over processes, one of which is killed, ends as if nothing had happened."""

import os
import signal

import pytest

from crash.story import finish_rollback, finish_run, undisturbed


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_slice_killed_while_it_works(make_world, kind):
    """The leases of the dead slice run out, another takes its chunks; every row is right."""
    world = make_world(kind, chunk_rows=4, lease_s=5, rows=60)
    truth = undisturbed(world)
    world.fresh()
    life = world.birth("resume", options={"processes": 2}, env={"CRASH_SLOW_S": "0.05"})
    world.until("SELECT count(*) > 0 FROM audit")
    slices = life.workers()
    assert len(slices) == 2, "two processes carry the run"
    os.kill(slices[0], signal.SIGKILL)
    report = life.wait()
    assert report["resume"]["state"] == "succeeded", report
    finish_run(world, truth)
    world.clear_audit()
    finish_rollback(world, truth)
