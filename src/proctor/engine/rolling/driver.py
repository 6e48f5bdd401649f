"""The driver: one durable thing after the other, each written down before the next is begun."""

from __future__ import annotations

import asyncio

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from proctor.core.rolling import state_of
from proctor.engine.rolling.applying import apply, keep
from proctor.engine.rolling.auditing import audited
from proctor.engine.rolling.evidence import Told
from proctor.engine.rolling.filing import file_away, named
from proctor.engine.rolling.healthy import examined
from proctor.engine.rolling.holding import decide, hold, went_past
from proctor.engine.rolling.journal import Moved
from proctor.engine.rolling.monitor import monitor
from proctor.engine.rolling.outline import kind_of
from proctor.engine.rolling.probing import precheck
from proctor.engine.rolling.ramping import activate, as_left
from proctor.engine.rolling.rig import Rig, Turn
from proctor.engine.rolling.standing_rows import still_there
from proctor.engine.rolling.stepback import reopened, resume, step_back
from proctor.engine.rolling.steps import take
from proctor.engine.rolling.watching import gate, soak
from proctor.errors import (
    AuthorError,
    Busy,
    ConnectionLost,
    Fenced,
    FlagFault,
    FlagMoved,
    InDoubt,
    OperatorError,
    Unreachable,
)
from proctor.model import (
    Activate,
    Apply,
    AuditStage,
    Files,
    Gate,
    Halt,
    HealthStage,
    Precheck,
    RolloutState,
    Soak,
    Stage,
    Step,
)

LEASE: Final = timedelta(seconds=30)
"""After how long a driver that is not heard of is taken for gone."""
BEAT: Final = 5.0
"""Seconds between two beats."""
AWAY: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before a database that is away is asked again; the last one from then on."""
MOST_AWAY: Final = 40
"""Times in a row (about 20 minutes) after which the driver leaves; nothing is lost by that."""
AWAY_ERRORS: Final = (Unreachable, ConnectionLost, InDoubt, Busy)
NAP: Final = 1.0
"""The longest time, in real seconds, that the driver does not look at its worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """How the driver left: at the end, held for a person, or told to stop."""

    state: RolloutState
    why: str
    interrupted: bool = False


async def drive(rig: Rig, on: Callable[[Rig], None] = lambda _rig: None) -> Left:
    """Drive a rollout until it has ended, is held with nobody to wait for, or is told to stop."""
    beating = asyncio.ensure_future(_beat(rig))
    try:
        return await _drive(rig, on)
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)


async def _beat(rig: Rig) -> None:
    """Say that we live, also while a stage waits for an answer."""
    while True:
        await asyncio.sleep(BEAT)
        try:
            await rig.journal.log.beat(rig.journal.rollout)
        except AWAY_ERRORS:
            continue  # the next turn finds it out, and waits
        except Fenced:
            return  # so does it that another process drives it


async def _drive(rig: Rig, on: Callable[[Rig], None]) -> Left:
    away = 0
    while True:
        if rig.stop.level:
            return await _leave(rig)
        try:
            await rig.journal.refresh()
            left, until = await turn(rig)
            away = 0
        except Moved:
            continue
        except AWAY_ERRORS as error:
            # What was written is written; what was not is decided again from the log.
            if away >= MOST_AWAY:
                raise
            rig.site.events.emit(
                "rollout.stumbled",
                rollout=rig.journal.rollout.id,
                of=rig.plan.name,
                why=str(error),
                times=away + 1,
            )
            await rig.site.clock.sleep(AWAY[min(away, len(AWAY) - 1)])
            away += 1
            continue
        on(rig)
        if left is not None:
            return left
        await _nap(rig, until)


async def turn(rig: Rig) -> tuple[Left | None, datetime]:
    """One look at everything: what is ended, held, beside it, and the stage in hand."""
    standing, now = rig.journal.standing, rig.clock.now()
    if standing.ended is not None:
        return Left(state=standing.ended, why=standing.why), now
    if standing.stepping_back is not None:
        return await _stepping(rig)
    if standing.rejected is not None:
        await rig.journal.add(
            "step_back.begun",
            stage=standing.stage,
            why=standing.rejection,
            then="end",
            question="",
            ladder=rig.plan.on_fail.value,
        )
        return None, now
    until = await monitor(rig)
    working = await _keep_others(rig)
    if standing.held is not None:
        return await _held(rig, working=working, until=until)
    if await _too_late(rig):
        return None, now
    stage_turn = await _stage(rig)
    return None, min(until, stage_turn.until or now)


async def _stepping(rig: Rig) -> tuple[Left | None, datetime]:
    """One rung of a step back; while that is held nothing else goes on."""
    standing = rig.journal.standing
    held, rejected = standing.held, standing.rejected
    if held is None:
        return None, (await step_back(rig)).until or rig.clock.now()
    if rejected is not None and rejected.number > held.number:
        await resume(rig)
        return None, rig.clock.now()
    return await _held(rig, working=False, until=rig.clock.now() + timedelta(seconds=5))


async def _held(rig: Rig, *, working: bool, until: datetime) -> tuple[Left | None, datetime]:
    """Held: go on where people said so; else wait for them, or leave."""
    now = rig.clock.now()
    if await decide(rig):
        await _go_on(rig)
        return None, now
    standing = rig.journal.standing
    # Also the worker of the stage in hand: nobody else would start it again.
    working = working or any(hand.ended() is None for hand in rig.hands.values())
    if working:
        rig.carry["worked while held"] = True
    elif rig.carry.pop("worked while held", False):
        # What it did is part of what would be approved: looked at once more before we leave.
        rig.carry.pop("looked at hold", None)
        return None, now
    if standing.held is not None and not rig.patient and not working:
        return Left(state=RolloutState.HELD, why=standing.why_held), now
    return None, min(until, now + timedelta(seconds=5))


async def _go_on(rig: Rig) -> None:
    """People have decided: the stage is passed, goes on, or begins anew."""
    last = rig.journal.standing.accepted[-1]
    index, then = last.data["stage"], last.data["then"]
    if then == "restart":
        await _enter(rig, index)
    elif then == "pass":
        try:
            if await reopened(rig):
                return  # one thing at a time: the next turn comes here again
        except (FlagFault, FlagMoved) as error:
            await hold(rig, f"to go on: {error.what}", verdict="inconclusive", look=[error.fix])
            return
        await _pass(rig, index, f"{last.data['why']}; {' and '.join(last.data['by'])} went on")


async def _stage(rig: Rig) -> Turn:
    """The stage in hand: entered, worked on, passed; each of the three is one entry of the log."""
    standing = rig.journal.standing
    if standing.stage >= len(rig.plan.stages):
        return await _through_all(rig)
    if standing.entered is None:
        if await still_there(rig):
            await _enter(rig, standing.stage)
        return Turn(until=rig.clock.now())
    if (last := _undone(rig)) is not None:
        # It died between a person's word and what follows from it.
        await _go_on(rig)
        return Turn(until=last)
    found = await _worked(rig, rig.plan.stages[standing.stage])
    now = rig.journal.standing
    if not found.done or now.stepping_back is not None or now.held is not None:
        return found  # what it found on the way is acted on first
    await _pass(rig, standing.stage, found.done, found.about)
    return Turn(until=rig.clock.now())


async def _worked(rig: Rig, stage: Stage) -> Turn:
    """One look at it; what cannot be done at all is for a person to mend."""
    try:
        return await WORK[type(stage)](rig, stage)
    except AWAY_ERRORS:
        raise
    except (OperatorError, AuthorError) as error:
        why = f"{stage.name}: {error.what}" + (f" ({error.found})" if error.found else "")
        look = [error.fix] if error.fix else []
        await hold(rig, why, verdict="inconclusive", then="restart", look=look)
        return Turn(until=rig.clock.now())


async def _through_all(rig: Rig) -> Turn:
    """Every stage is passed; a worker that goes on beside them is still kept alive."""
    if await _keep_others(rig) or rig.journal.standing.held is not None:
        return Turn(until=rig.clock.now() + timedelta(seconds=1))
    if await still_there(rig) and await as_left(rig):
        await rig.journal.add(
            "rollout.ended",
            state=RolloutState.ACTIVE,
            to=RolloutState.ACTIVE.value,
            why=f"all {len(rig.plan.stages)} stages are through",
        )
    return Turn(until=rig.clock.now())


def _undone(rig: Rig) -> datetime | None:
    """Whether the latest word of people has not been followed yet."""
    said = rig.journal.standing.told("rollout.went_on")
    return said[-1].at if said and said[-1].data["then"] != "go_on" else None


async def halt(rig: Rig, stage: Halt) -> Turn:
    """A person looks and decides."""
    look = [named(rig, one) for one in stage.look]
    await hold(rig, f"halt for {stage.name}", verdict="halt", look=look)
    return Turn(until=rig.clock.now())


WORK: Final[dict[type, Callable[[Rig, Any], Awaitable[Turn]]]] = {
    Precheck: precheck,
    Apply: apply,
    AuditStage: audited,
    Files: file_away,
    Soak: soak,
    Gate: gate,
    Halt: halt,
    HealthStage: examined,
    Activate: activate,
    Step: take,
}
"""One look at a stage of each kind."""


async def _enter(rig: Rig, index: int) -> None:
    stage = rig.plan.stages[index]
    await rig.journal.add(
        "stage.entered",
        state=state_of(stage),
        stage=index,
        name=stage.name,
        what=kind_of(stage),
    )


async def _pass(rig: Rig, index: int, why: str, about: Sequence[Told] = ()) -> None:
    stage = rig.plan.stages[index]
    passed = {"stage": index, "name": stage.name, "why": why}
    # The state of the stage that is left: a rollout that was held is under way again.
    await rig.journal.add_all([*about, ("stage.passed", passed)], state=state_of(stage))


async def _keep_others(rig: Rig) -> bool:
    """Keep the workers of stages that are passed alive; whether any is at it."""
    working = False
    standing = rig.journal.standing
    for index in standing.passed:
        stage = rig.plan.stages[index]
        if not isinstance(stage, Apply) or not stage.until or _resting(rig, stage):
            continue
        if not _through(rig, stage):
            try:
                found = await keep(rig, stage)
            except AWAY_ERRORS:
                raise
            except (OperatorError, AuthorError) as error:
                if standing.held is not None:  # a person looks at it already
                    continue
                await hold(rig, f"{stage.name}: {error}", verdict="inconclusive", then="go_on")
                return working
            if found.done:
                await rig.journal.add(
                    "worker.finished", stage=index, backfill=stage.backfill, why=found.done
                )
            working = working or not found.done
    return working


def _resting(rig: Rig, stage: Apply) -> bool:
    """Whether a step back has paused its run, and nobody has gone on since."""
    for entry in reversed(rig.journal.entries):
        if entry.kind in ("rollout.went_on", "stage.retried"):
            return False
        if entry.kind == "step_back.run_paused" and entry.data["backfill"] == stage.backfill:
            return True
    return False


def _through(rig: Rig, stage: Apply) -> bool:
    return any(
        e.kind == "worker.finished" and e.data["backfill"] == stage.backfill
        for e in rig.journal.entries
    )


async def _too_late(rig: Rig) -> bool:
    """Whether the whole has taken longer than its author allows: then a person decides."""
    standing = rig.journal.standing
    within, began = rig.plan.within, standing.began
    if within is None or began is None or rig.clock.now() - began <= within:
        return False
    if went_past(rig, "deadline"):
        return False
    await hold(
        rig,
        f"deadline: it has taken longer than {within}",
        verdict="inconclusive",
        then="go_on",
        look=["the report"],
        question="deadline",
    )
    return True


async def _leave(rig: Rig) -> Left:
    """Told to stop: workers finish the chunk in hand; all of it can be resumed."""
    for hand in rig.hands.values():
        hand.ask_to_stop()
    while any(hand.ended() is None for hand in rig.hands.values()):
        await rig.site.clock.sleep(0.1)
    state = rig.journal.rollout.state
    return Left(state=state, why=rig.stop.reason, interrupted=True)


async def _nap(rig: Rig, until: datetime) -> None:
    """Sleep until something is due, or a word from outside; in real seconds no longer than NAP."""
    length = min(NAP * rig.journal.standing.speed, (until - rig.clock.now()).total_seconds())
    if length > 0:
        waiter = asyncio.ensure_future(rig.stop.heard.wait())
        sleeper = asyncio.ensure_future(rig.clock.sleep(length))
        await asyncio.wait({waiter, sleeper}, return_when=asyncio.FIRST_COMPLETED)
        for one in (waiter, sleeper):
            one.cancel()
        await asyncio.gather(waiter, sleeper, return_exceptions=True)


__all__ = ["LEASE", "Left", "drive", "turn"]
