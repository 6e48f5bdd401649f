"""A soak that is asked about times before: nothing was wrong then, so each fail is a false one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from proctor.core.gates import Proofs, at, judged, look, looks, rehearse, tightened, with_earlier
from proctor.core.gates.samples import lasting
from proctor.engine.rolling.rig import Measure
from proctor.errors import Unmeasured
from proctor.model import (
    Figures,
    Measurement,
    Metric,
    Mode,
    Phase,
    RolloutPlan,
    Ruling,
    Soak,
    SqlCounts,
)

TIMES: Final = 8
"""How many earlier times a metric without matched windows is asked about."""

Condition = Callable[[str, Figures], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """How one metric of a soak would have ruled. `times` is 0 where it cannot be asked."""

    stage: str
    metric: str
    times: int
    passed: int
    failed: int
    inconclusive: int
    told: str


async def rehearsed(
    plan: RolloutPlan,
    measure: Measure,
    proofs: Proofs,
    condition: Condition,
    *,
    now: datetime,
) -> list[Tried]:
    """Every metric of every soak, on data from before; nothing is written."""
    found = []
    for stage in plan.stages:
        if isinstance(stage, Soak):
            for metric in stage.metrics:
                trial = _Trial(stage, metric, measure, proofs, condition)
                found.append(await trial.tried(now))
    return found


@dataclass(frozen=True, slots=True)
class _Trial:
    stage: Soak
    metric: Metric
    measure: Measure
    proofs: Proofs
    condition: Condition

    async def tried(self, now: datetime) -> Tried:
        metric, baseline = self.metric, self.metric.baseline
        if not (isinstance(metric.source, SqlCounts) and metric.source.windowed):
            return self._told({}, f"{metric.name} cannot be asked about earlier times")
        if baseline is not None and baseline.mode is Mode.CONCURRENT:
            return self._told({}, f"{metric.name} compares with readers that there were none of")
        if baseline is not None and baseline.mode is Mode.MATCHED_WINDOWS:
            return await self._matched(now)
        counts = dict.fromkeys(Ruling, 0)
        for k in range(1, TIMES + 1):
            counts[await self._soaked(now - self.stage.duration * k)] += 1
        failed, unsure = counts[Ruling.FAIL], counts[Ruling.INCONCLUSIVE]
        words = (
            f"over the {TIMES} times {lasting(self.stage.duration)} before, {metric.name} passes "
            f"{counts[Ruling.PASS]}, fails {failed} and is inconclusive in {unsure}"
        )
        return self._told(counts, words)

    async def _matched(self, now: datetime) -> Tried:
        """Each earlier window against the others: what a soak would have been compared with."""
        baseline = self.metric.baseline
        assert baseline is not None  # noqa: S101 - the caller has looked
        before: list[Figures | None] = []
        for k in range(1, baseline.windows + 1):
            since = now - baseline.lag * k
            try:
                there = await self.measure(self.metric, since, since + self.stage.duration, None)
            except Unmeasured:
                before.append(None)
            else:
                before.append(there)
        asked = tightened(self.metric, self.stage.endings)
        found = rehearse(asked, with_earlier({}, before), self.proofs)
        counts = {
            Ruling.PASS: found.passed,
            Ruling.FAIL: found.failed,
            Ruling.INCONCLUSIVE: found.inconclusive,
        }
        return self._told(counts, found.told)

    async def _soaked(self, begun: datetime) -> Ruling:
        """The verdict of a whole soak that had begun then, every look at its place on the grid."""
        metric, seen = self.metric, []
        for slot in range(looks(metric, begun, begun + self.stage.duration)):
            until = at(metric, begun, slot)
            since = begun if metric.baseline is not None else until - metric.interval
            figures: Figures = {}
            try:
                figures = await self.measure(metric, since, until, None)
                phase, told = look(metric, figures, self.condition)
            except Unmeasured as error:
                phase, told = Phase.ERROR, str(error)
            seen.append(
                Measurement(
                    metric=metric.name,
                    slot=slot,
                    at=until,
                    phase=phase,
                    figures=figures,
                    told=told,
                )
            )
        found = judged(metric, seen, over=True, proofs=self.proofs, endings=self.stage.endings)
        return found.verdict.ruling

    def _told(self, counts: dict[Ruling, int], words: str) -> Tried:
        return Tried(
            stage=self.stage.name,
            metric=self.metric.name,
            times=sum(counts.values()),
            passed=counts.get(Ruling.PASS, 0),
            failed=counts.get(Ruling.FAIL, 0),
            inconclusive=counts.get(Ruling.INCONCLUSIVE, 0),
            told=words,
        )


__all__ = ["TIMES", "Tried", "rehearsed"]
