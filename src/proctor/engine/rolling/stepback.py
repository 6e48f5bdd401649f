"""The step back: the flag first, then the run, then the rows if asked for; each with its time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from proctor.core.lifecycle import ACTIVE
from proctor.core.rolling import Standing, state_of
from proctor.engine.control import pause
from proctor.engine.rolling.evidence import Told
from proctor.engine.rolling.holding import hold
from proctor.engine.rolling.rig import Rig, Turn, rest, wait
from proctor.engine.rolling.workers import pause_after, unborn, why_left
from proctor.errors import IllegalMove, ProctorError
from proctor.model import (
    Activate,
    Apply,
    FlagState,
    LogEntry,
    OnFail,
    RolloutState,
    RunState,
    Undone,
)
from proctor.ports import Hand

AGAIN = 1.0
"""Seconds between two looks at a run that is coming to rest."""


async def fail(
    rig: Rig, why: str, *, then: str, about: Sequence[Told] = (), question: str = ""
) -> None:
    """Something failed that must not go on: written down, and taken back from here on.

    then: what a forced approval leads to: `pass`, `go_on` or `restart` of the stage. about: what
    it was found by; a crash between the two would leave a fail that nobody acts on.
    """
    begun = {
        "stage": rig.journal.standing.stage,
        "why": why,
        "then": then,
        "question": question,
        "ladder": rig.plan.on_fail.value,
    }
    await rig.journal.add_all([*about, ("step_back.begun", begun)])


async def step_back(rig: Rig) -> Turn:
    """One rung a turn, each written down; at the end the rollout is held, or has ended."""
    standing = rig.journal.standing
    begun = standing.stepping_back
    assert begun is not None  # noqa: S101 - the caller has looked
    done = [e for e in rig.journal.entries if e.number > begun.number]
    for flag, told in standing.flags.items():
        taken = any(e.kind == "step_back.flag_restored" and e.data["flag"] == flag for e in done)
        if "percent" in told and not taken:
            return await _flag_back(rig, flag, told)
    if rig.plan.on_fail is not OnFail.FLAG or standing.rejected is not None:
        if await unborn(rig):
            return rest(rig, AGAIN)
        standing = rig.journal.standing
        for name, run in standing.runs.items():
            rested = [e for e in done if e.kind == "step_back.run_paused" and e.data["run"] == run]
            if not rested:
                return await _pause(rig, name, run)
    if rig.plan.on_fail is OnFail.ROWS:
        for name, run in reversed(list(standing.runs.items())):
            back = [e for e in done if e.kind == "step_back.rows_restored" and e.data["run"] == run]
            if not back:
                return await _rows_back(rig, name, run)
    await _end(rig, done)
    return Turn(until=rig.clock.now())


async def _flag_back(rig: Rig, name: str, told: Any) -> Turn:
    """The flag as it was before the rollout; a tool that fails is asked again until it does."""
    before = told["before"]
    state = FlagState(percent=before["percent"], version=before["version"], raw=before["raw"])
    begun = rig.journal.standing.stepping_back
    once = f"{rig.journal.rollout.id}/back/{begun.number if begun else 0}"
    try:
        flag = await rig.opened(name)
        now = await flag.restore(state, reason="step back", once=once)
    except ProctorError as error:
        tries = rig.carry.setdefault(f"flag back {name}", [0])
        tries[0] += 1
        if tries[0] in (1, 10) or tries[0] % 100 == 0:
            await rig.journal.add(
                "step_back.stumbled",
                flag=name,
                percent=told["percent"],
                why=str(error),
                tries=tries[0],
            )
        return wait(rig.clock.now(), min(60.0, 2.0 ** min(tries[0], 6)))
    await rig.journal.add(
        "step_back.flag_restored",
        flag=name,
        percent=now.percent,
        seconds=_since(rig),
        needs_redeploy=flag.powers.needs_redeploy,
    )
    return Turn(until=rig.clock.now())


def _since(rig: Rig) -> float:
    """Real seconds since the step back began, whichever process began it.

    Not those of one try: until the flag is back readers are let in.
    """
    begun = rig.journal.standing.stepping_back
    assert begun is not None  # noqa: S101 - only a step back asks
    lasted = (rig.clock.now() - begun.at).total_seconds() / rig.journal.standing.speed
    return round(max(0.0, lasted), 3)


async def _pause(rig: Rig, backfill: str, run_id: str) -> Turn:
    """The run comes to rest: nothing more is written."""
    run = await rig.site.store.run(run_id)
    hand = rig.hands.get(backfill)
    if run.state is RunState.RUNNING:
        try:
            await pause(rig.site, run)
        except IllegalMove:  # it came to an end meanwhile; the next look sees which
            return wait(rig.clock.now(), AGAIN)
    if run.state in ACTIVE or (hand is not None and hand.ended() is None):
        return wait(rig.clock.now(), AGAIN)
    rig.hands.pop(backfill, None)
    await rig.journal.add(
        "step_back.run_paused",
        backfill=backfill,
        run=run_id,
        to=run.state.value,
        seconds=_since(rig),
    )
    return Turn(until=rig.clock.now())


async def _rows_back(rig: Rig, backfill: str, run_id: str) -> Turn:
    """The rows, by the same rollback that a person would type, in a process of its own.

    One that fails is tried again with pauses that grow; after as many times in a row without
    progress as a worker of it may die, a person is asked.
    """
    run = await rig.site.store.run(run_id)
    key = f"rows {run_id}"
    hand = rig.hands.get(key)
    if hand is not None and hand.ended() is None:
        return wait(rig.clock.now(), AGAIN)
    if run.state is RunState.ROLLED_BACK:
        rig.hands.pop(key, None)
        back = await _undone(rig, run_id)
        await rig.journal.add(
            "step_back.rows_restored",
            backfill=backfill,
            run=run_id,
            written=run.outcome.written,
            restored=back.restored,
            left=back.changed + back.gone + back.blocked,
            seconds=_since(rig) if key in rig.carry else None,
        )
        return Turn(until=rig.clock.now())
    if hand is not None:  # whatever its exit code is: the rows are not back
        return await _stumbled(rig, backfill, run_id, hand)
    if (due := _not_before(rig, run_id)) is not None and rig.clock.now() < due:
        return Turn(until=due)
    words = await _rollback(rig, run_id)
    rig.carry[key] = True
    rig.hands[key] = rig.crew.start(words, log=f"rollback-{run_id}.log")
    return wait(rig.clock.now(), AGAIN)


async def _rollback(rig: Rig, run_id: str) -> list[str]:
    """What a person would type."""
    spec = await rig.site.store.spec_of(run_id)
    return ["rollback", run_id, "--yes", *(["--touched"] if spec.touches else [])]


async def _undone(rig: Rig, run_id: str) -> Undone:
    return sum((c.taken_back for c in await rig.site.store.chunks(run_id)), Undone())


def _stumbles(rig: Rig, run_id: str) -> list[LogEntry]:
    """Rollbacks of the run that failed, since it is stepping back or a person had it tried anew.

    From the log: a process that is killed and started again neither forgets nor repeats one.
    """
    anew = ("step_back.begun", "step_back.resumed", "rollout.went_on")
    since = max((e.number for e in rig.journal.entries if e.kind in anew), default=0)
    return [
        e
        for e in rig.journal.entries
        if e.kind == "step_back.stumbled" and e.data.get("run") == run_id and e.number > since
    ]


def _not_before(rig: Rig, run_id: str) -> datetime | None:
    """When a rollback that failed is tried again; None where none did."""
    before = _stumbles(rig, run_id)
    if not before:
        return None
    pause = rest(rig, pause_after(before[-1].data["tries"])).until
    assert pause is not None  # noqa: S101 - a rest has an end
    return before[-1].at + (pause - rig.clock.now())


async def _stumbled(rig: Rig, backfill: str, run_id: str, hand: Hand) -> Turn:
    """A rollback has left and the rows are not back: try it again, or ask a person."""
    before, restored = _stumbles(rig, run_id), (await _undone(rig, run_id)).restored
    stuck = bool(before) and before[-1].data["so_far"] >= restored
    tries = before[-1].data["tries"] + 1 if stuck else 1
    limit = next(
        one.restarts
        for one in rig.plan.stages
        if isinstance(one, Apply) and one.backfill == backfill
    )
    said = "; ".join(why_left(hand))[:300]
    stumbled = {
        "backfill": backfill,
        "run": run_id,
        "code": hand.ended(),
        "why": said,
        "so_far": restored,
        "tries": tries,
    }
    if tries <= limit:
        await rig.journal.add_all([("step_back.stumbled", stumbled)])
    else:
        await hold(
            rig,
            f"the rows of run {run_id} are not back: its rollback failed {tries} times without "
            f"progress: {said}",
            verdict="inconclusive",
            then="go_on",
            look=[f"rollback-{run_id}.log", f"proctor status {run_id}"],
            about=[("step_back.stumbled", stumbled)],
            words=[f"proctor {' '.join(await _rollback(rig, run_id))}"],
        )
    rig.hands.pop(f"rows {run_id}")
    return Turn(until=_not_before(rig, run_id))


async def resume(rig: Rig) -> None:
    """A step back that is held for what failed is tried again: somebody has looked."""
    stage = rig.plan.stages[min(rig.journal.standing.stage, len(rig.plan.stages) - 1)]
    await rig.journal.add("step_back.resumed", state=state_of(stage))


async def _end(rig: Rig, done: Sequence[Any]) -> None:
    """What was taken back, in words; held for a person, or at its end where one rejected it."""
    standing = rig.journal.standing
    begun = standing.stepping_back
    assert begun is not None  # noqa: S101 - the caller has looked
    told = [
        f"flag {e.data['flag']} is back at {e.data['percent']}% after {_lasted(rig, e)}"
        for e in done
        if e.kind == "step_back.flag_restored"
    ]
    told += [
        f"run {e.data['run']} "
        + ("had succeeded before" if e.data["to"] == RunState.SUCCEEDED else f"is {e.data['to']}")
        for e in done
        if e.kind == "step_back.run_paused"
    ]
    told += [
        f"run {e.data['run']} was rolled back: {e.data['restored']:,} rows restored"
        + (f", {e.data['left']:,} left alone, for others changed them" if e.data["left"] else "")
        for e in done
        if e.kind == "step_back.rows_restored"
    ]
    why = begun.data["why"]
    rows = any(e.kind == "step_back.rows_restored" for e in done)
    then = "restart" if rows else begun.data["then"]
    at = begin_at(rig, standing.stage) if then == "restart" else None
    ended = ("step_back.ended", {"told": told, "why": why})
    if standing.rejected is not None:
        last = {"to": RolloutState.ROLLED_BACK.value, "why": "; ".join([why, *told])}
        await rig.journal.add_all([ended, ("rollout.ended", last)], state=RolloutState.ROLLED_BACK)
        return
    await hold(
        rig,
        "; ".join([why, *told]),
        verdict="fail",
        then=then,
        at=at,
        look=["the report", *(f"proctor status {run}" for run in _runs(done, standing))],
        about=[ended],
        question=begun.data.get("question", ""),
    )


def _lasted(rig: Rig, entry: LogEntry) -> str:
    """How long after its begin, in real seconds; by the rollout's clock too, where that differs."""
    said, speed = f"{entry.data['seconds']:g} s", rig.journal.standing.speed
    if speed == 1:
        return said
    return f"{said} of real time ({entry.data['seconds'] * speed:,.0f} s by its own clock)"


def _runs(done: Sequence[LogEntry], standing: Standing) -> list[str]:
    """Those that it stopped or took back."""
    back = [e.data["run"] for e in done if e.kind == "step_back.rows_restored"]
    return list(dict.fromkeys([*standing.runs.values(), *back]))


def taken_back(rig: Rig) -> list[LogEntry]:
    """What the latest step back took back, and nobody has opened again since.

    Nothing, once the rollout has begun anew where that was done: its stages do it again, in order.
    """
    since = list[LogEntry]()
    for entry in rig.journal.entries:
        if entry.kind == "step_back.begun" or _anew(entry):
            since = []
        since.append(entry)
    if not since or since[0].kind != "step_back.begun":
        return []
    opened = {e.data["flag"] for e in since if e.kind in ("flag.reopened", "flag.read")}
    return [
        e
        for e in since
        if e.kind == "step_back.rows_restored"
        or (e.kind == "step_back.flag_restored" and e.data["flag"] not in opened)
    ]


def _anew(entry: LogEntry) -> bool:
    """Whether a rollout was sent back by it to a stage that is done again."""
    restart = entry.kind == "rollout.went_on" and entry.data["then"] == "restart"
    return restart or entry.kind == "stage.retried"


def begin_at(rig: Rig, stage: int) -> int:
    """Where a rollout begins anew: not behind what the step back took back."""
    back = taken_back(rig)
    flags = {e.data["flag"] for e in back if e.kind == "step_back.flag_restored"}
    filled = {e.data["backfill"] for e in back if e.kind == "step_back.rows_restored"}
    places = [
        place
        for place, one in enumerate(rig.plan.stages[: stage + 1])
        if (isinstance(one, Activate) and one.flag in flags)
        or (isinstance(one, Apply) and one.backfill in filled)
    ]
    return min([stage, *places])


async def reopened(rig: Rig) -> bool:
    """Whether a flag that a step back closed was opened again, by the word of people.

    They went past a fail: readers are let in as far as they were, and the next stage follows.
    """
    for entry in taken_back(rig):
        if entry.kind != "step_back.flag_restored":
            continue
        name = entry.data["flag"]
        steps = [
            e
            for e in rig.journal.entries
            if e.kind == "flag.set" and e.data["flag"] == name and e.number < entry.number
        ]
        if not steps:
            continue
        percent, flag = steps[-1].data["percent"], await rig.opened(name)
        once = f"{rig.journal.rollout.id}/again/{entry.number}"
        now = await flag.read()
        # What somebody has made of it since it was closed stays: it goes on from that.
        ours = now.percent in (entry.data["percent"], percent)
        if ours:
            now = await flag.set(percent, expect=now, reason="went on", once=once)
        await rig.journal.add("flag.reopened", flag=name, percent=now.percent, as_found=not ours)
        return True
    return False


__all__ = ["begin_at", "fail", "reopened", "resume", "step_back"]
