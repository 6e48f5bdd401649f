"""A worker killed at two hundred random instants, again and again within one run."""

import os
import random
import time

import pytest

from crash.story import finish_rollback, finish_run, undisturbed

KILLS = int(os.environ.get("PROCTOR_KILLS", "200"))
IN_A_ROW = 10  # kills of one run before it is left in peace, so that it meets its own ruins


def harry(world, act, dice, span):
    """Kill lives at random instants of their span; how many of them really died."""
    dead = 0
    for _ in range(IN_A_ROW):
        if world.birth(act).kill_after(dice.uniform(0, span)) is not None:
            break
        dead += 1
    return dead


def span_of(world, act):
    """How long an undisturbed life takes."""
    began = time.monotonic()
    world.live(act)
    return time.monotonic() - began


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_killed_at_two_hundred_random_instants(make_world, kind):
    """P1, P2, P3: each time the end is that of an undisturbed run, and the way back is exact."""
    world = make_world(kind)
    dice = random.Random(20261122)
    truth = undisturbed(world)
    world.fresh()
    spans = {"resume": span_of(world, "resume"), "undo": span_of(world, "undo")}
    kills = trials = 0
    while kills < KILLS:
        trials += 1
        world.fresh()
        kills += harry(world, "resume", dice, spans["resume"])
        finish_run(world, truth)
        world.clear_audit()
        kills += harry(world, "undo", dice, spans["undo"])
        finish_rollback(world, truth)
        assert trials < 2 * KILLS, "most lives ended before they could be killed"
