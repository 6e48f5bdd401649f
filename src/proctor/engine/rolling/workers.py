"""Which worker is at a stage, also one of a process before us, and which run is its."""

from __future__ import annotations

from typing import Final

from proctor.engine.rolling.rig import Rig, latest
from proctor.engine.site import birth
from proctor.model import Apply, LogEntry, Run
from proctor.ports import Hand

BACK_OFF: Final = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds before a worker that died is started again; the last one from then on."""


def pause_after(fails: int) -> float:
    """Seconds to wait after so many deaths in a row without progress."""
    return BACK_OFF[min(fails, len(BACK_OFF)) - 1]


def told(rig: Rig, stage: Apply, kind: str) -> list[LogEntry]:
    """The entries of that kind about workers of this backfill."""
    mine = [e for e in rig.journal.entries if e.data.get("backfill") == stage.backfill]
    # Those of a run that was rolled back since have nothing to do with the one that follows.
    gone = [e.number for e in mine if e.kind in ("step_back.rows_restored", "run.gone")]
    return [e for e in mine if e.kind == kind and e.number > max(gone, default=0)]


async def found(rig: Rig, stage: Apply) -> Run | None:
    """The run of this stage, once there is one: written down when it is first seen."""
    standing = rig.journal.standing
    known = standing.runs.get(stage.backfill)
    if known is not None:
        return await rig.site.store.run(known)
    begun = told(rig, stage, "worker.starting")
    if not begun:
        return None
    before = begun[0].data["before"]
    newest = await latest(rig, stage.backfill)
    if newest is None or newest.id == before:
        return None
    await rig.journal.add("run.found", stage=standing.stage, backfill=stage.backfill, run=newest.id)
    return newest


def ended_as(run: Run) -> list[tuple[str, int]]:
    """The buckets that have rows, and how many."""
    return [(k, n) for k, n in run.outcome.as_dict().items() if n and k != "read"]


def left_behind(rig: Rig, stage: Apply) -> bool:
    """Whether the worker that a process before us started lives: it may not have a run yet."""
    started = told(rig, stage, "worker.started")
    if not started:
        return False
    last = started[-1].data
    ended = any(
        e.kind == "worker.ended" and e.data["pid"] == last["pid"] for e in rig.journal.entries
    )
    here = last["host"] == rig.site.host and bool(last["born"])
    return not ended and here and birth(last["pid"]) == last["born"]


async def unborn(rig: Rig) -> bool:
    """Whether a worker was started that has no run yet: it is to leave, or to be waited for.

    Nothing may be called at rest before: it would begin to write when nobody looks any more.
    """
    for stage in rig.plan.stages:
        if not isinstance(stage, Apply) or stage.backfill in rig.journal.standing.runs:
            continue
        hand = rig.hands.get(stage.backfill)
        over = hand is None or hand.ended() is not None  # asked before its run is looked for
        if await found(rig, stage) is not None:
            continue
        if hand is not None and not over and not rig.carry.get(f"asked {hand.pid}"):
            rig.carry[f"asked {hand.pid}"] = True  # once: a second time would be impatience
            hand.ask_to_stop()
        if not over or left_behind(rig, stage):
            return True
    return False


def why_left(hand: Hand, run: Run | None = None) -> list[str]:
    """Why a process has left: by its run, else by the last error that it printed, else its end."""
    if run is not None and run.reason:
        return [run.reason]
    lines = [line.strip() for line in hand.said().splitlines() if line.strip()]
    wrong = [place for place, line in enumerate(lines) if line.startswith("error:")]
    return lines[wrong[-1] :][:3] if wrong else lines[-3:]


__all__ = ["ended_as", "found", "left_behind", "pause_after", "told", "unborn", "why_left"]
