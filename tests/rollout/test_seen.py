"""What goes on has been seen: nothing passes by looks that nobody took, or that decide nothing."""

from datetime import timedelta

import pytest

from proctor.model import RolloutState
from rolling import kinds

STEP = """
rollout("small", stages.activate("NEW", steps=(50, 100), hold=minutes(30), metrics=[metrics.sql(
    "bad", "SELECT count(*) AS value FROM items WHERE name = 'harm'", interval=minutes(5),
    failure_condition="result.value > 0", critical=True)]))
"""
SOAK = """
rollout("small", stages.soak("day", duration=minutes(60), metrics=[metrics.sql(
    "bad", "SELECT count(*) AS value FROM items WHERE name = 'harm'", interval=minutes(5),
    failure_condition="result.value > 0", critical=True)]))
"""

COMPARED = (
    'stages.activate("NEW", probes=[probes.python("main", lambda: 7, '
    "compare=lambda before, after: sys.exit(0))])"
)


def away(project, *, after, time, harm=False):
    """Nobody drives it for so long, once so many looks were taken."""
    gone = []

    def leave(rig):
        if kinds(rig.journal.entries).count("metric.measured") == after and not gone:
            gone.append(rig)
            if harm:
                project.sql("UPDATE items SET name = 'harm' WHERE id = 3")
            project.clock.passes(timedelta(minutes=time))

    return leave


@pytest.mark.parametrize(("source", "looks", "time"), [(STEP, 5, 20), (SOAK, 9, 30)])
async def test_who_comes_back_at_the_end_looks_once_more_before_it_goes_on(
    project, source, looks, time
):
    """Enough had been seen and all was well; what is there now is not, and nobody is let in."""
    project.rolls(source)
    held = await project.drive(on=away(project, after=looks, time=time, harm=True))
    assert (held.left.state, held.journal.standing.held.verdict) == (RolloutState.HELD, "fail")
    assert [e.data["percent"] for e in held.journal.entries if e.kind == "flag.set"] in ([50], [])
    assert project.flag == 0


async def test_a_step_that_hardly_anybody_looked_at_is_not_gone_beyond(project):
    """One look of seven is none of a hold: a person decides, as after a soak."""
    project.rolls(STEP)
    held = await project.drive(on=away(project, after=1, time=40))
    assert (held.left.state, held.journal.standing.held.verdict) == (
        RolloutState.HELD,
        "inconclusive",
    )
    assert "nobody looked for too long" in held.left.why
    assert project.flag == 50
    await project.approve(held.rollout.id, "bo")
    done = await project.drive()
    assert (done.left.state, project.flag) == (RolloutState.ACTIVE, 100)


async def test_where_all_is_well_who_comes_back_goes_on(project):
    """One more look is all it takes."""
    project.rolls(STEP)
    done = await project.drive(on=away(project, after=5, time=20))
    assert done.left.state is RolloutState.ACTIVE


async def test_a_gate_of_metrics_on_trial_passes_nothing(project):
    """None of them decides, whatever it says."""
    project.rolls("""
rollout("small", stages.gate("g", within=minutes(20), metrics=[metrics.sql("bad",
    "SELECT 1 AS value", success_condition="result.value == 1", interval=minutes(5),
    dry_run=True)]))
""")
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert "no metric decides: no data never passes" in held.left.why


async def test_a_metric_on_trial_fails_no_gate(project):
    """It is told, and that is all."""
    project.rolls("""
rollout("small", stages.gate("g", within=minutes(20), metrics=[
    metrics.sql("bad", "SELECT 1 AS value", failure_condition="result.value == 1",
        interval=minutes(5), dry_run=True),
    metrics.sql("well", "SELECT count(low) AS value FROM items",
        success_condition="result.value == 200", interval=minutes(5))]))
""")

    project.sql("UPDATE items SET low = 'x'")
    assert (await project.drive()).left.state is RolloutState.ACTIVE


@pytest.mark.parametrize(
    "stages",
    [
        'stages.step("main", lambda seen: sys.exit(0))',
        'stages.precheck(probes.python("main", lambda: sys.exit(0)))',
        COMPARED,
    ],
)
async def test_a_function_that_ends_its_program_ends_no_rollout(project, stages):
    """A script's main() used as a step: held, not left at exit code 0 with a flag that is open."""
    project.rolls(f'import sys\nrollout("small", {stages})')
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert "SystemExit" in held.left.why
    assert project.flag == 0
