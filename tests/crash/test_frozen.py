"""A worker that was frozen past its lease comes back to find that it may not write."""

import os
import threading

from dataclasses import dataclass, replace

import pytest

from crash import wardrobe
from crash.lives import PATIENCE, Life
from crash.story import finish_rollback, finish_run, look, undisturbed
from crash.wire import Fault
from crash.worlds import World

KINDS = ("sqlite", "postgres")
LEASE_S = 5  # the least that proctor.toml allows
FROZEN_AT = 8 * wardrobe.STEP  # inside the second chunk, while the first is perhaps being written
FROZEN_LATER = 14 * wardrobe.STEP  # inside the third, which waits for one of the two before it
INSIDE = ("thawed", "killed")
if os.environ.get("PROCTOR_LONG") == "1":
    INSIDE += ("left to the server",)  # which takes as long as it lets a transaction idle
ENDS = ("before", "after", "cancelled", "rolled back")


@pytest.fixture(scope="module")
def stage(make_lasting_world):
    """A world with a life frozen between read and write, and what an undisturbed run makes of it.

    One for each way that it can end, all frozen together, so that their leases run out together.
    """
    found = {}
    for kind in KINDS:
        truth = undisturbed(make_lasting_world(kind))
        for end in ENDS:
            world = make_lasting_world(kind, lease_s=LEASE_S)
            life = world.frozen(FROZEN_LATER if end == "rolled back" else FROZEN_AT)
            found[kind, end] = (world, truth, life)
            if end == "cancelled":
                # While its holder still counts as alive.
                told = world.live("cancel")["cancel"]
                assert told["state"] == "cancelling", told
    for then in INSIDE:
        world = make_lasting_world("postgres", lease_s=LEASE_S)
        found[then] = (frozen_inside(world), truth)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_thawed_before_its_replacement_has_written(stage, kind):
    """The chunk is claimed again and not written yet: the old worker finds a higher fence."""
    world, truth, old = stage[kind, "before"]
    world.live("until_interrupted")
    new = world.birth("resume", env={"CRASH_HOLD_AT": str(FROZEN_AT)}).until_held()
    world.until_written(FROZEN_AT)
    stands = world.rows()
    old.thaw()
    report = old.wait()["run"]
    assert report["error"]["type"] == "Fenced", report
    assert world.rows() == stands
    new.go_on()
    assert new.wait()["resume"]["state"] == "succeeded"
    finish_run(world, truth)


@pytest.mark.parametrize("kind", KINDS)
def test_thawed_after_its_replacement_has_written(stage, kind):
    """The replacement is done: the old worker changes nothing, and the run stays succeeded."""
    world, truth, old = stage[kind, "after"]
    world.live("until_interrupted")
    finish_run(world, truth)
    old.thaw()
    report = old.wait()["run"]
    assert report["error"]["type"] == "Fenced", report
    finish_run(world, truth)


@pytest.mark.parametrize("kind", KINDS)
def test_thawed_after_a_cancel(stage, kind):
    """Cancelling closes what is claimed, also while its holder still counts as alive."""
    world, _, old = stage[kind, "cancelled"]
    stands = world.rows()
    old.thaw()
    assert old.wait()["run"]["state"] == "cancelled"
    assert world.rows() == stands
    look(world.live("look"))


@pytest.mark.parametrize("kind", KINDS)
def test_thawed_after_a_cancel_and_a_rollback(stage, kind):
    """What was undone stays undone."""
    world, truth, old = stage[kind, "rolled back"]
    world.live("until_interrupted")
    assert world.live("cancel")["cancel"]["state"] == "cancelled"
    outcome = look(world.live("look"))["runs"][0]["outcome"]
    world.clear_audit()
    finish_rollback(world, replace(truth, outcome=outcome))
    old.thaw()
    assert old.wait()["run"]["error"]["type"] == "Fenced"
    assert world.rows() == truth.before


@dataclass
class Inside:
    """A life frozen before it sends a write of its second chunk, and the word that lets it."""

    world: World
    life: Life
    released: threading.Event


def frozen_inside(world):
    """Freeze a life while its transaction is open and its chunk is taken."""
    held, released = threading.Event(), threading.Event()
    fault = Fault(
        at=2,
        when="late",
        do=lambda _: held.set(),
        only=rb"(?s)^(?=.*\bUPDATE\b)(?=.*\bwardrobe\b)",
        released=released,
    )
    world.proxy.expect(fault)
    life = world.birth("run", env=world.through_proxy)
    assert held.wait(PATIENCE), "it never came to a second write"
    world.freeze(life, inside=1)
    return Inside(world, life, released)


@pytest.mark.parametrize("then", INSIDE)
def test_frozen_inside_its_transaction(stage, then):
    """The replacement waits for the transaction in doubt, however that ends, and goes on."""
    inside, truth = stage[then]
    world = inside.world
    world.live("until_interrupted")
    new = world.birth("resume")
    world.until(
        "SELECT count(*) > 0 FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    if then == "killed":
        inside.life.kill()
    elif then == "thawed":
        inside.life.thaw()
    if then != "left to the server":
        inside.released.set()
    assert new.wait()["resume"]["state"] == "succeeded"
    if then == "left to the server":
        inside.released.set()
        inside.life.thaw()
    if then != "killed":
        assert inside.life.wait()["run"]["error"]["type"] == "Fenced"
    finish_run(world, truth)
    world.clear_audit()
    finish_rollback(world, truth)
