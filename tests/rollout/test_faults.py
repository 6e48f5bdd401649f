"""Bad input and faults: each ends held or stepped back with a clear reason, never green."""

import asyncio
import contextlib
import os

from datetime import UTC, datetime, timedelta

import pytest

from proctor import app as apps
from proctor.adapters.clock import SystemClock
from proctor.app.rolling import RolloutOptions, roll_out
from proctor.config import load
from proctor.errors import (
    ConfigError,
    DefinitionError,
    NotApproved,
    RunActive,
    Unmeasured,
    UsageError,
)
from proctor.model import RolloutState
from rolling import kinds, tool

FLAGGED = """
rollout("small", stages.apply("lower"),
    stages.activate("TOOL", steps=(50, 100), hold=minutes(0)))
"""


async def test_a_flag_tool_that_fails_holds_and_activates_nothing(project):
    """Activation is skipped, and the reason is the tool's own."""
    tool(project, read="cat state", write="echo no such project >&2; exit 3")
    (project.root / "state").write_text("0")
    project.rolls(FLAGGED)
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert "TOOL" in held.left.why
    assert "flag.set" not in kinds(held.journal.entries)


async def test_a_flag_tool_that_lies_on_read_back_is_found_out(project):
    """It says done, and nothing was done."""
    tool(project, read="cat state", write="exit 0")
    (project.root / "state").write_text("0")
    project.rolls(FLAGGED)
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert "flag.set" not in kinds(held.journal.entries)


async def test_a_flag_that_somebody_else_wrote_is_not_overwritten(project):
    """P4 for flags: held, with what was found."""
    project.rolls(
        'rollout("small", stages.activate("NEW", steps=(5, 50), hold=minutes(600), subjects=2000))'
    )

    def meddle(rig):
        if "flag.observed" in kinds(rig.journal.entries):
            path = project.root / "flags.json"
            path.write_text(path.read_text().replace("95", "70").replace("5,", "30,"))

    held = await project.drive(on=meddle, speed=20_000.0)
    assert held.left.state is RolloutState.HELD
    assert "NEW" in held.left.why
    assert [e.data["percent"] for e in held.journal.entries if e.kind == "flag.set"] == [5]


class Jumping(SystemClock):
    """The machine's time, moved by hand."""

    ahead = timedelta(0)

    def now(self):
        return datetime.now(UTC) + self.ahead


@contextlib.asynccontextmanager
async def by(project, clock):
    """The app by another clock."""
    async with apps.open(load(project.root / "proctor.toml"), "local", who="ann", clock=clock) as a:
        yield a


async def test_a_clock_that_goes_back_holds(project):
    """Nobody knows what is due: a person has to see to the clock."""
    project.sql("UPDATE items SET low = lower(name)")
    project.rolls('rollout("small", stages.soak("day", duration=minutes(600), metrics=[filled()]))')
    clock = Jumping()

    def back(rig):
        if "metric.measured" in kinds(rig.journal.entries):
            clock.ahead = -timedelta(hours=2)

    async with by(project, clock) as app:
        held = await roll_out(app, "small", RolloutOptions(), back)
    assert held.left.state is RolloutState.HELD
    assert "clock went back" in held.left.why


async def test_time_that_passed_without_a_look_is_missed_and_never_counts(project):
    """A machine that slept: the looks are recorded as missed, and pass nothing."""
    project.sql("UPDATE items SET low = lower(name)")
    project.rolls("""
rollout("small", stages.soak("hour", duration=minutes(60), metrics=[filled()]))
""")
    clock = Jumping()

    def sleeps(rig):
        if kinds(rig.journal.entries).count("metric.measured") == 1 and not clock.ahead:
            clock.ahead = timedelta(minutes=58)

    async with by(project, clock) as app:
        task = asyncio.ensure_future(
            roll_out(app, "small", RolloutOptions(), lambda rig: sleeps(rig) or ends(rig, clock))
        )
        held = await task
    assert held.left.state is RolloutState.HELD  # what was seen was good, and it was too little
    assert "nobody looked for too long" in held.left.why
    missed = [e for e in held.journal.entries if e.kind == "metric.missed"]
    assert missed
    assert missed[0].data["last"] - missed[0].data["first"] >= 8


def ends(rig, clock):
    """After the gap, let the soak's last minutes pass as well."""
    if "metric.missed" in kinds(rig.journal.entries):
        clock.ahead = timedelta(minutes=62)


async def test_a_metric_that_never_answers_is_an_error_of_the_metric(project):
    """It ends by its time-out; too many errors in a row need a person, and are no value."""
    project.rolls("""
import asyncio

async def never():
    await asyncio.Event().wait()

rollout("small", stages.soak("hour", duration=minutes(60), metrics=[metrics.python(
    "hangs", never, interval=minutes(10), success_condition="result.value == 0",
    timeout=timedelta(seconds=0.1), consecutive_error_limit=1)]))
""")
    held = await project.drive(speed=1200.0)
    assert held.left.state is RolloutState.HELD
    assert "could not be made" in held.left.why
    phases = {e.data["phase"] for e in held.journal.entries if e.kind == "metric.measured"}
    assert phases == {"error"}


async def test_a_check_that_raises_never_passes(project):
    """The author's own check is broken: the audit does not go green by it."""
    source = (project.root / "backfills.py").read_text()
    (project.root / "backfills.py").write_text(
        source.replace(
            'checks.length("low", least=1, most=40)',
            'checks.python("low", lambda value: 1 / 0, level="warning")',
        )
    )
    project.rolls('rollout("small", stages.apply("lower"), stages.audit("lower", sample=10))')
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert held.left.why


async def test_two_people_who_approve_at_once_are_both_on_record(anywhere):
    """Neither word is lost, and neither counts twice."""
    anywhere.rolls('rollout("small", stages.halt("go", approvals=2))')
    held = await anywhere.drive()
    await asyncio.gather(*(anywhere.approve(held.rollout.id, who) for who in ("bo", "cy")))
    given = [e for e in await anywhere.entries(held.rollout.id) if e.kind == "approval.given"]
    assert sorted(e.who for e in given) == ["bo", "cy"]
    assert (await anywhere.drive()).left.state is RolloutState.ACTIVE


async def test_one_process_drives_a_rollout_at_a_time(anywhere):
    """A second one is refused, and says who does."""
    anywhere.rolls('rollout("small", stages.halt("go"))')
    refused = []

    async def second():
        try:
            await anywhere.drive(who="bo")
        except RunActive as error:
            refused.append(error)

    tasks = []

    def meanwhile(rig):
        if not tasks:
            tasks.append(asyncio.ensure_future(second()))
        if tasks[0].done():
            rig.stop.ask()

    await anywhere.drive(on=meanwhile, patient=True)
    await tasks[0]
    assert f"process {os.getpid()}" in refused[0].found


async def test_a_rollout_of_nothing_that_there_is_is_refused_before_it_begins(project):
    """Unknown backfills and flags are found at once, with what there is."""
    project.rolls('rollout("small", stages.apply("nobody"))')
    with pytest.raises(ConfigError, match="there is none of"):
        await project.drive()
    project.rolls('rollout("small", stages.activate("NOWHERE"))')
    with pytest.raises(ConfigError, match="does not name") as refused:
        await project.drive()
    assert "NEW" in refused.value.found
    project.rolls('rollout("small", stages.halt("go"))')
    with pytest.raises(UsageError, match="no rollout named"):
        await project.drive("other")


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ('rollout("small")', "made by proctor.stages"),
        ('rollout("small", stages.gate("empty", metrics=[]))', "without a metric"),
        (('rollout("small", stages.gate("g", metrics=[metrics.sql("m", "SELECT 6 AS events, 100 AS '
         'total", baseline=metrics.fixed(rate=0.05, allowed=0.85))]))'), "passed by one look"),
        ('rollout("small", stages.halt("a"), stages.halt("a"))', "two stages"),
        ('rollout("small", stages.halt("a"), on_fail="hope")', "on_fail="),
        ('rollout("small", stages.activate("NEW", steps=(50, 5)))', "percents that rise"),
        ('rollout("small", stages.soak("s", metrics=[filled()], duration=minutes(1)))', "less"),
        ('rollout("small", stages.halt("a", approvals=0))', "approvals="),
        ('rollout("small", stages.apply("lower", milestones=[stages.milestone()]))', "milestone"),
        ('rollout("small", stages.precheck())', "probes are made"),
        ('rollout("small", stages.soak("s", metrics=[filled(), filled()], duration=minutes(99)))',
         "one name"),
        ('rollout("small", stages.gate("g", metrics=[metrics.sql("m", "SELECT 1 AS n")]))', "m "),
    ],
)  # fmt: skip
async def test_a_mistake_in_a_rollout_is_told_where_it_is_written(project, source, what):
    """At import, with the right code beside it."""
    project.rolls(source)
    with pytest.raises(DefinitionError, match=what) as refused:
        await project.drive()
    assert refused.value.fix


async def test_a_word_for_another_environment_is_refused(project):
    """Approving is of one rollout, in its own environment."""
    project.rolls('rollout("small", stages.halt("go"))')
    held = await project.drive()
    async with apps.open(load(project.root / "proctor.toml"), "production", who="bo") as app:
        from proctor.app.approving import approve

        with pytest.raises(NotApproved, match="belongs to environment local"):
            await approve(app, held.rollout.id, reason="looked", forced=False)


async def test_a_monitor_file_that_cannot_be_written_stops_nothing(project):
    """The snapshots stand in the log, and people are told."""
    (project.root / "taken").write_text("no folder")
    project.rolls("""
rollout("small", stages.halt("go", self_review=True),
    monitor=stages.monitor("taken/monitor.md", every=minutes(5)))
""")
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert "snapshot.appended" in kinds(held.journal.entries)
    assert held.error is None


@pytest.mark.parametrize(
    "stage",
    [
        'stages.step("odd", lambda seen: {(1, 2): 3})',
        'stages.precheck(probes.python("odd", lambda: {1: 2, "b": 3}))',
    ],
)
async def test_an_answer_that_cannot_be_kept_needs_a_person(project, stage):
    """Its author's function returns what is no JSON: held, not a crash at every start."""
    project.rolls(f'rollout("small", {stage})')
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert "TypeError" in held.left.why


async def test_a_milestone_that_says_nothing_needs_a_person(project):
    """P8: an audit on too few samples is not taken for a pass on the way either."""
    source = (project.root / "backfills.py").read_text()
    wanted = source.replace("least=1, most=40", "least=1, most=40, min_samples=100")
    (project.root / "backfills.py").write_text(wanted)
    project.rolls("""
rollout("small", stages.apply("lower", milestones=[stages.milestone(rows=50, sample=20)]))
""")
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    assert held.journal.standing.held.verdict == "inconclusive"
    assert "at 50 rows" in held.left.why
    await project.approve(held.rollout.id, "bo")
    done = await project.drive()
    assert done.left.state is RolloutState.ACTIVE
    assert kinds(done.journal.entries).count("audit.made") == 1


@pytest.mark.parametrize("before", ["DELETE FROM items", "UPDATE items SET low = lower(name)"])
async def test_a_milestone_at_which_nothing_was_written_needs_a_person(project, before):
    """P8: no row, or all filled by somebody before: nobody looked at any, and no flag is opened."""
    project.sql(before)
    project.rolls("""
rollout("small", stages.apply("lower", milestones=[stages.milestone(rows=50, sample=20)]),
    stages.activate("NEW", metrics=[], probes=[probes.sql("sum", "SELECT count(low) FROM items")]))
""")
    held = await project.drive()
    assert (held.left.state, project.flag) == (RolloutState.HELD, 0)
    assert held.journal.standing.held.verdict == "inconclusive"
    assert "wrote no row that could be looked at" in held.left.why


async def test_a_worker_that_cannot_go_on_is_told_with_its_reason(project):
    """The function raises for every row: what it raised, and the run to look at."""
    source = (project.root / "backfills.py").read_text()
    (project.root / "backfills.py").write_text(source.replace('row["name"]', 'row["nope"]'))
    project.rolls('rollout("small", stages.apply("lower"))')
    held = await project.drive()
    assert held.left.state is RolloutState.HELD
    why = "the worker of lower left with exit code 2: the function of lower fails in the same way"
    assert held.left.why.startswith(why)
    assert "'nope' at backfills.py" in held.left.why
    (run,) = held.journal.standing.runs.values()
    assert f"proctor status {run}" in held.journal.standing.held.look


PROBED = """
rollout("small",
    stages.precheck(probes.sql("rows", "SELECT count(*) FROM items"), probes.flag("NEW")),
    stages.gate("still there", within=minutes(20), metrics=[metrics.probe(
        name, name, interval=minutes(5), success_condition="result.ok == 1") for name in asked]))
"""


async def test_a_gate_can_ask_probes_of_its_rollout(project):
    """As its stage asks them."""
    project.rolls('asked = ["rows", "flag NEW"]' + PROBED)
    done = await project.drive()
    assert done.left.state is RolloutState.ACTIVE
    said = [e.data["why"] for e in done.journal.entries if e.kind == "stage.judged"]
    assert said == ["rows: ok 1: result.ok == 1; flag NEW: ok 1: result.ok == 1"]


async def test_a_probe_that_there_is_none_of_is_told_before_anything_begins(project):
    """A wrong name is no answer, and no yes."""
    project.rolls('asked = ["rows", "nobody"]' + PROBED)
    with pytest.raises(Unmeasured, match="there is no probe of that name"):
        await project.drive()
