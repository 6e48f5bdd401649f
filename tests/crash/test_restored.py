"""Progress lives with the data: a target put back to an earlier point goes on from that point."""

import pytest

from crash import wardrobe
from crash.story import finish_rollback, finish_run, look, undisturbed

KINDS = pytest.mark.parametrize("kind", ["sqlite", "postgres"])
EARLY = {"CRASH_HOLD_AT": str(8 * wardrobe.STEP)}
MIDDLE = {"CRASH_HOLD_AT": str(20 * wardrobe.STEP)}  # in the fourth chunk: two at least are written


def pause_in_the_middle(world):
    """An operator pauses the run while it is at work."""
    life = world.birth("run", env=MIDDLE).until_held()
    world.live("pause")
    life.go_on()
    assert life.wait()["run"]["state"] == "paused"


def kill_in_the_middle(world):
    """The worker dies while it is at work."""
    world.birth("run", env=MIDDLE).until_held().kill()


@KINDS
@pytest.mark.parametrize("stop", [pause_in_the_middle, kill_in_the_middle])
def test_a_target_restored_to_an_earlier_point_resumes_rightly(make_world, kind, stop):
    """The ledger is ahead of the target, which does not matter: no row is left out, none twice."""
    world = make_world(kind, rows=60)
    truth = undisturbed(world)
    world.fresh()
    stop(world)
    written = look(world.live("look"))["runs"][0]["outcome"]["written"]
    assert 0 < written < truth.outcome["written"]
    kept = world.keep()
    finish_run(world, truth)
    world.restore(kept)
    assert look(world.live("look"))["runs"][0]["outcome"]["written"] == written
    finish_run(world, truth)
    world.clear_audit()
    finish_rollback(world, truth)


@KINDS
def test_two_machines_with_a_ledger_each_have_one_run(make_world, kind, tmp_path):
    """The second is refused and told who holds it and since when; the first is not disturbed."""
    world = make_world(kind)
    truth = undisturbed(world)
    world.fresh()
    first = world.birth("run", env=EARLY, who="alice").until_held()
    elsewhere = wardrobe.write(tmp_path / "elsewhere", ledger="another.db")
    told = world.birth("run", config=str(elsewhere), who="bob").wait()["error"]
    assert told["type"] == "RunActive"
    assert "alice@" in str(told)
    assert str(first.pid) in str(told)
    held_since = look(world.live("look"))["runs"][0]["created"][:16]
    assert held_since in str(told).replace(" ", "T"), told
    first.go_on()
    assert first.wait()["run"]["state"] == "succeeded"
    finish_run(world, truth)
