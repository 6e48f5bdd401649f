"""A rollout goes through its stages in order, holds where a person must decide, and steps back."""

from datetime import timedelta

import pytest

from proctor.engine.rolling.story import told
from proctor.errors import NotApproved, NotConfirmed, PlanVoid, UsageError
from proctor.model import RolloutState
from rolling import kinds, passed

WHOLE = """
rollout(
    "small",
    stages.precheck(probes.flag("NEW"), probes.sql("rows", "SELECT count(*) FROM items")),
    stages.apply("lower", milestones=[stages.milestone(rows=50, sample=20)]),
    stages.audit("lower", sample=100),
    stages.soak("an hour", duration=minutes(60), metrics=[filled()]),
    stages.halt("go or no-go", look=["the report"]),
    stages.activate("NEW", steps=(50, 100), hold=minutes(10), metrics=[],
        probes=[probes.sql("sum", "SELECT count(low) FROM items")]),
    stages.gate("covered", metrics=[metrics.coverage(
        "coverage", "lower", success_condition="result.share == 1", interval=minutes(1))]),
)
"""
STAGES = [
    "precheck",
    "apply lower",
    "audit lower",
    "an hour",
    "go or no-go",
    "activate NEW",
    "covered",
]


async def test_a_rollout_goes_through_all_its_stages(anywhere):
    """It halts for a person, and ends active with every stage passed once and in order."""
    anywhere.rolls(WHOLE)
    held = await anywhere.drive()
    assert held.left.state is RolloutState.HELD
    assert "go or no-go" in held.left.why
    assert anywhere.flag == 0
    await anywhere.approve(held.rollout.id, "bo")
    done = await anywhere.drive()
    assert done.left.state is RolloutState.ACTIVE
    assert done.rollout.id == held.rollout.id
    assert passed(done.journal.entries) == STAGES
    assert anywhere.flag == 100
    assert anywhere.sql("SELECT count(*) FROM items WHERE low = lower(name)") == [(200,)]
    audits = [e.data["milestone"] for e in done.journal.entries if e.kind == "audit.made"]
    assert audits == ["50 rows", "100%"]
    steps = [e.data["percent"] for e in done.journal.entries if e.kind == "flag.set"]
    assert steps == [50, 100]


async def test_a_halt_is_not_passed_without_an_approval(project):
    """Driving it again changes nothing but the report."""
    project.rolls('rollout("small", stages.halt("go"), stages.activate("NEW"))')
    first = await project.drive()
    again = await project.drive()
    assert again.left.state is RolloutState.HELD
    assert kinds(again.journal.entries) == kinds(first.journal.entries)
    assert project.flag == 0


async def test_several_people_have_to_approve_where_that_is_asked_for(project):
    """Each once, and never the one who started it."""
    project.rolls('rollout("small", stages.halt("go", approvals=2))')
    held = await project.drive()
    for who, why in (("ann", "started"), ("bo", None), ("bo", "already")):
        if why is None:
            assert (await project.approve(held.rollout.id, who))[1] == "1 of 2 approvals"
            continue
        with pytest.raises(NotApproved, match=why):
            await project.approve(held.rollout.id, who)
    assert (await project.drive()).left.state is RolloutState.HELD
    await project.approve(held.rollout.id, "cy")
    assert (await project.drive()).left.state is RolloutState.ACTIVE


async def test_one_person_is_one_however_the_name_is_typed(project):
    """P11: capitals and blanks make no second pair of eyes."""
    project.rolls('rollout("small", stages.halt("go", approvals=2))')
    held = await project.drive()
    for name in ("ANN", " ann"):
        with pytest.raises(NotApproved, match="who started a rollout"):
            await project.approve(held.rollout.id, name)
    await project.approve(held.rollout.id, "bo")
    with pytest.raises(NotApproved, match="has approved this already"):
        await project.approve(held.rollout.id, "Bo ")
    assert (await project.drive()).left.state is RolloutState.HELD


async def test_an_approval_has_a_reason_and_something_to_approve(project):
    """Who looks for it later finds why."""
    project.rolls('rollout("small", stages.halt("go", self_review=True))')
    held = await project.drive()
    with pytest.raises(NotApproved, match="reason"):
        await project.approve(held.rollout.id, "ann", reason="  ")
    await project.approve(held.rollout.id, "ann")
    await project.drive()
    with pytest.raises(NotApproved, match="nothing to approve"):
        await project.approve(held.rollout.id, "bo")


async def test_an_approval_expires(project):
    """What was looked at yesterday is looked at again."""
    project.rolls('rollout("small", stages.halt("go", expires=minutes(1)))')
    held = await project.drive()
    await project.approve(held.rollout.id, "bo")
    project.clock.passes(timedelta(minutes=2))
    again = await project.drive()
    assert again.left.state is RolloutState.HELD
    assert again.left.why == (
        "halt for go; the approval of bo has expired: it is older than 0:01:00"
    )
    once_more = await project.drive()
    assert kinds(once_more.journal.entries).count("approval.expired") == 1  # said once
    report = told(once_more.plan, once_more.rollout, once_more.journal.entries, ())
    assert "has expired" in report.why
    assert [e.kind for e in report.words] == ["approval.given", "approval.expired"]
    await project.approve(held.rollout.id, "bo", reason="looked at it again")
    given = [e for e in await project.entries(held.rollout.id) if e.kind == "approval.given"]
    assert [e.who for e in given] == ["bo", "bo"]


@pytest.mark.parametrize("when", ["before the approval", "after the approval"])
async def test_an_approval_is_void_when_the_data_changed(project, when):
    """P9: it is bound to the rows as they were; other rows have to be looked at again."""
    project.rolls('rollout("small", stages.apply("lower"), stages.halt("go"))')
    held = await project.drive()
    change = "UPDATE items SET low = 'other' WHERE id = 7"
    if when == "before the approval":
        project.sql(change)
        with pytest.raises(NotApproved, match="rows written by run"):
            await project.approve(held.rollout.id, "bo")
        return
    await project.approve(held.rollout.id, "bo")
    project.sql(change)
    again = await project.drive()
    assert again.left.state is RolloutState.HELD
    assert "approval.voided" in kinds(again.journal.entries)
    assert "changed since: rows written by run" in again.left.why
    (voided,) = [e for e in again.journal.entries if e.kind == "approval.voided"]
    assert "rows written by run" in voided.data["why"]
    await project.approve(held.rollout.id, "bo")
    assert (await project.drive()).left.state is RolloutState.ACTIVE


async def test_a_soak_that_fails_steps_back_and_no_approval_overrides_it(project):
    """Only --force with a reason does, and it is on record."""
    project.rolls("""
rollout(
    "small", stages.apply("lower"),
    stages.activate("NEW", steps=(100,), hold=minutes(0)),
    stages.soak("day", duration=minutes(60), metrics=[metrics.sql(
        "bad", "SELECT count(*) AS value FROM items WHERE low = 'leak'",
        failure_condition="result.value > 0", interval=minutes(5), critical=True)]),
)
""")

    def leak(rig):
        if rig.journal.standing.stage == 2 and rig.journal.standing.measured():
            project.sql("UPDATE items SET low = 'leak' WHERE id = 3")

    held = await project.drive(on=leak)
    assert held.left.state is RolloutState.HELD
    assert "1 of" in held.left.why
    assert project.flag == 0
    back = [e for e in held.journal.entries if e.kind == "step_back.flag_restored"]
    assert back[0].data["seconds"] >= 0
    with pytest.raises(NotApproved, match="override"):
        await project.approve(held.rollout.id, "bo")
    await project.approve(held.rollout.id, "bo", forced=True)
    done = await project.drive()
    assert done.left.state is RolloutState.ACTIVE
    assert project.flag == 100  # as far as it was: people went past the fail
    went = [e for e in done.journal.entries if e.kind == "rollout.went_on"]
    assert went[0].data["verdict"] == "fail"
    assert went[0].data["reasons"] == {"bo": "looked at it"}


async def test_too_little_data_is_inconclusive_and_never_green(project):
    """P8: a soak on no traffic asks a person, after it was extended as far as it may be."""
    project.rolls("""
rollout("small", stages.soak("quiet", duration=minutes(30), most=minutes(60), metrics=[
    metrics.sql("visits", "SELECT 0 AS events, 0 AS total", interval=minutes(5),
        success_condition="result.events == 0", min_samples=100)]))
""")
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert held.journal.standing.held.verdict == "inconclusive"
    assert "soak.extended" in kinds(held.journal.entries)
    assert "no data" in held.left.why


async def test_a_rejected_rollout_steps_back_and_ends(project):
    """The flag is as it was, the run rests, and a new one of that name can begin."""
    project.rolls("""
rollout("small", stages.apply("lower"), stages.activate("NEW", steps=(100,), hold=minutes(0)),
    stages.halt("stay?"))
""")
    held = await project.drive()
    assert project.flag == 100
    await project.reject(held.rollout.id)
    done = await project.drive()
    assert done.left.state is RolloutState.ROLLED_BACK
    assert project.flag == 0
    with pytest.raises(NotConfirmed, match="given up"):
        await project.drive()  # the same words once more begin nothing
    assert (await project.drive(again=True)).rollout.id != held.rollout.id


async def test_rows_are_taken_back_where_that_is_asked_for(project):
    """The ladder to its end: flag, run, rows."""
    project.rolls("""
rollout("small", stages.apply("lower"), stages.activate("NEW", steps=(100,), hold=minutes(0)),
    stages.halt("stay?"), on_fail="rows")
""")
    held = await project.drive()
    await project.reject(held.rollout.id)
    done = await project.drive()
    assert done.left.state is RolloutState.ROLLED_BACK
    assert project.sql("SELECT count(low) FROM items") == [(0,)]
    rungs = [k for k in kinds(done.journal.entries) if k.startswith("step_back.")]
    assert rungs == [
        "step_back.begun",
        "step_back.flag_restored",
        "step_back.run_paused",
        "step_back.rows_restored",
        "step_back.ended",
    ]


async def test_a_rollout_file_that_changed_in_the_middle_is_refused(project):
    """P9: what was begun is what goes on; a change is accepted by name, on record."""
    project.rolls('rollout("small", stages.halt("go"), stages.activate("NEW"))')
    held = await project.drive()
    await project.approve(held.rollout.id, "bo")
    project.rolls('rollout("small", stages.halt("go"))')
    with pytest.raises(PlanVoid, match=r"stages="):
        await project.drive()
    done = await project.drive(accept=True)
    assert done.left.state is RolloutState.HELD  # what was approved was of other stages
    assert "changed since: the rollout's file;" in done.left.why
    assert "rollout.changed" in kinds(done.journal.entries)


async def test_a_stage_that_is_held_can_be_tried_again(project):
    """With a reason, on record; what it measured before does not count."""
    project.rolls('rollout("small", stages.precheck(probes.variables("NOT_THERE_YET")))')
    held = await project.drive()
    assert "NOT_THERE_YET" in held.left.why
    again = await project.drive(retry="set it")
    assert again.left.state is RolloutState.HELD
    assert kinds(again.journal.entries).count("stage.entered") == 2
    project.rolls('rollout("small", stages.halt("go"))')


async def test_nothing_is_retried_that_is_not_held(project):
    """A word too many is said, not ignored."""
    project.rolls('rollout("small", stages.halt("go", self_review=True))')
    held = await project.drive()
    await project.approve(held.rollout.id, "ann")
    await project.drive()
    with pytest.raises(UsageError, match="nothing to try again"):
        await project.drive(retry="why not", again=True)


async def test_a_protected_environment_runs_what_was_approved(project):
    """The plan is made and held for approval before a worker starts; its clock is real time."""
    project.rolls('rollout("small", stages.apply("lower"))')
    with pytest.raises(UsageError, match="real time"):
        await project.drive(env="production")
    held = await project.drive(env="production", speed=1.0)
    assert "to be approved" in held.left.why
    assert project.sql("SELECT count(low) FROM items") == [(0,)]


async def test_each_step_of_a_ramp_can_be_confirmed_by_people(project):
    """The flag stays where it is until somebody has looked."""
    project.rolls("""
rollout("small", stages.activate("NEW", steps=(25, 50, 100), hold=minutes(0), confirm=True))
""")
    seen = []
    for _ in range(2):
        held = await project.drive()
        assert held.left.state is RolloutState.HELD
        assert "to be confirmed" in held.left.why
        seen.append(project.flag)
        await project.approve(held.rollout.id, "bo")
    done = await project.drive()
    assert done.left.state is RolloutState.ACTIVE
    assert [*seen, project.flag] == [25, 50, 100]


async def test_a_step_is_held_from_when_it_was_seen(project):
    """Nobody drove it between the write and the look at it: no look is missed by that."""
    project.rolls("""
rollout("small", stages.activate("NEW", steps=(100,), hold=minutes(30), metrics=[filled(
    success_condition="result.value == 0")]))
""")

    def away(rig):
        if kinds(rig.journal.entries)[-1] == "flag.set":
            project.clock.passes(timedelta(hours=9))

    done = await project.drive(on=away)
    assert done.left.state is RolloutState.ACTIVE
    assert "metric.missed" not in kinds(done.journal.entries)


async def test_what_a_step_back_closed_is_ramped_anew_when_it_is_tried_again(project):
    """A soak behind the ramp is of no use on a flag that is shut: the ramp comes first."""
    project.rolls("""
rollout(
    "small", stages.apply("lower"),
    stages.activate("NEW", steps=(50, 100), hold=minutes(0)),
    stages.soak("day", duration=minutes(30), metrics=[metrics.sql(
        "bad", "SELECT count(*) AS value FROM items WHERE low = 'leak'",
        failure_condition="result.value > 0", interval=minutes(5), critical=True)]),
)
""")

    def leak(rig):
        if "flag.set" in kinds(rig.journal.entries):
            project.sql("UPDATE items SET low = 'leak' WHERE id = 3")

    held = await project.drive(on=leak)
    assert held.left.state is RolloutState.HELD
    assert project.flag == 0
    project.sql("UPDATE items SET low = 'name 3' WHERE id = 3")
    with pytest.raises(NotApproved, match="who started a rollout"):
        await project.drive(retry="mended the row")
    assert "stage.retried" not in kinds(await project.entries(held.rollout.id))
    assert project.flag == 0
    done = await project.drive(retry="mended the row", who="bo")
    assert done.left.state is RolloutState.ACTIVE
    assert project.flag == 100
    steps = [e.data["percent"] for e in done.journal.entries if e.kind == "flag.set"]
    assert steps == [50, 100, 50, 100]


async def test_rows_that_were_taken_back_are_written_anew_before_anybody_sees_them(project):
    """Nobody can go past a fail onto rows that are not there: it begins where they are written."""
    project.rolls("""
rollout(
    "small", stages.apply("lower"),
    stages.activate("NEW", steps=(100,), hold=minutes(0)),
    stages.soak("day", duration=minutes(30), metrics=[metrics.sql(
        "bad", "SELECT count(*) AS value FROM items WHERE name = 'harm'",
        failure_condition="result.value > 0", interval=minutes(5), critical=True)]),
    on_fail="rows",
)
""")
    project.sql("UPDATE items SET name = 'harm' WHERE id = 3")
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert (project.flag, project.sql("SELECT count(low) FROM items")) == (0, [(0,)])
    project.sql("UPDATE items SET name = 'Name 3' WHERE id = 3")
    await project.approve(held.rollout.id, "bo", forced=True)
    done = await project.drive()
    assert done.left.state is RolloutState.ACTIVE
    assert (project.flag, project.sql("SELECT count(low) FROM items")) == (100, [(200,)])
    assert len({e.data["run"] for e in done.journal.entries if e.kind == "run.found"}) == 2


async def test_a_flag_that_is_further_already_is_not_turned_down(project):
    """Readers who are in stay in: the ramp begins above where the flag stands."""
    project.rolls('rollout("small", stages.activate("NEW", steps=(50, 100), hold=minutes(0)))')
    await project.drive()
    project.rolls('rollout("second", stages.activate("NEW", steps=(5, 50), hold=minutes(0)))')
    held = await project.drive("second")
    assert held.left.state is RolloutState.HELD
    assert "100%" in held.left.why
    assert project.flag == 100
