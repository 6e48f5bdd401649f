"""Compares a metric's counts with its baseline: harm at any time, and not-worse at the end.

Two questions, and neither is "is it significantly worse". While it soaks: is it proved to be
worse than allowed? That may be asked at every look (an e-value), and only ever ends a soak. At
the end, once: is it proved to be *not* worse than allowed (non-inferiority)? Little data proves
neither, and is inconclusive.
"""

from __future__ import annotations

import math

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Protocol

from proctor.core.gates.judge import earlier, told
from proctor.core.gates.ratio import ratio_bounds
from proctor.model import Baseline, Direction, Figures, Metric, Mode, Ruling, Verdict

FEWEST_WINDOWS = 4
"""With fewer earlier windows nobody knows how much they differ by themselves."""
FEWEST = 30
"""On each side: one of one proves nothing to anybody, whatever a formula says."""
FEWEST_EVENTS = 10
"""Of both cohorts together: with fewer the score interval promises too much."""
BROKEN_SPLIT = 0.001
"""How rare a split may be by chance before it is said to be broken."""


class Proofs(Protocol):
    """What counts prove; see the port Statistics."""

    def harm(self, events: int, total: int, rate: float, /, *, above: bool) -> float:
        """Evidence against a rate at least (`above`: at most) `rate`, at any time."""

    def share_bounds(self, events: int, total: int, confidence: float, /) -> tuple[float, float]:
        """Exact bounds of a rate, each with that confidence."""

    def students(self, confidence: float, freedom: int, /) -> float:
        """The quantile of Student's t."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Bounds of the ratio of a rate to its baseline, in words; or why there are none."""

    told: str
    low: float = 0.0
    high: float = math.inf
    unknown: str = ""


def harmed(metric: Metric, figures: Figures, proofs: Proofs) -> str:
    """Why it is proved that the rate is worse than allowed, at any look; empty where it is not."""
    baseline = metric.baseline
    if baseline is None:
        return ""
    events, total = int(figures["events"]), int(figures["total"])
    above = baseline.direction is Direction.INCREASE
    needed = 1 / (1 - baseline.confidence)
    match baseline.mode:
        case Mode.FIXED:
            rate = (baseline.rate or 0.0) * baseline.allowed
        case Mode.CONCURRENT:
            # Given that somebody had an event: how likely is it one of those who see the new data?
            weight = baseline.allowed * total
            everybody = weight + figures["control_total"]
            rate = weight / everybody if everybody else 0.0
            total = events + int(figures["control_events"])
        case Mode.MATCHED_WINDOWS:
            # Two things may mislead here, the earlier windows and this one: half the risk each.
            needed *= 2
            rate = _worst_of_earlier(metric, figures, (1 + baseline.confidence) / 2, proofs)
    if not 0 < rate < 1:
        return ""
    evidence = proofs.harm(events, total, rate, above=above)
    if evidence < needed:
        return ""
    odds = f"{evidence:,.0f}" if evidence < 1e6 else "over a million"
    worse = "above" if above else "below"
    return (
        f"{rates(metric, figures)}: proved to be {worse} {percent(baseline.allowed)} of the "
        f"baseline (evidence {odds} to 1, {needed:,.0f} to 1 needed)"
    )


def compared(metric: Metric, figures: Figures, proofs: Proofs) -> Compared:
    """Bounds of the ratio to the baseline, each with the confidence asked for."""
    baseline = metric.baseline
    if baseline is None:
        return Compared(told="", unknown="there is no baseline")
    events, total = int(figures["events"]), int(figures["total"])
    seen = rates(metric, figures)
    if few := _too_few(baseline, figures):
        return Compared(told=seen, unknown=few)
    match baseline.mode:
        case Mode.FIXED:
            rate = baseline.rate or math.nan
            low, high = proofs.share_bounds(events, total, baseline.confidence)
            return Compared(told=seen, low=low / rate, high=high / rate)
        case Mode.CONCURRENT:
            control = figures["control_events"], figures["control_total"]
            low, high = ratio_bounds(events, total, *control, baseline.confidence)
            return Compared(told=seen, low=low, high=high)
    windows = logs(metric, figures)
    if len(windows) < FEWEST_WINDOWS:
        return Compared(
            told=seen,
            unknown=f"{len(windows)} earlier windows have data, and at least {FEWEST_WINDOWS} "
            "are needed to know how much they differ by themselves",
        )
    middle = fmean(windows)
    reach = proofs.students(baseline.confidence, len(windows) - 1) * spread(windows)
    ratio = math.exp(_log_rate(events, total) - middle)
    # This window may be smaller than the earlier ones were: its own counts have to say it too.
    own = proofs.share_bounds(events, total, baseline.confidence)
    low = min(ratio * math.exp(-reach), own[0] / math.exp(middle))
    high = max(ratio * math.exp(reach), own[1] / math.exp(middle))
    return Compared(told=seen, low=low, high=high)


def tightened(metric: Metric, endings: int) -> Metric:
    """A metric whose baseline asks for so much more that several endings have the risk of one."""
    baseline = metric.baseline
    if baseline is None or endings == 1:
        return metric
    confidence = 1 - (1 - baseline.confidence) / endings
    return replace(metric, baseline=replace(baseline, confidence=confidence))


def final(metric: Metric, figures: Figures, proofs: Proofs, *, endings: int = 1) -> Verdict:
    """The question at the end: is it proved to be not worse than allowed?

    endings: how often it may be asked, 2 where a soak can be extended.
    """
    metric = tightened(metric, endings)
    baseline, found = metric.baseline, compared(metric, figures, proofs)
    if baseline is None or found.unknown:
        return Verdict(ruling=Ruling.INCONCLUSIVE, reason=f"{found.told}: {found.unknown}")
    allowed = baseline.allowed
    if baseline.direction is Direction.DECREASE:
        good, bad, word = found.low >= allowed, found.high < allowed, "at least"
    else:
        good, bad, word = found.high <= allowed, found.low > allowed, "at most"
    high = percent(found.high) if found.high < 100 else "any number"
    words = (
        f"{found.told}: between {percent(found.low)} and {high} of the baseline "
        f"(each bound {baseline.confidence * 100:g} % sure), {word} {percent(allowed)} asked for"
    )
    if good:
        return Verdict(ruling=Ruling.PASS, reason=words)
    if bad:
        return Verdict(ruling=Ruling.FAIL, reason=words)
    return Verdict(ruling=Ruling.INCONCLUSIVE, reason=f"{words}: too little to tell")


def broken_split(metric: Metric, figures: Figures, share: float | None) -> str:
    """Why the two cohorts are not what the flag was set to; empty where they can be.

    share: the part of the readers that was let in. A chi-square test (SRM, sample ratio
    mismatch): where it says no, the cohorts differ in more than the new data.
    """
    if metric.baseline is None or metric.baseline.mode is not Mode.CONCURRENT or share is None:
        return ""
    total, control = figures["total"], figures["control_total"]
    everybody = total + control
    if not everybody:
        return ""
    if not 0 < share < 1:
        return f"{percent(share)} were let in: there is nobody to compare with"
    expected = share * everybody
    square = (total - expected) ** 2 * (1 / expected + 1 / (everybody - expected))
    by_chance = math.erfc(math.sqrt(square / 2))
    if by_chance >= BROKEN_SPLIT:
        return ""
    return (
        f"{percent(total / everybody)} of the {everybody:,.0f} counted see the new data where "
        f"{percent(share)} were let in (by chance once in {1 / max(by_chance, 1e-12):,.0f}): "
        "who is counted depends on more than the flag, so the rates cannot be compared"
    )


def rates(metric: Metric, figures: Figures) -> str:
    """The counts of now and those of the baseline, as one says them."""
    baseline = metric.baseline
    now = _rate(figures["events"], figures["total"])
    if baseline is None:
        return now
    match baseline.mode:
        case Mode.FIXED:
            return f"{now} against {percent(baseline.rate or 0.0)} fixed"
        case Mode.CONCURRENT:
            control = _rate(figures["control_events"], figures["control_total"])
            return f"{now} against {control} without the new data"
    there = earlier(figures)
    sums = [sum(figures[f"{name}_{k}"] for k in there) for name in ("events", "total")]
    return f"{now} against {_rate(*sums)} in {len(there)} earlier windows"


def percent(share: float) -> str:
    """A share as a percentage, to three places that count."""
    return f"{float(f'{share * 100:.3g}'):g} %"


def _too_few(baseline: Baseline, figures: Figures) -> str:
    """Why the counts are too few for any bound; empty where they are enough."""
    least, events = figures["total"], math.inf
    if baseline.mode is Mode.CONCURRENT:
        least = min(least, figures["control_total"])
        events = figures["events"] + figures["control_events"]
    if least < FEWEST:
        return f"too little to tell with fewer than {FEWEST} on each side"
    if events < FEWEST_EVENTS:
        return f"too little to tell with fewer than {FEWEST_EVENTS} events"
    return ""


def _rate(events: float, total: float) -> str:
    share = f" ({percent(events / total)})" if total else ""
    return f"{told(events)} of {told(total)}{share}"


def _log_rate(events: float, total: float) -> float:
    # Half an event more on both sides: where there was none, there is still a logarithm.
    return math.log((events + 0.5) / (total + 0.5))


def logs(metric: Metric, figures: Mapping[str, float]) -> list[float]:
    """Log rates of the earlier windows with enough in them."""
    return [
        _log_rate(figures[f"events_{k}"], figures[f"total_{k}"])
        for k in earlier(figures)
        if figures[f"total_{k}"] >= metric.min_samples
    ]


def spread(windows: list[float]) -> float:
    """How far another window's log rate lies from the mean of these, as they show themselves."""
    many, middle = len(windows), fmean(windows)
    own = math.fsum((one - middle) ** 2 for one in windows) / (many - 1)
    return math.sqrt(own * (1 + 1 / many))


def _worst_of_earlier(metric: Metric, figures: Figures, confidence: float, proofs: Proofs) -> float:
    """The bar for harm: the allowed part of a rate that such windows seldom go beyond."""
    windows = logs(metric, figures)
    baseline = metric.baseline
    if baseline is None or len(windows) < FEWEST_WINDOWS:
        return 0.0
    reach = proofs.students(confidence, len(windows) - 1) * spread(windows)
    sign = 1 if baseline.direction is Direction.INCREASE else -1
    return math.exp(fmean(windows) + sign * reach) * baseline.allowed


__all__ = [
    "FEWEST",
    "FEWEST_WINDOWS",
    "Compared",
    "Proofs",
    "broken_split",
    "compared",
    "final",
    "harmed",
    "logs",
    "percent",
    "rates",
    "spread",
    "tightened",
]
