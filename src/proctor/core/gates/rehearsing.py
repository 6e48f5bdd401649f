"""A gate that is asked about times when nothing was wrong: how often would it have been wrong?

Earlier windows need no waiting: before a soak begins they say what it will be able to prove.
"""

from __future__ import annotations

import math

from dataclasses import dataclass
from datetime import timedelta
from statistics import fmean

from proctor.core.gates.comparing import (
    FEWEST_WINDOWS,
    Proofs,
    final,
    harmed,
    logs,
    percent,
    spread,
)
from proctor.core.gates.judge import earlier, number, with_earlier
from proctor.core.gates.ratio import quantile
from proctor.core.gates.samples import POWER, Reach, lasting, needed, reachable
from proctor.model import Direction, Figures, Metric, Ruling


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """How a gate would have ruled over earlier windows, each against the others."""

    windows: int
    passed: int
    failed: int
    inconclusive: int
    told: str


def rehearse(metric: Metric, figures: Figures, proofs: Proofs) -> Rehearsed:
    """Ask a metric with matched windows about each earlier window, as if it were now.

    figures: those windows as `with_earlier` writes them. Nothing was wrong then, so each fail is
    a false one.
    """
    there = earlier(figures)
    windows = [{name: figures[f"{name}_{k}"] for name in ("events", "total")} for k in there]
    counts = dict.fromkeys(Ruling, 0)
    for place, window in enumerate(windows):
        others = [*windows[:place], *windows[place + 1 :]]
        asked = with_earlier(window, others)
        bad = harmed(metric, asked, proofs)
        counts[Ruling.FAIL if bad else final(metric, asked, proofs).ruling] += 1
    passed, failed = counts[Ruling.PASS], counts[Ruling.FAIL]
    unsure = counts[Ruling.INCONCLUSIVE]
    told = (
        f"asked of {len(windows)} earlier windows, each against the others, {metric.name} passes "
        f"{passed}, fails {failed} and is inconclusive in {unsure}"
    )
    return Rehearsed(
        windows=len(windows), passed=passed, failed=failed, inconclusive=unsure, told=told
    )


def reachable_by_windows(
    metric: Metric, figures: Figures, proofs: Proofs, *, within: timedelta, power: float = POWER
) -> Reach:
    """Whether a soak like its earlier windows can prove it, by how much these differ.

    figures: those windows as `with_earlier` writes them.
    """
    baseline, windows = metric.baseline, logs(metric, figures)
    if baseline is None or len(windows) < FEWEST_WINDOWS:
        told = (
            f"{len(windows)} of {len(earlier(figures))} earlier windows of {lasting(within)} have "
            f"{metric.min_samples:,} or more to count, and {FEWEST_WINDOWS} such are needed: soak "
            "longer, or compare with more of them"
        )
        return Reach(enough=False, needed=0, provable=0.0, told=told)
    rate = min(math.exp(fmean(windows)), 1 - 1e-9)
    width = proofs.students(baseline.confidence, len(windows) - 1) + quantile(power)
    decrease = baseline.direction is Direction.DECREASE
    proves = math.exp((-1 if decrease else 1) * width * spread(windows))
    enough = proves >= baseline.allowed if decrease else proves <= baseline.allowed
    # However alike they are by chance, what they count is the least that is needed.
    totals = [number(figures[f"total_{k}"]) for k in earlier(figures)]
    counted = round(fmean(one for one in totals if one >= metric.min_samples))
    by_count = reachable(baseline, rate, samples=counted, within=within, power=power)
    if enough and not by_count.enough:
        return by_count
    told = (
        f"{len(windows)} earlier windows of {lasting(within)} at a rate of {percent(rate)} differ "
        f"so much that another can {'' if enough else 'only '}prove {'>=' if decrease else '<='} "
        f"{percent(proves)} of the baseline; you asked for {percent(baseline.allowed)}"
    )
    if not enough:
        lower = "lower" if decrease else "raise"
        told += f": compare with more of them, or longer ones, or {lower} the bar"
    return Reach(
        enough=enough, needed=needed(baseline, rate, power=power), provable=proves, told=told
    )


__all__ = ["Rehearsed", "reachable_by_windows", "rehearse"]
