"""Asks each metric of a rollout once before it begins: what is wrong for good is not waited for.

Not every question without an answer is wrong: a server may be away, and before a run there are no
figures of it. Those are told, and stop nothing.
"""

from __future__ import annotations

import asyncio

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from proctor.core.gates import Holds, lacking, look
from proctor.engine.measuring import gives
from proctor.engine.rolling.rig import Measure
from proctor.errors import Unmeasured
from proctor.model import (
    Apply,
    Figures,
    Metric,
    Phase,
    PythonFigures,
    RolloutPlan,
    RunFigures,
    Step,
)

OWN: Final = "proctor"
"""Proctor's own tables, or their schema, are called so: the first run makes them."""
MONITOR: Final = "the monitor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a metric says now.

    `wrong`: it can never be measured as it is written. `awaited`: it has no answer because what it
    asks about has not run yet.
    """

    stage: str
    metric: str
    ok: bool
    told: str
    wrong: bool = False
    awaited: bool = False
    fix: str = ""


async def ask_each(
    plan: RolloutPlan, measure: Measure, holds: Holds, *, now: datetime, first: int = 0
) -> list[Asked]:
    """Every metric from stage `first` on, all at once, each within its own time-out."""
    asked = [
        (place, stage.name, metric)
        for place, stage in enumerate(plan.stages)
        for metric in getattr(stage, "metrics", ())
        if place >= first
    ]
    asked += [(0, MONITOR, metric) for metric in (plan.monitor.metrics if plan.monitor else ())]
    several: list[Metric] = []
    for _, _, metric in asked:
        if metric not in several:  # stages may share one, and its database is somebody's
            several.append(metric)
    answers = await asyncio.gather(*(_answer(metric, measure, now) for metric in several))
    return [
        _told(plan, place, name, metric, _fault(metric, answers[several.index(metric)], holds))
        for place, name, metric in asked
    ]


def refuse_wrong(plan: RolloutPlan, found: Sequence[Asked]) -> None:
    """Raise Unmeasured where a metric can never be measured: its stage would end held."""
    wrong = [one for one in found if one.wrong]
    if wrong:
        fixes = [one.fix or "mend the question of its metric" for one in wrong]
        again = f"`proctor rollout {plan.name} --show` asks each metric again"
        raise Unmeasured(
            f"rollout {plan.name} asks what can never be answered",
            found="; ".join(f"metric {one.metric} of {one.stage}: {one.told}" for one in wrong),
            fix="; ".join([*dict.fromkeys(fixes), again]),
        )


def doubts(found: Sequence[Asked]) -> list[str]:
    """What cannot be measured now and is not refused for it, a sentence each."""
    return [
        f"metric {one.metric} of {one.stage} cannot be measured now: {one.told}"
        for one in found
        if not (one.ok or one.wrong or one.awaited)
    ]


async def _answer(metric: Metric, measure: Measure, now: datetime) -> Figures | Unmeasured:
    try:
        return await measure(metric, now - metric.interval, now, None)
    except Unmeasured as error:
        return error


def _fault(metric: Metric, answer: Figures | Unmeasured, holds: Holds) -> Unmeasured | Figures:
    """What is wrong with an answer, or with what its rules make of it; else the answer."""
    known, rules = gives(metric.source), metric
    if isinstance(metric.source, PythonFigures):
        # A function may name others at other times, and `or` asks for the second name seldom.
        rules = replace(metric, success_condition="", failure_condition="")
    there = known or (None if isinstance(answer, Unmeasured) else answer.keys())
    if there is not None and (why := lacking(rules, there)):
        error = Unmeasured(why, found=f"it gives {', '.join(sorted(there)) or 'none'}")
        error.fix = "name one of those in its rules, or have its source give it"
        error.for_good = True
        return error
    if isinstance(answer, Unmeasured):
        return answer
    phase, told = look(metric, answer, holds)
    if phase is not Phase.ERROR:
        return answer
    for condition in filter(None, (metric.failure_condition, metric.success_condition)):
        try:
            holds(condition, answer)
        except Unmeasured as error:
            return error
    return Unmeasured(told)


def _told(
    plan: RolloutPlan, place: int, stage: str, metric: Metric, found: Unmeasured | Figures
) -> Asked:
    if not isinstance(found, Unmeasured):
        told = ", ".join(f"{name} {value:g}" for name, value in found.items())
        return Asked(stage=stage, metric=metric.name, ok=True, told=told)
    # What decides nothing holds nothing up.
    decides = not metric.dry_run and stage != MONITOR
    return Asked(
        stage=stage,
        metric=metric.name,
        ok=False,
        told=f"{found.what}; found: {found.found}" if found.found else found.what,
        wrong=found.for_good and decides and not _may_come(plan, place, found),
        awaited=_is_awaited(plan, place, metric),
        fix=found.fix,
    )


def _may_come(plan: RolloutPlan, place: int, error: Unmeasured) -> bool:
    """Whether a stage before may make what is not there: an author's function, or a run."""
    before = plan.stages[:place]
    if not error.missing:
        return False
    own = OWN in error.found.lower() and any(isinstance(one, Apply) for one in before)
    return own or any(isinstance(one, Step) for one in before)


def _is_awaited(plan: RolloutPlan, place: int, metric: Metric) -> bool:
    source = metric.source
    return isinstance(source, RunFigures) and any(
        isinstance(one, Apply) and one.backfill == source.backfill for one in plan.stages[:place]
    )


__all__ = ["Asked", "ask_each", "doubts", "refuse_wrong"]
