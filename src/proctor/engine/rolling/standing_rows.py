"""Whether what readers are to see is still there: a run may be taken back by hand at any time."""

from __future__ import annotations

from typing import Final

from proctor.engine.rolling.evidence import Told
from proctor.engine.rolling.holding import hold, went_past
from proctor.engine.rolling.rig import Rig
from proctor.model import Apply, RunState

TAKEN_BACK: Final = frozenset({RunState.ROLLING_BACK, RunState.ROLLED_BACK})


async def still_there(rig: Rig) -> bool:
    """Whether every run that was applied still stands; held for a person where one does not.

    Asked before a stage begins, before readers are let in, and at the end: a rollout of rows that
    are not there is neither gone on with nor through.
    """
    for backfill, run_id in rig.journal.standing.runs.items():
        place = _applied(rig, backfill)
        if place is not None and rig.journal.standing.stage <= place:
            continue  # it is written anew
        run = await rig.site.store.run(run_id)
        question = f"run {run_id} was taken back"
        if run.state not in TAKEN_BACK or went_past(rig, question):
            continue
        state = run.state.value.replace("_", " ")
        await hold(
            rig,
            f"run {run_id} of {backfill} is {state}, not by this rollout",
            verdict="inconclusive",
            then="go_on",
            at=place,
            look=[f"proctor status {run_id}"],
            question=question,
        )
        return False
    return True


async def gone(rig: Rig, stage: int) -> list[Told]:
    """What is written down of runs that are begun anew from that stage on: theirs are no more."""
    return [
        ("run.gone", {"backfill": backfill, "run": run_id})
        for backfill, run_id in rig.journal.standing.runs.items()
        if (place := _applied(rig, backfill)) is not None
        and place >= stage
        and (await rig.site.store.run(run_id)).state is RunState.ROLLED_BACK
    ]


def _applied(rig: Rig, backfill: str) -> int | None:
    """Where it is written anew, if that is what people want."""
    found = [
        place
        for place, stage in enumerate(rig.plan.stages)
        if isinstance(stage, Apply) and stage.backfill == backfill
    ]
    return found[0] if found else None


__all__ = ["gone", "still_there"]
