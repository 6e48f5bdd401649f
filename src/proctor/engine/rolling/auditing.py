"""Audits of a rollout: at milestones of a run, and as a stage of their own."""

from __future__ import annotations

from typing import Any

from proctor.engine.audit import Audit, Wanted, audit
from proctor.engine.rolling.evidence import Told
from proctor.engine.rolling.holding import hold, went_past
from proctor.engine.rolling.rig import Rig, Turn, latest, wait
from proctor.engine.rolling.stepback import fail
from proctor.model import Apply, AuditStage, Milestone, Ruling, Run, RunState

AGAIN = 5.0
"""Seconds before a stage looks again."""


async def milestones(rig: Rig, stage: Apply, run: Run) -> None:
    """Audit what is due: each milestone once, in order, when the run has come that far."""
    for milestone in stage.milestones:
        question = f"audit of {run.id} at {milestone.name}"
        made = [
            e
            for e in rig.journal.entries
            if e.kind == "audit.made"
            and (e.data["run"], e.data["milestone"]) == (run.id, milestone.name)
        ]
        # One that did not pass is made again after what was wrong is mended, unless people went on.
        passed = made and made[-1].data["verdict"] == Ruling.PASS.value
        settled = passed or (made and went_past(rig, question))
        if settled or not _reached(milestone, run):
            continue
        seen, told = await judged(rig, stage.backfill, milestone, run)
        if seen.verdict is Ruling.FAIL:
            why = f"audit of {stage.backfill} at {milestone.name}: {seen.reason}"
            await fail(rig, why, then="go_on", about=[told], question=question)
            return
        if seen.verdict is Ruling.INCONCLUSIVE:
            if rig.journal.standing.held is None:  # else it is asked when that is settled
                why = f"audit of {stage.backfill} at {milestone.name}: {seen.reason}"
                if not seen.population:
                    why += f": run {run.id} wrote no row that could be looked at"
                await hold(
                    rig,
                    why,
                    verdict="inconclusive",
                    then="go_on",
                    question=question,
                    about=[told],
                )
            return
        await rig.journal.add_all([told])


def _reached(milestone: Milestone, run: Run) -> bool:
    """At its place, or at the end of the run: a milestone is never left out."""
    if run.state is RunState.SUCCEEDED:
        return True
    if milestone.rows is not None:
        return run.outcome.written >= milestone.rows
    return bool(run.expected) and run.outcome.read >= (milestone.share or 0) * (run.expected or 1)


async def audited(rig: Rig, stage: AuditStage) -> Turn:
    """The stage: a pass goes on; a fail or too little to say needs a person."""
    standing = rig.journal.standing
    made = standing.told("audit.made")
    if not made:
        run_id = standing.runs.get(stage.backfill)
        if run_id is None:
            newest = await latest(rig, stage.backfill)
            run_id = newest.id if newest is not None else None
        if run_id is None:
            await hold(rig, f"{stage.backfill} has no run to audit", verdict="inconclusive")
            return wait(rig.clock.now(), AGAIN)
        run = await rig.site.store.run(run_id)
        _, told = await judged(rig, stage.backfill, stage.milestone, run)
        await rig.journal.add_all([told])
        return wait(rig.clock.now(), 0)
    verdict, why = made[-1].data["verdict"], made[-1].data["why"]
    if verdict == Ruling.PASS.value:
        return Turn(done=why)
    if verdict == Ruling.FAIL.value:
        await fail(rig, f"audit of {stage.backfill}: {why}", then="pass")
    else:
        await hold(rig, f"audit of {stage.backfill}: {why}", verdict="inconclusive")
    return wait(rig.clock.now(), AGAIN)


async def judged(rig: Rig, backfill: str, milestone: Milestone, run: Run) -> tuple[Audit, Told]:
    """One audit, and what is to be written down: its claims and the rows that are shown."""
    wanted = Wanted(
        sample=milestone.sample,
        milestone=milestone.name,
        confidence=milestone.confidence,
        by=milestone.by,
    )
    seen = await audit(rig.site, run, rig.of(backfill), wanted, rig.statistics)
    told = {
        "stage": rig.journal.standing.stage,
        "run": run.id,
        "backfill": backfill,
        "milestone": milestone.name,
        "population": seen.population,
        "rows": seen.rows,
        "gone": seen.gone,
        "drawn": seen.drawn,
        "verdict": seen.verdict.value,
        "why": seen.reason,
        "claims": [
            {"check": c.kind, "of": c.field, "where": c.stratum, "told": c.told}
            for c in seen.claims
        ],
        "shown": [_row(key, row) for key, row in seen.shown],
    }
    return seen, ("audit.made", told)


def _row(key: Any, row: Any) -> dict[str, Any]:
    return {"key": list(key), "row": dict(row)}


__all__ = ["audited", "judged", "milestones"]
