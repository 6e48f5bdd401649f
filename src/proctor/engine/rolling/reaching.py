"""What a soak can prove, asked before it begins: from how much was counted in earlier times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from proctor.core.gates import (
    Proofs,
    needed,
    reachable,
    reachable_by_windows,
    tightened,
    with_earlier,
)
from proctor.engine.rolling.rig import Measure
from proctor.errors import TooLittleData, Unmeasured
from proctor.model import Baseline, Figures, Metric, Mode, RolloutPlan, Soak, SqlCounts

HALF: Final = 1.0
"""Where nobody knows yet how many are let in: as many are counted without the new data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What is known beforehand of one metric of a soak. `enough` is None where nobody can know."""

    stage: str
    metric: str
    enough: bool | None
    needed: int
    told: str


async def foresee(
    plan: RolloutPlan, measure: Measure, proofs: Proofs, *, now: datetime
) -> list[Foreseen]:
    """Of every metric with a baseline, whether its soak can prove what is asked of it."""
    asked = [
        (stage, metric)
        for stage in plan.stages
        if isinstance(stage, Soak)
        for metric in stage.metrics
        if metric.baseline is not None and not metric.dry_run
    ]
    return [await _of(stage, metric, measure, proofs, now) for stage, metric in asked]


def refuse_unreachable(plan: RolloutPlan, found: Sequence[Foreseen]) -> None:
    """Raise TooLittleData where a soak could only ever be inconclusive: it need not begin."""
    short = [one for one in found if one.enough is False]
    if not short:
        return
    raise TooLittleData(
        f"rollout {plan.name} would soak for nothing: it cannot prove what it asks for",
        found="; ".join(f"{one.metric} of {one.stage}: {one.told}" for one in short),
        fix="do what that says; or keep the metric and let it decide nothing: dry_run=True",
    )


async def _of(
    stage: Soak, metric: Metric, measure: Measure, proofs: Proofs, now: datetime
) -> Foreseen:
    asked = tightened(metric, stage.endings)
    baseline = asked.baseline
    assert baseline is not None  # noqa: S101 - the caller has looked

    def told(words: str, *, enough: bool | None = None, many: int = 0) -> Foreseen:
        return Foreseen(
            stage=stage.name, metric=metric.name, enough=enough, needed=many, told=words
        )

    if not (isinstance(metric.source, SqlCounts) and metric.source.windowed):
        return told(_blind(baseline))
    try:
        if baseline.mode is Mode.MATCHED_WINDOWS:
            before = [
                await _window(metric, measure, now - baseline.lag * k, stage)
                for k in range(1, baseline.windows + 1)
            ]
            reach = reachable_by_windows(asked, with_earlier({}, before), proofs, within=stage.most)
            return told(reach.told, enough=reach.enough, many=reach.needed)
        last = await measure(metric, now - stage.most, now, None)
    except Unmeasured as error:
        return told(f"it cannot be asked about the time before: {error}")
    if baseline.mode is Mode.FIXED:
        many = int(last.get("total", 0))
        reach = reachable(baseline, baseline.rate or 0.5, samples=many, within=stage.most)
        return told(reach.told, enough=reach.enough, many=reach.needed)
    rate = _rate(last)
    if rate is None:
        return told("nobody was counted without the new data until now")
    many = needed(baseline, rate, control=HALF)
    words = f"{many:,} have to be counted with the new data, and as many without it"
    return told(f"{words}, at a rate of {rate:.3g}", many=many)


async def _window(metric: Metric, measure: Measure, since: datetime, stage: Soak) -> Figures | None:
    """An earlier window; None where that one alone cannot be measured."""
    try:
        return await measure(metric, since, since + stage.most, None)
    except Unmeasured:
        return None


def _blind(baseline: Baseline) -> str:
    said = "how much it will count cannot be known before: its source knows no earlier times"
    if baseline.mode is Mode.FIXED and baseline.rate:
        return f"{needed(baseline, baseline.rate):,} have to be counted; {said}"
    return said


def _rate(figures: Figures) -> float | None:
    """Of those without the new data; of all, before anybody sees it."""
    for events, total in (("control_events", "control_total"), ("events", "total")):
        if figures.get(total) and 0 < figures[events] < figures[total]:
            return figures[events] / figures[total]
    return None


__all__ = ["Foreseen", "foresee", "refuse_unreachable"]
