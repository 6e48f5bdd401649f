"""No stage is skipped and nothing is done twice, wherever the process that drives it is killed."""

import asyncio
import sys

import pytest

from proctor.adapters.ledger import rollouts
from proctor.model import RolloutState
from rolling import kinds, passed

STAGES = """
rollout(
    "small",
    stages.precheck(probes.sql("rows", "SELECT count(*) FROM items")),
    stages.apply("lower", milestones=[stages.milestone(rows=50, sample=20)]),
    stages.soak("half an hour", duration=minutes(30), metrics=[filled(interval=minutes(10))]),
    stages.halt("go", self_review=True),
    stages.activate("NEW", steps=(25, 100), hold=minutes(5), metrics=[],
        probes=[probes.sql("sum", "SELECT count(low) FROM items")], subjects=2000, tolerance=0.05),
    stages.audit("lower", sample=50),
)
"""
NAMES = ["precheck", "apply lower", "half an hour", "go", "activate NEW", "audit lower"]


REAL = rollouts.SqlRolloutLog


class Killed(BaseException):
    """The process ends here, as by SIGKILL: nobody catches it."""


def dying(where, when):
    """A log whose process dies at its next addition; `when` says how far that has come."""

    class Dying(REAL):
        async def add(self, rollout, added, /, **words):
            mine = where["alive"] <= 0
            where["alive"] -= 1
            if mine and when == "before":
                raise Killed
            done = await super().add(rollout, added, **words)
            if mine:
                raise Killed
            return done

        async def release(self, rollout, /):
            if where["alive"] >= 0:
                await super().release(rollout)

    return Dying


async def ended(project):
    """The log of the rollout, once it has ended; None before that."""
    log = await REAL.open(f"sqlite:///{project.root / 'ledger.db'}")
    try:
        (found,) = await log.rollouts("local")
        return await log.entries(found.id) if found.state is RolloutState.ACTIVE else None
    finally:
        await log.aclose()


def check(project, entries):
    """Every stage was entered and passed, once and in order, and each on its own evidence."""
    assert passed(entries) == NAMES
    order = [
        (e.kind, e.data["stage"]) for e in entries if e.kind in ("stage.entered", "stage.passed")
    ]
    want = [(kind, n) for n in range(len(NAMES)) for kind in ("stage.entered", "stage.passed")]
    assert order == want
    found = kinds(entries)
    assert found.count("run.found") == 1
    assert [e.data["percent"] for e in entries if e.kind == "flag.set"] == [25, 100]
    assert found.count("flag.observed") == 2
    assert found.count("audit.made") == 2
    slots = [e.data["slot"] for e in entries if e.kind == "metric.measured"]
    assert len(slots) == len(set(slots))
    assert found.count("rollout.went_on") == found.count("approval.given")
    assert found.index("approval.given") < found.index("flag.set")
    assert project.sql("SELECT count(*) FROM items WHERE low = lower(name)") == [(200,)]
    assert project.flag == 100


@pytest.mark.parametrize("when", ["before", "after"])
async def test_killed_at_every_step_it_skips_none_and_repeats_none(project, monkeypatch, when):
    """It dies before, or right after, each addition to its log, and is started again each time."""
    project.rolls(STAGES)
    # Every process gets one step further than the one before it, and dies at the next.
    where, further = {"alive": 0}, 0
    deaths = 0
    while (entries := await ended(project) if deaths else None) is None:
        where["alive"] = further
        monkeypatch.setattr(rollouts, "SqlRolloutLog", dying(where, when))
        try:
            done = await project.drive(speed=2_000.0)
        except Killed:
            deaths, further = deaths + 1, 1 if when == "before" else 0
            monkeypatch.setattr(rollouts, "SqlRolloutLog", REAL)
            continue
        monkeypatch.setattr(rollouts, "SqlRolloutLog", REAL)
        assert done.left.state is not RolloutState.ROLLED_BACK
        if done.left.state is RolloutState.HELD:
            await project.approve(done.rollout.id, "ann")
    check(project, entries)
    assert deaths >= 25
    if when == "after":  # what is written down before it dies is found by whoever comes next
        assert kinds(entries).count("worker.started") == 1


@pytest.mark.parametrize("seconds", [0.8, 1.6, 2.4, 3.2])
async def test_a_real_kill_at_any_moment_leaves_it_resumable(project, seconds):
    """SIGKILL to the command itself; whoever is started next goes on with the same rollout."""
    project.rolls(STAGES)
    words = [sys.executable, "-m", "proctor", "rollout", "small", "--speed", "2000"]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *words, cwd=project.root, stdout=quiet, stderr=quiet
    )
    try:
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        process.kill()
        await process.wait()
    held = await project.drive(speed=2_000.0)
    while held.left.state is RolloutState.HELD:
        await project.approve(held.rollout.id, "ann")
        held = await project.drive(speed=2_000.0)
    check(project, await ended(project))
