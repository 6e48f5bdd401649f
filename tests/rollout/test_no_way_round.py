"""A fail is not got round: not by trying again, by a crash, or by a word about another thing."""

import json

import pytest

from proctor.adapters.ledger import rollouts
from proctor.errors import NotApproved, PlanVoid
from proctor.model import RolloutState
from rolling import kinds, passed

REAL = rollouts.SqlRolloutLog
AUDITED = """
rollout("small", stages.apply("lower", milestones=[stages.milestone(rows=50, sample=200)]))
"""
RAMP = """
rollout("small", stages.activate("NEW", steps=(25, 100), hold=minutes(1), subjects=2000,
    tolerance=0.05))
"""
OPEN_AT_ALL = """
rollout("small", stages.activate("NEW", steps=(100,), hold=minutes(30), subjects=2000,
    metrics=[metrics.sql("few", "SELECT 5 AS value, 1 AS total", interval=minutes(5),
        min_samples=10, success_condition="result.value == 0")],
    probes=[probes.python("same", lambda: 1, compare=lambda before, after: "it is broken")]))
"""


def spoil(project, monkeypatch):
    """A check that passes in the worker, and fails where the rollout asks it."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    path = project.root / "backfills.py"
    path.write_text(
        "import os\n"
        + path.read_text().replace(
            'checks.length("low", least=1, most=40)',
            'checks.python("low", lambda value: "PYTHONUNBUFFERED" in os.environ)',
        )
    )


class Killed(BaseException):
    """The process ends here, as by SIGKILL: nobody catches it."""


def dying_after(kind):
    """A log whose process dies as soon as an entry of that kind is written."""

    class Dying(REAL):
        async def add(self, rollout, added, /, **words):
            done = await super().add(rollout, added, **words)
            if any(one.kind == kind for one in added):
                raise Killed
            return done

    return Dying


async def test_trying_again_makes_the_audit_of_a_milestone_again(project, monkeypatch):
    """Who started it cannot leave a failed audit behind by beginning the stage anew."""
    spoil(project, monkeypatch)
    project.rolls(AUDITED)
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    again = await project.drive(retry="it is fine", who="bo")
    assert again.left.state is RolloutState.HELD
    assert again.journal.standing.held.verdict == "fail"
    assert kinds(again.journal.entries).count("audit.made") == 2


@pytest.mark.parametrize("alone", [False, True])
async def test_a_failed_gate_is_tried_again_by_somebody_else(project, alone):
    """Else one person asks until it passes; where every halt allows that, one person may."""
    halt = f'stages.halt("go", self_review={alone})'
    project.rolls(f"""
rollout("small", stages.gate("full", within=minutes(20), metrics=[filled()]), {halt})
""")
    held = await project.drive()
    assert held.journal.standing.held.verdict == "fail"
    project.sql("UPDATE items SET low = lower(name)")
    if not alone:
        with pytest.raises(NotApproved, match="who started a rollout does not try again") as no:
            await project.drive(retry="it is full now")
        assert "ann started it, and it failed: gate full" in no.value.found
        assert "stage.retried" not in kinds(await project.entries(held.rollout.id))
    who = "ann" if alone else "bo"
    again = await project.drive(retry="it is full now", who=who)
    assert passed(again.journal.entries) == ["full"]
    (retried,) = (e for e in again.journal.entries if e.kind == "stage.retried")
    assert (retried.who, retried.data["why"]) == (who, "it is full now")


async def test_a_failed_audit_is_acted_on_after_a_crash(project, monkeypatch):
    """It died as soon as the audit was written down."""
    spoil(project, monkeypatch)
    project.rolls(AUDITED)
    monkeypatch.setattr(rollouts, "SqlRolloutLog", dying_after("audit.made"))
    with pytest.raises(Killed):
        await project.drive()
    monkeypatch.setattr(rollouts, "SqlRolloutLog", REAL)
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert held.journal.standing.held.verdict == "fail"


async def test_readers_who_see_something_else_step_back_after_a_crash(project, monkeypatch):
    """It died as soon as what they see was written down."""
    project.rolls(RAMP)

    def blind(rig):
        if "NEW" in rig.flags:

            async def nobody(readers):
                return [False] * len(readers)

            rig.flags["NEW"].observe = nobody

    monkeypatch.setattr(rollouts, "SqlRolloutLog", dying_after("flag.observed"))
    with pytest.raises(Killed):
        await project.drive(on=blind)
    monkeypatch.setattr(rollouts, "SqlRolloutLog", REAL)
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert held.journal.standing.held.verdict == "fail"
    assert project.flag == 0


async def test_a_word_about_the_metrics_is_none_about_the_probes(project):
    """What they left open was approved; that an answer is broken now was not, and is a fail."""
    project.rolls(OPEN_AT_ALL)
    held = await project.drive()
    assert held.journal.standing.held.verdict == "inconclusive"
    await project.approve(held.rollout.id, "bo")
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert held.journal.standing.held.verdict == "fail"
    assert "it is broken" in held.left.why
    assert project.flag == 0


def closed_by_hand(project):
    """Somebody else closes the flag."""
    path = project.root / "flags.json"
    told = json.loads(path.read_text())
    told["flags"]["NEW"].pop("targeting", None)
    told["flags"]["NEW"]["defaultVariant"] = "off"
    path.write_text(json.dumps(told))


async def test_a_flag_that_was_closed_by_hand_is_not_opened_by_whoever_goes_on(
    project, monkeypatch
):
    """A step was intended when the process died; meanwhile somebody has closed the flag."""
    project.rolls(RAMP)
    monkeypatch.setattr(rollouts, "SqlRolloutLog", dying_after("flag.set"))
    with pytest.raises(Killed):
        await project.drive()

    class Second(REAL):
        async def add(self, rollout, added, /, **words):
            done = await super().add(rollout, added, **words)
            if any(e.kind == "flag.intended" and e.data["percent"] == 100 for e in added):
                raise Killed
            return done

    monkeypatch.setattr(rollouts, "SqlRolloutLog", Second)
    with pytest.raises(Killed):
        await project.drive()
    monkeypatch.setattr(rollouts, "SqlRolloutLog", REAL)
    closed_by_hand(project)
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert "not as it was left" in held.left.why
    assert project.flag == 0
    await project.approve(held.rollout.id, "bo")
    assert (await project.drive()).left.state is RolloutState.ACTIVE
    assert project.flag == 100


async def test_a_flag_that_is_closed_during_the_last_hold_is_not_called_open(project):
    """All steps were made and nobody is in: that is not through."""
    project.rolls(RAMP)

    def close(rig):
        seen = [e for e in rig.journal.entries if e.kind == "flag.observed"]
        if len(seen) == 2 and project.flag:
            closed_by_hand(project)

    held = await project.drive(on=close, speed=200.0)
    assert held.left.state is RolloutState.HELD
    assert "not as it was left" in held.left.why


async def test_a_change_that_is_accepted_skips_no_stage(project):
    """Without the stage before it, another stood at the place of the one that is held."""
    rest = 'stages.halt("go"), stages.activate("NEW", subjects=2000))'
    project.rolls(f'rollout("small", stages.apply("lower"), {rest}')
    held = await project.drive()
    project.rolls(f'rollout("small", {rest}')
    with pytest.raises(PlanVoid, match="cannot be changed"):
        await project.drive(accept=True)
    assert (await project.entries(held.rollout.id))[-1].kind == "rollout.held"


async def test_what_is_rejected_is_closed_although_its_file_has_changed(project):
    """Nobody has to accept a change before readers are out again."""
    project.rolls(RAMP.replace("minutes(1)", "minutes(1), confirm=True"))
    held = await project.drive()
    assert project.flag == 25
    await project.reject(held.rollout.id)
    project.rolls(RAMP)
    assert (await project.drive()).left.state is RolloutState.ROLLED_BACK
    assert project.flag == 0


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (', stages.halt("later", approvals=2, self_review=True)', "self_review false -> true"),
        (', stages.halt("later", approvals=1)', "approvals 2 -> 1"),
        (', stages.halt("later", approvals=2, expires=minutes(9000))', "expires"),
        ("", "halt later was taken out"),
    ],
)
async def test_who_started_it_does_not_make_its_halts_weaker(project, later, said):
    """P11: by the file neither; somebody else accepts the change, and nobody approves before."""
    project.rolls('rollout("small", stages.halt("go"), stages.halt("later", approvals=2))')
    held = await project.drive()
    project.rolls(f'rollout("small", stages.halt("go"){later})')
    with pytest.raises(NotApproved, match="not what is held"):
        await project.approve(held.rollout.id, "bo")
    with pytest.raises(NotApproved, match="weaker") as refused:
        await project.drive(accept=True)
    assert said in refused.value.found
    assert kinds(await project.entries(held.rollout.id))[-1] == "rollout.held"
    await project.drive(accept=True, who="bo")
    assert "rollout.changed" in kinds(await project.entries(held.rollout.id))
