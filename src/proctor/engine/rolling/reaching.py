"""What a soak can prove, asked before it begins: from how much was counted in earlier times.

The hold of each step of a ramp is a short soak, with a known part of the readers let in.
"""

from __future__ import annotations

import asyncio

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from proctor.core.gates import (
    Proofs,
    lacking,
    looks,
    needed,
    reachable,
    reachable_by_windows,
    tightened,
    with_earlier,
)
from proctor.core.gates.samples import lasting
from proctor.engine.rolling.rig import Measure
from proctor.errors import TooLittleData, Unmeasured
from proctor.model import (
    Activate,
    Baseline,
    Figures,
    Metric,
    Mode,
    RolloutPlan,
    Soak,
    SqlCounts,
)

HALF: Final = 0.5
"""Where nobody knows yet how many are let in: as many are counted without the new data."""
EVERYBODY: Final = 100
"""Percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What is known beforehand of one metric of a soak. `enough` is None where nobody can know."""

    stage: str
    metric: str
    enough: bool | None
    needed: int
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watch:
    """A time in which a metric is looked at, and what it comes to then.

    `verb` is how one says that it should be longer. `steps` are the percents of readers that are
    let in, each for as long; None where nobody knows. `opened`: whether a flag lets them in, so
    that what is counted then may not be there before.
    """

    stage: str
    metric: Metric
    within: timedelta
    verb: str
    steps: tuple[int | None, ...]
    opened: bool

    def told(
        self, words: str, *, enough: bool | None = None, many: int = 0, step: int | None = None
    ) -> Foreseen:
        """What is foreseen of it, or of one of its steps."""
        at = f" at {step}%" if step is not None and self.verb == "hold" else ""
        return Foreseen(
            stage=f"{self.stage}{at}",
            metric=self.metric.name,
            enough=enough,
            needed=many,
            told=words,
        )


async def foresee(
    plan: RolloutPlan, measure: Measure, proofs: Proofs, *, now: datetime, first: int = 0
) -> list[Foreseen]:
    """Of every metric with a baseline, whether its soaks and holds can prove what is asked."""
    asked = [one for place in range(first, len(plan.stages)) for one in _watches(plan, place)]
    found = await asyncio.gather(*(_of(watch, measure, proofs, now) for watch in asked))
    return [one for several in found for one in several]


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


def _watches(plan: RolloutPlan, place: int) -> Iterator[_Watch]:
    stage = plan.stages[place]
    flags = [one for one in plan.stages[:place] if isinstance(one, Activate)]
    for metric in getattr(stage, "metrics", ()):
        if metric.dry_run:
            continue
        if isinstance(stage, Soak):
            yield _Watch(
                stage=stage.name,
                metric=tightened(metric, stage.endings),
                within=stage.most,
                verb="soak",
                steps=(flags[0].steps[-1] if len(flags) == 1 else None,),
                opened=bool(flags),
            )
        elif isinstance(stage, Activate):
            yield _Watch(
                stage=stage.name,
                metric=metric,
                within=stage.hold,
                verb="hold",
                steps=stage.steps,
                opened=True,
            )


async def _of(watch: _Watch, measure: Measure, proofs: Proofs, now: datetime) -> list[Foreseen]:
    if seldom := _seldom(watch, now):
        return [watch.told(seldom, enough=False)]
    baseline = watch.metric.baseline
    try:
        return await _compared(watch, baseline, measure, proofs, now) if baseline else []
    except Unmeasured as error:
        return [watch.told(f"it cannot be asked about the time before: {error}")]


async def _compared(
    watch: _Watch, baseline: Baseline, measure: Measure, proofs: Proofs, now: datetime
) -> list[Foreseen]:
    metric, source = watch.metric, watch.metric.source
    if baseline.mode is Mode.MATCHED_WINDOWS:
        return [await _by_windows(watch, baseline, measure, proofs, now)]
    if not (isinstance(source, SqlCounts) and source.windowed):
        return await _blind(watch, baseline, measure, now)
    last = await measure(metric, now - watch.within, now, None)
    if baseline.mode is Mode.CONCURRENT:
        everybody = int(last.get("total", 0) + last.get("control_total", 0))
        return [_beside(watch, baseline, _rate(last), everybody, one) for one in watch.steps]
    samples, rate = int(last.get("total", 0)), baseline.rate or HALF
    if watch.opened and not samples:
        many = needed(baseline, rate)
        words = f"nobody was counted until now; {many:,} have to be, once they are let in"
        return [watch.told(words, many=many)]
    return [_reached(watch, rate, samples)]


def _seldom(watch: _Watch, now: datetime) -> str:
    """Why it is looked at too seldom for any verdict; empty where it is not."""
    metric = watch.metric
    places = looks(metric, now, now + watch.within)
    wanted = max(1, metric.consecutive_success_limit)
    if places >= wanted:
        return ""
    return (
        f"in {lasting(watch.within)} it is looked at {places:,} times, and {wanted:,} are asked "
        f"for: {watch.verb} longer, or look sooner and more often"
    )


async def _by_windows(
    watch: _Watch, baseline: Baseline, measure: Measure, proofs: Proofs, now: datetime
) -> Foreseen:
    metric, within = watch.metric, watch.within
    before = [
        await _window(metric, measure, now - baseline.lag * k, within)
        for k in range(1, baseline.windows + 1)
    ]
    reach = reachable_by_windows(metric, with_earlier({}, before), proofs, within=within)
    return watch.told(reach.told, enough=reach.enough, many=reach.needed)


async def _window(
    metric: Metric, measure: Measure, since: datetime, within: timedelta
) -> Figures | None:
    """An earlier window; None where that one alone cannot be measured."""
    try:
        found = await measure(metric, since, since + within, None)
    except Unmeasured:
        return None
    return None if lacking(metric, found) else found


async def _blind(
    watch: _Watch, baseline: Baseline, measure: Measure, now: datetime
) -> list[Foreseen]:
    """What is needed where the source knows no earlier times: how many come nobody can say."""
    said = "how much it will count cannot be known before: its source knows no earlier times"
    if baseline.mode is Mode.FIXED:
        many = needed(baseline, baseline.rate or HALF)
        return [watch.told(f"{many:,} have to be counted; {said}", many=many)]
    rate = _rate(await measure(watch.metric, now - watch.within, now, None))
    if rate is None:
        return [watch.told(said)]
    found = [_beside(watch, baseline, rate, 0, step) for step in watch.steps]
    return [replace(one, told=f"{one.told}; {said}") if one.needed else one for one in found]


def _beside(
    watch: _Watch, baseline: Baseline, rate: float | None, everybody: int, step: int | None
) -> Foreseen:
    """Those let in against the others. everybody: how many both were in as long until now."""
    if step == EVERYBODY:
        return watch.told("all are let in: nobody is left to compare with", step=step)
    if rate is None:
        return watch.told("nobody was counted without the new data until now", step=step)
    share = HALF if step is None else step / EVERYBODY
    others = (1 - share) / share
    if step is not None and everybody:
        found = _reached(watch, rate, int(everybody * share), others, step=step)
        words = f"{step}% of the {everybody:,} counted in as long until now: {found.told}"
        return replace(found, told=words)
    many = max(needed(baseline, rate, control=others), watch.metric.min_samples)
    words = f"{many:,} have to be counted with the new data, and "
    words += "as many" if step is None else f"{others:.3g} times as many"
    return watch.told(f"{words} without it, at a rate of {rate:.3g}", many=many, step=step)


def _reached(
    watch: _Watch, rate: float, samples: int, others: float = 1.0, *, step: int | None = None
) -> Foreseen:
    """Whether so many prove it, beside so many times as many others."""
    baseline = watch.metric.baseline
    assert baseline is not None  # noqa: S101 - those without are not asked
    reach = reachable(
        baseline, rate, samples=samples, within=watch.within, control=others, verb=watch.verb
    )
    enough, words, least = reach.enough, reach.told, watch.metric.min_samples
    if enough and samples < least:
        enough, words = False, f"{words}; min_samples asks for {least:,}"
    return watch.told(words, enough=enough, many=max(reach.needed, least), step=step)


def _rate(figures: Figures) -> float | None:
    """Of those without the new data; of all, before anybody sees it."""
    for events, total in (("control_events", "control_total"), ("events", "total")):
        if figures.get(total) and 0 < figures.get(events, 0) < figures[total]:
            return figures[events] / figures[total]
    return None


__all__ = ["Foreseen", "foresee", "refuse_unreachable"]
