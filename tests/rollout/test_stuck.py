"""A step back whose flag does not close: who is told what, and what is said of how long it took."""

import subprocess
import sys

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from proctor import app as apps
from proctor.app.rollouts import known, shown_plan
from proctor.config import load
from proctor.core.notices import Notice, severity_of
from proctor.core.rolling import Held, Standing, stumble
from proctor.engine.kit import Stop
from proctor.engine.rolling.begin import unattended
from proctor.engine.site import birth, holder
from proctor.errors import FlagMoved
from proctor.model import Rollout, RolloutState, Severity
from rolling import kinds, tool

OPEN = """
rollout("small", stages.activate("TOOL", steps=(10, 100), hold=minutes(0), confirm=True))
"""
LITTLE = """
rollout("small", stages.activate("TOOL", steps=(10, 100), hold=minutes(10), metrics=[metrics.sql(
    "few", "SELECT 0 AS value, 1 AS total", interval=minutes(5), min_samples=10,
    success_condition="result.value == 0")]))
"""


@pytest.fixture
async def stuck(project):
    """Held at 10%, rejected, and the tool writes no more; (project, the rollout's id)."""
    tool(
        project,
        read="cat state",
        write="test ! -e broken || { echo immutable >&2; exit 3; }; echo $PERCENT > state",
    )
    (project.root / "state").write_text("0")
    project.rolls(OPEN)
    held = await project.drive()
    assert (project.root / "state").read_text().strip() == "10"
    (project.root / "broken").touch()
    await project.reject(held.rollout.id)
    return project, held.rollout.id


async def test_people_are_told_while_a_step_back_cannot_close_a_flag(stuck):
    """Critical, at the first try and the tenth; that all is back is said when it is."""
    project, _ = stuck
    heard = []

    def hear(rig):
        if heard.append not in rig.site.events.hear:
            rig.site.events.hear.append(heard.append)
        if any(e.data["tries"] == 10 for e in rig.journal.standing.told("step_back.stumbled")):
            (project.root / "broken").unlink(missing_ok=True)

    done = await project.drive(on=hear)
    assert done.left.state is RolloutState.ROLLED_BACK
    told = [e for e in heard if e.name.startswith("rollout.step") and "begun" not in e.name]
    assert [e.name.partition(".")[2] for e in told] == [
        "step_back_stumbled",
        "step_back_stumbled",
        "stepped_back",
    ]
    assert {severity_of(e) for e in told} == {Severity.CRITICAL}
    assert "readers are still let in: flag TOOL stands at 10%" in told[0].data["why"]
    assert "try 1)" in told[0].data["why"]
    assert "immutable" in told[0].data["why"]
    # Neither is a repeat of the other.
    assert len({Notice(event=e, severity=Severity.CRITICAL).thing for e in told}) == 3
    log = {e.kind: e for e in done.journal.entries}
    begun, back = log["step_back.begun"], log["step_back.flag_restored"]
    lasted = (back.at - begun.at).total_seconds()
    assert back.data["seconds"] * 3600 == pytest.approx(lasted, rel=0.2)
    (said,) = told[-1].data["told"]
    assert said == (
        f"flag TOOL is back at 0% after {back.data['seconds']:g} s of real time "
        f"({back.data['seconds'] * 3600:,.0f} s by its own clock)"
    )
    assert stumble(log["step_back.stumbled"]).endswith(log["step_back.stumbled"].data["why"])


async def test_a_rollout_that_nobody_drives_is_told_as_one(stuck):
    """Stopped in the middle of its step back: where it is, and what goes on with it."""
    project, _ = stuck

    def stops(rig):
        if rig.journal.standing.stumbled is not None:
            rig.stop.ask()

    await project.drive(on=stops, stop=Stop())
    async with apps.open(load(project.root / "proctor.toml"), "local", who="bo") as app:
        (listed,), shown = await known(app), await shown_plan(app, "small")
    for told in (listed, shown):
        assert told["where"] == "stepping back"
        assert "could not be put back (try 1)" in told["why"]
        assert told["undriven"].startswith("nobody drives it since ")


def test_who_is_gone_or_silent_for_too_long_drives_nothing():
    """Known at once of a process of this machine, by its beat of any other."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    by = replace(holder("ann"), pid=child.pid, started=birth(child.pid))
    one = Rollout(id="r1", name="small", env="local", state=RolloutState.SOAKING, number=1,
                  epoch=1, holder=by, beat=at, created=at)  # fmt: skip
    soon, late = at + timedelta(seconds=9), at + timedelta(seconds=60)
    assert unattended(one, Standing(), soon) is None
    assert unattended(one, Standing(), late) == at
    child.kill()
    child.communicate()
    assert unattended(one, Standing(), soon) == at
    left, held = replace(one, holder=None), Held(stage=0, why="", verdict="", digest="", at=at)
    assert unattended(left, Standing(), soon) == at
    assert unattended(left, Standing(held=held), soon) is None  # left to people
    assert unattended(one, Standing(held=held), soon) == at  # a worker is kept alive by nobody


async def test_what_somebody_else_wrote_is_not_overwritten_by_a_retry(project):
    """Refused with what it is and was; put back by hand it is tried again; rejected it is shut."""
    tool(project, read="cat state", write="echo $PERCENT > state")
    state = project.root / "state"
    state.write_text("0")
    project.rolls(OPEN)
    held = await project.drive()
    state.write_text("50")
    with pytest.raises(FlagMoved) as refused:
        await project.drive(retry="once more")
    assert refused.value.found == "50% now, 10% when it was left"
    assert f"proctor approve {held.rollout.id}" in refused.value.fix
    assert "put it back to 10%" in refused.value.fix
    assert state.read_text() == "50"
    assert (await project.entries(held.rollout.id))[-1].kind == "rollout.held"
    state.write_text("10")
    anew = await project.drive(retry="put back")
    assert kinds(anew.journal.entries).count("flag.set") == 2
    assert state.read_text().strip() == "10"
    state.write_text("50")
    await project.reject(held.rollout.id)
    assert (await project.drive()).left.state is RolloutState.ROLLED_BACK
    assert state.read_text().strip() == "0"  # whatever it was by then


async def test_a_stage_begun_anew_by_changes_asks_before_it_overwrites(project):
    """A changed file begins the stage anew as well: held, and people may go on from what it is."""
    tool(project, read="cat state", write="echo $PERCENT > state")
    state = project.root / "state"
    state.write_text("0")
    # Little data: what was inconclusive is begun anew by other rules.
    project.rolls(LITTLE)
    assert (await project.drive()).left.state is RolloutState.HELD
    state.write_text("50")
    project.rolls(LITTLE.replace("min_samples=10", "min_samples=1"))
    held = await project.drive(accept=True)
    assert "50% now, 10% when it was left" in held.left.why
    assert state.read_text() == "50"
    await project.approve(held.rollout.id, "bo")
    done = await project.drive()
    assert done.left.state is RolloutState.ACTIVE
    steps = [e.data["percent"] for e in done.journal.entries if e.kind == "flag.set"]
    assert steps == [10, 100]


async def test_whatever_holds_a_rollout_says_at_how_many_percent_readers_are_let_in(project):
    """Also when the tool fails at the next step: what is in doubt is told as that."""
    tool(
        project,
        read="cat state",
        write="test ! -e broken || { echo immutable >&2; exit 3; }; echo $PERCENT > state",
    )
    (project.root / "state").write_text("0")
    (project.root / "broken").touch()
    project.rolls(OPEN)
    held = await project.drive()
    assert held.left.why.endswith("flag TOOL was at 0% and being set to 10%: nobody knows which")
    (project.root / "broken").unlink()
    held = await project.drive(retry="mended")
    assert held.left.why.endswith("readers are still let in: flag TOOL was last set to 10%")
    await project.approve(held.rollout.id, "bo")
    (project.root / "state").write_text("blue")
    held = await project.drive()
    assert "blue" in held.left.why
    assert held.left.why.endswith("readers are still let in: flag TOOL was last set to 10%")


async def test_what_somebody_wrote_after_a_step_back_is_not_overwritten_by_an_approval(project):
    """People go past the fail: the flag stays as it was made meanwhile, and that is on record."""
    tool(project, read="cat state", write="echo $PERCENT > state")
    state = project.root / "state"
    state.write_text("0")
    project.rolls("""
rollout("small", stages.activate("TOOL", steps=(100,), hold=minutes(0), metrics=[]),
    stages.soak("day", duration=minutes(30), metrics=[metrics.sql(
        "bad", "SELECT count(*) AS value FROM items",
        failure_condition="result.value > 0", interval=minutes(5), critical=True)]))
""")
    held = await project.drive()
    assert (held.left.state, state.read_text().strip()) == (RolloutState.HELD, "0")
    state.write_text("30")
    await project.approve(held.rollout.id, "bo", forced=True)
    done = await project.drive()
    assert (done.left.state, state.read_text().strip()) == (RolloutState.ACTIVE, "30")
    (opened,) = [e.data for e in done.journal.entries if e.kind == "flag.reopened"]
    assert (opened["percent"], opened["as_found"]) == (30, True)
