"""The connection breaks at a COMMIT: whether it took place is found out, never guessed."""

import os

import pytest

from crash.story import finish_rollback, finish_run, undisturbed
from crash.wire import COMMITS, Fault, cut

WAYS = {"before": "never arrived", "after": "lost its reply", "late": "came when given up"}
CUTS = [(name, when) for name in ("normalize", "describe", "lower_style") for when in WAYS]
if os.environ.get("PROCTOR_LONG") != "1":
    # The other two backfills write by other statements, but all commits are sent alike.
    CUTS = [(name, when) for name, when in CUTS if name == "normalize" or when == "late"]


@pytest.mark.parametrize(("backfill", "when"), CUTS)
def test_a_connection_cut_at_any_commit(make_world, backfill, when):
    """At each commit in turn: claim, apply, sweep, tally, move. No row is written twice."""
    world = make_world("postgres", backfill)
    truth = undisturbed(world)
    alone = number = 0
    while True:
        number += 1
        world.fresh()
        world.proxy.expect(Fault(number, when, cut, only=COMMITS))
        report = world.birth("resume", env=world.through_proxy).wait()
        if world.proxy.fault is not None:
            break
        alone += report.get("resume", {}).get("state") == "succeeded"
        world.proxy.expect()
        world.come_to_rest()
        finish_run(world, truth)
    assert number > 8, "a run has more commits than this"
    assert alone >= number - 2, "only the opening of a run may give up at once"
    world.clear_audit()
    finish_rollback(world, truth)


@pytest.mark.parametrize("when", WAYS)
def test_a_connection_cut_at_any_commit_of_a_rollback(make_world, when):
    """At each commit in turn: whoever goes on answers for every row, and lists what was left."""
    world = make_world("postgres", "normalize")
    truth = undisturbed(world)
    written, number = truth.outcome["written"], 0
    while True:
        number += 1
        world.fresh()
        world.live("run")
        theirs = sorted(world.writes())[:2]
        world.query("UPDATE wardrobe SET normalized = 'theirs' WHERE id = ANY(%s)", (theirs,))
        world.proxy.expect(Fault(number, when, cut, only=COMMITS))
        world.birth("undo", env=world.through_proxy).wait()
        if world.proxy.fault is not None:
            break
        world.proxy.expect()
        world.come_to_rest()
        undone = world.live("undo")["undo"]
        assert undone["state"] == "rolled_back", undone
        assert undone["balances"]
        assert (undone["written"], undone["changed"]) == (written, len(undone["left"])), undone
        assert sorted(undone["left"]) == [[key] for key in theirs]
    assert number > 4, "a rollback has more commits than this"
