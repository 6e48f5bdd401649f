"""A worker killed at every step of a run and of its rollback: a resume ends both rightly.

A step is a statement of SQLite, or a message to Postgres, that can change something. The life is
killed just after it: on SQLite when it was executed, on Postgres when it was answered and before
the answer arrives. A long test also kills it just before each (when the database holds what it
held after the one before) and does so with every backfill; a short one kills two of the three only
after each COMMIT, which leaves the database in each state that it can be left in.
"""

import os

import pytest

from crash.story import finish, finish_rollback, finish_run, undisturbed
from crash.wardrobe import CHUNK_ROWS, ROWS

EVERY = {"normalize": "step", "describe": "commit", "lower_style": "commit"}
if os.environ.get("PROCTOR_LONG") == "1":
    EVERY = dict.fromkeys(EVERY, "step and before it")
CHUNKS = -(-ROWS // CHUNK_ROWS)
OF_A_CHUNK = {"step": 4, "commit": 1, "step and before it": 8}
"""At least: what claims or locks it, what begins with its fence, the write, the books' COMMIT."""
OF_THE_ENDS = {"step": 5, "commit": 2, "step and before it": 10}
"""At least: what finds the tables, takes the lease, opens, seals and closes the books."""


@pytest.mark.parametrize("backfill", EVERY)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_killed_at_every_step_and_resumed(make_world, kind, backfill):
    """P1, P2, P3: the table equals the undisturbed one, nothing is written twice, undo is exact."""
    world = make_world(kind, backfill, lease_s=600)
    every = EVERY[backfill]
    truth = undisturbed(world)
    ends = {"resume": 0, "undo": 0}
    step = 0
    while not all(ends.values()):
        step += 1
        world.fresh()
        if not ends["resume"] and not world.killed_at(step, "resume", every=every):
            ends["resume"] = step
        if ends["undo"]:
            finish(world, truth)
            continue
        finish_run(world, truth)
        world.clear_audit()
        if not world.killed_at(step, "undo", every=every):
            ends["undo"] = step
        finish_rollback(world, truth)
    # A count that stopped earlier would be a test that kills nothing.
    assert min(ends.values()) > CHUNKS * OF_A_CHUNK[every] + OF_THE_ENDS[every], ends
