"""The connection breaks at a COMMIT: whether it took place is found out, never guessed."""

import pytest

from crash.story import finish_rollback, finish_run, undisturbed
from crash.wire import COMMITS, Fault, cut


@pytest.mark.parametrize("backfill", ["normalize", "describe", "lower_style"])
@pytest.mark.parametrize(
    "when",
    [
        pytest.param("before", id="and it never arrived"),
        pytest.param("after", id="and only the reply was lost"),
        pytest.param("late", id="and it arrives when we have given up"),
    ],
)
def test_a_connection_cut_at_any_commit(make_world, backfill, when):
    """At each commit in turn: claim, apply, sweep, tally, move. No row is written twice."""
    world = make_world("postgres", backfill, lease_s=5)
    truth = undisturbed(world)
    alone = number = 0
    while True:
        number += 1
        world.fresh()
        world.proxy.expect(Fault(number, when, cut, only=COMMITS))
        report = world.birth("resume").wait()
        if world.proxy.fault is not None:
            break
        alone += report.get("resume", {}).get("state") == "succeeded"
        world.proxy.expect()
        world.come_to_rest()
        finish_run(world, truth)
        world.clear_audit()
        finish_rollback(world, truth)
    assert number > 8, "a run has more commits than this"
    assert alone >= number - 2, "only the opening of a run may give up at once"
