"""Rows that do not come back: tried again with pauses that grow, and then a person is asked."""

import pytest

from proctor.engine.kit import Stop
from proctor.engine.rolling.story import told
from proctor.errors import UsageError
from proctor.model import RolloutState
from proctor.ui.reports.rollout import render
from proctor.ui.reports.rollout_page import page
from rolling import BACKFILLS, kinds

ROWS = """
rollout("small", stages.apply("lower", restarts=1), stages.halt("stay?"), on_fail="rows")
"""


def stumbles(done):
    return [e.data["tries"] for e in done.journal.entries if e.kind == "step_back.stumbled"]


def spoiled(code):
    """Nobody can import it, nor ever finds half of it: a worker reads it meanwhile."""
    beside = code.with_suffix(".new")
    beside.write_text(f"raise ValueError('no rollback today')\n{BACKFILLS}")
    beside.replace(code)


async def test_a_rollback_that_fails_again_and_again_is_held_and_a_new_start_tries_it_again(
    project,
):
    """The count survives the process; held, nothing begins anew before all is taken back."""
    project.rolls(ROWS)
    first = await project.drive()
    run = first.journal.standing.runs["lower"]
    await project.reject(first.rollout.id)
    code = project.root / "backfills.py"

    def spoil(rig):
        if "step_back.begun" in kinds(rig.journal.entries):
            spoiled(code)
        if "step_back.stumbled" in kinds(rig.journal.entries):
            rig.stop.ask("killed")

    stopped = await project.drive(on=spoil)
    assert (stopped.left.interrupted, stumbles(stopped)) == (True, [1])
    code.write_text(BACKFILLS)  # else this process could not drive it either

    def spoil_again(_rig):
        spoiled(code)

    held = await project.drive(on=spoil_again, stop=Stop())
    assert (held.left.state, stumbles(held)) == (RolloutState.HELD, [1, 2])
    assert f"the rows of run {run} are not back: its rollback failed 2 times" in held.left.why
    assert "no rollback today" in held.left.why
    assert held.journal.standing.held.look == (f"rollback-{run}.log", f"proctor status {run}")
    assert held.journal.standing.held.words == (f"proctor rollback {run} --yes",)
    story = told(held.plan, held.rollout, held.journal.entries, [])
    for text in (render(story), page(story)):
        assert f"proctor rollback {run} --yes" in text
        assert "proctor approve" not in text
    code.write_text(BACKFILLS)
    with pytest.raises(UsageError, match="before all is taken back"):
        await project.drive(retry="mended it")
    assert project.sql("SELECT count(low) FROM items") == [(200,)]
    done = await project.drive()
    assert done.left.state is RolloutState.ROLLED_BACK
    assert project.sql("SELECT count(low) FROM items") == [(0,)]
    assert kinds(done.journal.entries).count("step_back.resumed") == 1


async def test_a_person_may_take_the_rows_back_while_it_is_held(project):
    """The next start finds them back, and ends."""
    project.rolls(ROWS.replace("restarts=1", "restarts=0"))
    first = await project.drive()
    await project.reject(first.rollout.id)
    code = project.root / "backfills.py"

    def spoil(rig):
        if "step_back.begun" in kinds(rig.journal.entries):
            spoiled(code)

    held = await project.drive(on=spoil)
    assert (held.left.state, stumbles(held)) == (RolloutState.HELD, [1])
    code.write_text(BACKFILLS)
    await project.roll_back(first.journal.standing.runs["lower"])
    done = await project.drive()
    (one,) = await project.runs(done)
    assert one.taken_back.startswith("rolled back as found at ")
    assert (done.left.state, stumbles(done)) == (RolloutState.ROLLED_BACK, [1])


async def test_a_run_that_is_taken_back_by_hand_is_neither_let_in_nor_passed(project):
    """Its rows are gone: a person decides, and what is begun anew writes them again."""
    project.rolls("""
rollout("small", stages.apply("lower"),
    stages.activate("NEW", steps=(50, 100), hold=minutes(20), metrics=[metrics.sql(
        "any", "SELECT count(*) AS value FROM items", failure_condition="result.value < 0",
        interval=minutes(5))]))
""")
    taken = []

    def find(rig):
        if "flag.observed" in kinds(rig.journal.entries) and not taken:
            taken.append(rig.journal.standing.runs["lower"])
            rig.stop.ask("a person looks")

    assert (await project.drive(on=find)).left.interrupted
    await project.roll_back(taken[0])
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert f"run {taken[0]} of lower is rolled back, not by this rollout" in held.left.why
    assert project.flag == 50
    done = await project.drive(retry="written anew")
    assert done.left.state is RolloutState.ACTIVE
    assert project.sql("SELECT count(low) FROM items") == [(200,)]
    assert done.journal.standing.runs["lower"] != taken[0]


async def test_people_may_go_on_past_a_run_that_was_taken_back(project):
    """On record; nobody is asked the same twice."""
    project.rolls('rollout("small", stages.apply("lower"), stages.halt("go", self_review=True))')
    held = await project.drive()
    await project.roll_back(held.journal.standing.runs["lower"])
    await project.drive()
    await project.approve(held.rollout.id, "bo")
    asked = await project.drive()
    assert "not by this rollout" in asked.left.why
    await project.approve(held.rollout.id, "bo", reason="they are of no use")
    assert (await project.drive()).left.state is RolloutState.ACTIVE
