"""What was opened is closed, whatever came between: a crash, a word, a stage begun anew."""

import shutil

import pytest

from proctor.errors import NotApproved
from proctor.model import RolloutState
from rolling import kinds, tool

RAMP = """
rollout("small", stages.activate("NEW", steps=(25, 100), hold=minutes(1), subjects=2000,
    tolerance=0.05))
"""
OPEN = """
rollout("small", stages.activate("NEW", steps=(25, 100), hold=minutes(30), subjects=2000,
    tolerance=0.05, metrics=[metrics.sql("few", "SELECT 5 AS value, 1 AS total",
    interval=minutes(5), min_samples=10, success_condition="result.value == 0")]))
"""
TWICE = """
rollout("small",
    stages.activate("NEW", name="some", steps=(25,), hold=minutes(1), subjects=2000,
        tolerance=0.05),
    stages.halt("go"),
    stages.activate("NEW", name="all", steps=(50, 100), hold=minutes(1), subjects=2000,
        tolerance=0.05, confirm=True))
"""


def left_open(rig):
    """Stopped as soon as readers are let in."""
    if "flag.set" in kinds(rig.journal.entries):
        rig.stop.ask("enough")


async def test_a_flag_that_was_written_before_that_was_written_down_is_closed(project):
    """A word of rejection comes while the tool writes: the step back knows what was intended."""
    project.rolls(RAMP)
    held = []

    def word(rig):
        if held or "flag.read" not in kinds(rig.journal.entries):
            return
        held.append(rig)
        flag = rig.flags["NEW"]
        write = flag.set

        async def meanwhile(*given, **words):
            done = await write(*given, **words)
            await project.reject(rig.journal.rollout.id)
            return done

        flag.set = meanwhile

    done = await project.drive(on=word)
    assert done.left.state is RolloutState.ROLLED_BACK
    assert "flag.set" not in kinds(done.journal.entries)
    assert project.flag == 0


async def test_a_stage_that_is_begun_anew_still_knows_what_was_there_before_it(project):
    """Tried again at 25%, and given up: the flag is as it was before the rollout."""
    project.rolls(OPEN)
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert project.flag == 25
    held = await project.drive(retry="more readers now")
    assert held.left.state is RolloutState.HELD
    told = kinds(held.journal.entries)
    assert told.index("flag.reset") > told.index("stage.retried")
    await project.reject(held.rollout.id)
    assert (await project.drive()).left.state is RolloutState.ROLLED_BACK
    assert project.flag == 0


async def test_two_stages_of_one_flag_are_closed_together(project):
    """The second began where the first had left it; neither is what was there before."""
    project.rolls(TWICE)
    held = await project.drive()
    await project.approve(held.rollout.id, "bo")
    held = await project.drive()
    assert project.flag == 50
    await project.reject(held.rollout.id)
    assert (await project.drive()).left.state is RolloutState.ROLLED_BACK
    assert project.flag == 0


async def test_what_was_closed_stays_closed_until_its_ramp_comes_again(project):
    """A halt that is approved after a step back lets nobody in: that is the ramp's to do."""
    project.rolls("""
rollout("small", stages.apply("lower"), stages.halt("go"),
    stages.soak("before", duration=minutes(10), metrics=[filled()]),
    stages.activate("NEW", steps=(50, 100), hold=minutes(0)),
    stages.soak("day", duration=minutes(30), metrics=[metrics.sql(
        "bad", "SELECT count(*) AS value FROM items WHERE name = 'harm'",
        failure_condition="result.value > 0", interval=minutes(5), critical=True)]),
    on_fail="rows")
""")
    project.sql("UPDATE items SET name = 'harm' WHERE id = 3")
    held = await project.drive()
    await project.approve(held.rollout.id, "bo")
    failed = await project.drive()
    assert failed.journal.standing.held.verdict == "fail"
    assert project.flag == 0
    project.sql("UPDATE items SET name = 'Name 3' WHERE id = 3")
    begun = len(failed.journal.entries)
    early = []

    def look(rig):
        since = kinds(rig.journal.entries[begun:])
        if "flag.intended" not in since:
            early.append(project.flag)

    assert (await project.drive(retry="mended", who="bo", on=look)).left.state is RolloutState.HELD
    await project.approve(held.rollout.id, "bo")
    done = await project.drive(on=look)
    assert done.left.state is RolloutState.ACTIVE
    assert set(early) == {0}
    assert project.flag == 100
    with pytest.raises(NotApproved, match="has ended") as refused:
        await project.reject(held.rollout.id)
    assert "flag NEW was last set to 100%" in refused.value.found
    assert refused.value.fix.startswith("put the flag back")
    assert "flag.reopened" not in kinds(done.journal.entries)


async def test_a_flag_is_closed_also_where_no_report_can_be_written(project):
    """A full disk, a folder that is no folder: readers do not pay for that."""
    project.rolls(RAMP)
    held = await project.drive(on=left_open)
    assert held.left.interrupted
    assert project.flag == 25
    shutil.rmtree(project.root / ".proctor" / "reports")
    (project.root / ".proctor" / "reports").write_text("no folder")
    await project.reject(held.rollout.id)
    done = await project.drive()
    assert (done.left.state, project.flag) == (RolloutState.ROLLED_BACK, 0)


async def test_a_worker_that_cannot_be_told_of_is_not_started(project):
    """Held with what is in the way, and begun anew once that is mended."""
    project.rolls('rollout("small", stages.apply("lower"))')
    reports = project.root / ".proctor" / "reports"
    reports.parent.mkdir()
    reports.write_text("no folder")
    held = await project.drive()
    assert "what a worker says cannot be kept" in held.left.why
    reports.unlink()
    assert (await project.drive(retry="mended")).left.state is RolloutState.ACTIVE


async def test_a_flag_that_somebody_closed_meanwhile_ends_nothing_well(project):
    """All stages passed, and nobody sees what they passed for: a person decides."""
    project.rolls("""
rollout("small", stages.activate("NEW", steps=(100,), hold=minutes(0)),
    stages.soak("day", duration=minutes(30), metrics=[filled(
        success_condition="result.value == 0")]))
""")
    off = (project.root / "flags.json").read_text()

    def close(rig):
        if "metric.measured" in kinds(rig.journal.entries):
            (project.root / "flags.json").write_text(off)

    held = await project.drive(on=close)
    assert held.left.state is RolloutState.HELD
    assert "flag NEW is at 0%, and was left at 100%" in held.left.why
    await project.approve(held.rollout.id, "bo", reason="it was too early")
    assert (await project.drive()).left.state is RolloutState.ACTIVE


async def test_a_flag_that_a_person_has_closed_is_not_written_again(project):
    """A tool that writes no more: whoever closes it by hand ends the step back."""
    (project.root / "state").write_text("0")
    write = 'if [ "$PERCENT" = 0 ]; then exit 1; fi; echo $PERCENT > state'
    tool(project, read="cat state", write=write)
    project.rolls(RAMP.replace('"NEW"', '"TOOL"'))
    held = await project.drive(on=left_open)
    await project.reject(held.rollout.id)

    def by_hand(rig):
        if "step_back.stumbled" in kinds(rig.journal.entries):
            (project.root / "state").write_text("0")

    done = await project.drive(on=by_hand)
    assert done.left.state is RolloutState.ROLLED_BACK
