"""A worker that was frozen past its lease comes back to find that it may not write."""

import queue
import signal
import threading

import pytest

from crash import wardrobe
from crash.story import finish_rollback, finish_run, look, undisturbed
from crash.wire import Fault

KINDS = pytest.mark.parametrize("kind", ["sqlite", "postgres"])
LEASE_S = 5  # the least that proctor.toml allows
FROZEN_AT = str(8 * wardrobe.STEP)  # inside the second chunk: the first is written by then
FREEZE = {"CRASH_FREEZE_AT": FROZEN_AT}


@pytest.fixture
def frozen(make_world, kind):
    """A world, what an undisturbed run makes of it, a life that froze between read and write."""
    world = make_world(kind, lease_s=LEASE_S)
    truth = undisturbed(world)
    world.fresh()
    life = world.birth("run", env=FREEZE, who="the frozen one").until_frozen()
    return world, truth, life


@KINDS
def test_thawed_before_its_replacement_has_written(frozen):
    """The chunk is claimed again and not written yet: the old worker finds a higher fence."""
    world, truth, old = frozen
    world.live("until_interrupted")
    new = world.birth("resume", env=FREEZE).until_frozen()
    stands = world.rows()
    old.thaw()
    report = old.wait()["run"]
    assert report["error"]["type"] == "Fenced", report
    assert world.rows() == stands
    new.thaw()
    assert new.wait()["resume"]["state"] == "succeeded"
    finish_run(world, truth)


@KINDS
def test_thawed_after_its_replacement_has_written(frozen):
    """The replacement is done: the old worker changes nothing, and the run stays succeeded."""
    world, truth, old = frozen
    world.live("until_interrupted")
    finish_run(world, truth)
    old.thaw()
    report = old.wait()["run"]
    assert report["error"]["type"] == "Fenced", report
    finish_run(world, truth)


@KINDS
def test_thawed_after_a_cancel(frozen):
    """Cancelling closes what is claimed, also while its holder still counts as alive."""
    world, _, old = frozen
    told = world.live("cancel")["cancel"]
    stands = world.rows()
    assert told["state"] == "cancelling", "its lease has not run out: it is only asked to stop"
    old.thaw()
    assert old.wait()["run"]["state"] == "cancelled"
    assert world.rows() == stands
    look(world.live("look"))


@KINDS
def test_thawed_after_a_cancel_and_a_rollback(frozen):
    """What was undone stays undone."""
    world, truth, old = frozen
    world.live("until_interrupted")
    assert world.live("cancel")["cancel"]["state"] == "cancelled"
    truth.outcome = look(world.live("look"))["runs"][0]["outcome"]
    world.clear_audit()
    finish_rollback(world, truth)
    old.thaw()
    assert old.wait()["run"]["error"]["type"] == "Fenced"
    assert world.rows() == truth.before


def waits_for_a_lock(world):
    """Whether somebody in this database waits for somebody else's lock."""
    world.until(
        "SELECT count(*) > 0 FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )


@pytest.mark.parametrize("then", ["thawed", "killed"])
def test_frozen_inside_its_transaction(make_world, then):
    """The replacement waits for the transaction in doubt, however that ends, and goes on."""
    world = make_world("postgres", lease_s=LEASE_S)
    truth = undisturbed(world)
    world.fresh()
    frozen, released = queue.SimpleQueue(), threading.Event()
    write = Fault(
        at=2,
        when="late",
        do=lambda _: frozen.get().signal(signal.SIGSTOP),
        only=rb"(?s)^(?=.*\bUPDATE\b)(?=.*\bwardrobe\b)",
        released=released,
    )
    world.proxy.expect(write)
    old = world.birth("run")
    frozen.put(old)
    old.until_frozen()
    world.live("until_interrupted")
    new = world.birth("resume")
    waits_for_a_lock(world)
    if then == "killed":
        old.kill()
    else:
        old.thaw()
    released.set()
    assert new.wait()["resume"]["state"] == "succeeded"
    if then == "thawed":
        assert old.wait()["run"]["error"]["type"] == "Fenced"
    finish_run(world, truth)
    world.clear_audit()
    finish_rollback(world, truth)
