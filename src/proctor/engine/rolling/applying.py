"""Applying: exactly one worker of a backfill, found or started, and kept alive to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from proctor.core.lifecycle import ACTIVE
from proctor.engine.rolling.auditing import milestones
from proctor.engine.rolling.holding import hold, went_past
from proctor.engine.rolling.rig import Rig, Turn, latest, rest
from proctor.engine.rolling.workers import (
    ended_as,
    found,
    left_behind,
    pause_after,
    told,
    why_left,
)
from proctor.engine.site import as_it_is, birth
from proctor.errors import Unmeasured
from proctor.model import Apply, Coverage, Metric, Run, RunState
from proctor.ports import Hand

LOOK: Final = 1.0
"""Seconds between two looks at a worker."""
EVERY: Final = 2.0
"""Seconds between two looks at the coverage."""
OCCUPYING: Final = ACTIVE | {RunState.PAUSED, RunState.FAILED}


@dataclass(slots=True)
class Kept:
    """What this process knows of a worker that it keeps alive."""

    fails: int = 0
    """Deaths in a row without progress."""
    settled: int = -1
    not_before: datetime | None = None
    told: set[str] = field(default_factory=set)


async def apply(rig: Rig, stage: Apply) -> Turn:
    """The stage: over when the run has ended well, or when `until` holds of its coverage."""
    if rig.site.protected and not await _permitted(rig, stage):
        return rest(rig, LOOK)
    turn = await keep(rig, stage)
    if turn.done or not stage.until or stage.backfill not in rig.journal.standing.runs:
        return turn
    enough = await _enough(rig, stage)
    if enough:
        return Turn(done=f"{enough}; the worker goes on beside what follows")
    return turn


async def _enough(rig: Rig, stage: Apply) -> str:
    """The coverage in words, where `until` holds of it; asked at most every few seconds."""
    now, key = rig.site.clock.monotonic(), f"until {stage.backfill}"
    if now - rig.carry.get(key, -EVERY) < EVERY:
        return ""
    rig.carry[key] = now
    metric = Metric(name="until", source=Coverage(backfill=stage.backfill))
    try:
        figures = await rig.measure(metric, rig.clock.now(), rig.clock.now(), None)
        holds = rig.condition(stage.until, figures)
    except Unmeasured:
        return ""  # nothing is known of it: the worker goes on, and it is asked again
    return f"{figures['share']:.1%} are done" if holds else ""


async def _permitted(rig: Rig, stage: Apply) -> bool:
    """A protected environment: a plan is made and looked at by people before anything runs."""
    standing = rig.journal.standing
    if made := standing.told("plan.made"):
        plan = made[-1].data
        question = f"plan {plan['digest']}"
        if went_past(rig, question, after=made[-1].number):
            return True
        await hold(
            rig,
            f"the plan of {stage.backfill} is to be approved: {plan['told']}",
            verdict="halt",
            then="go_on",
            look=[plan["file"]],
            question=question,
        )
        return False
    path = rig.folder / f"plan-{stage.backfill}.json"
    digest, told = await rig.run_plan(stage.backfill, stage.params, path)
    await rig.journal.add(
        "plan.made",
        stage=standing.stage,
        backfill=stage.backfill,
        digest=digest,
        told=told,
        file=str(path),
    )
    return False


async def keep(rig: Rig, stage: Apply) -> Turn:
    """See that exactly one worker is at it, until its run has ended."""
    now = rig.clock.now()
    run = await found(rig, stage)
    if run is not None and run.state is RunState.SUCCEEDED:
        hand = rig.hands.get(stage.backfill)
        if hand is not None and hand.ended() is None:
            return rest(rig, LOOK)  # it still writes its report
        rig.hands.pop(stage.backfill, None)
        await milestones(rig, stage, run)
        return await _ended(rig, stage, run)
    hand = rig.hands.get(stage.backfill)
    if hand is not None:
        await _tell(rig, stage, hand, again=run is not None)
    code = hand.ended() if hand is not None else None
    if code is not None:
        return await _died(rig, stage, code, run)
    # Without a hand it is somebody else's worker, or that of a process before us.
    if hand is not None or (run is not None and _at_work(run)) or left_behind(rig, stage):
        if run is not None:
            await milestones(rig, stage, run)
        return rest(rig, LOOK)
    kept = _kept(rig, stage)
    if kept.not_before is not None and now < kept.not_before:
        return Turn(until=kept.not_before)
    await _start(rig, stage, run)
    return rest(rig, LOOK)


def _at_work(run: Run) -> bool:
    return run.state in ACTIVE and not as_it_is(run).interrupted


def _kept(rig: Rig, stage: Apply) -> Kept:
    kept: Kept = rig.carry.setdefault(f"kept {stage.backfill}", Kept())
    return kept


async def _start(rig: Rig, stage: Apply, run: Run | None) -> None:
    """Start a worker. What it would resume is this stage's run, whoever began it."""
    before = ""
    if run is None:
        newest = await latest(rig, stage.backfill)
        if newest is not None and newest.state in OCCUPYING:
            await rig.journal.add(
                "run.found",
                stage=rig.journal.standing.stage,
                backfill=stage.backfill,
                run=newest.id,
            )
            if _at_work(newest):
                return
        elif newest is not None:
            before = newest.id
    words = ["run", stage.backfill]
    for name, value in stage.params.items():
        words += ["--param", f"{name}={value}"]
    if stage.workers:
        words += ["--workers", str(stage.workers)]
    if stage.processes > 1:
        words += ["--processes", str(stage.processes)]
    plan = rig.folder / f"plan-{stage.backfill}.json"
    words += ["--plan", str(plan)] if rig.site.protected and run is None else ["--yes"]
    # Before it is started: a crash right after would leave a worker that nobody knows of.
    if not _untold(rig, stage):
        await rig.journal.add(
            "worker.starting",
            stage=rig.journal.standing.stage,
            backfill=stage.backfill,
            before=before,
        )
    hand = rig.crew.start(words, log=f"worker-{stage.backfill}.log")
    rig.hands[stage.backfill] = hand
    await _tell(rig, stage, hand, again=run is not None)


def _untold(rig: Rig, stage: Apply) -> bool:
    """Whether the latest worker was to be started, and nobody wrote down that it was."""
    begun, started = told(rig, stage, "worker.starting"), told(rig, stage, "worker.started")
    return bool(begun) and (not started or started[-1].number < begun[-1].number)


async def _tell(rig: Rig, stage: Apply, hand: Hand, *, again: bool) -> None:
    """Write down that it was started, where that was not possible at once."""
    if _untold(rig, stage):
        await rig.journal.add(
            "worker.started",
            stage=rig.journal.standing.stage,
            backfill=stage.backfill,
            pid=hand.pid,
            host=rig.site.host,
            born=birth(hand.pid),
            again=again,
        )


async def _ended(rig: Rig, stage: Apply, run: Run) -> Turn:
    """The run is through: clean, or for a person to look at."""
    books = run.outcome
    told = (
        f"run {run.id} succeeded: {books.read:,} read, "
        f"{', '.join(f'{n:,} {bucket}' for bucket, n in ended_as(run)) or 'none to fill'}"
    )
    budget = rig.of(stage.backfill).budget
    over = books.failed > (budget.count if budget.count is not None else books.failed)
    if over or books.failed > budget.share * books.read:
        question = f"books of {run.id}"
        if went_past(rig, question):
            return Turn(done=f"{told}, and somebody went on")
        await hold(
            rig,
            f"{told}: more than its error budget",
            verdict="fail",
            then="go_on",  # the stage in hand may be a later one
            look=[f"proctor failures {run.id}"],
            question=question,
        )
        return rest(rig, LOOK)
    return Turn(done=told)


async def _died(rig: Rig, stage: Apply, code: int, run: Run | None) -> Turn:
    """A worker has left and its run is not through: start it again, or ask a person."""
    hand = rig.hands.pop(stage.backfill)
    run = run or await found(rig, stage)
    if run is not None and _at_work(run):  # another one was there first, and ours was refused
        return rest(rig, LOOK)
    kept, now = _kept(rig, stage), rig.clock.now()
    said = why_left(hand, run)
    if code == 0 and run is None and not stage.milestones:
        return Turn(done="nothing was left to fill")
    settled = run.outcome.read if run is not None else 0
    kept.fails = 1 if settled > kept.settled else kept.fails + 1
    kept.settled = settled
    pause = pause_after(kept.fails)
    await rig.journal.add(
        "worker.ended",
        stage=rig.journal.standing.stage,
        backfill=stage.backfill,
        pid=hand.pid,
        code=code,
        settled=settled,
        said=said,
    )
    no_run = code == 0 and run is None
    if no_run or code in (1, 2, 3) or kept.fails > stage.restarts:
        why = f"the worker of {stage.backfill} left with exit code {code}"
        if kept.fails > stage.restarts:
            why = f"the worker of {stage.backfill} died {kept.fails} times without progress"
        kept.fails = 0
        await hold(
            rig,
            f"{why}: {'; '.join(said)[:300]}",
            verdict="inconclusive",
            then="go_on",
            look=[
                f"worker-{stage.backfill}.log",
                f"proctor status {run.id}" if run is not None else "proctor status",
            ],
        )
        return rest(rig, LOOK)
    kept.not_before = now + timedelta(seconds=pause)
    return Turn(until=kept.not_before)


__all__ = ["LOOK", "apply", "keep"]
