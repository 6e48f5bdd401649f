"""How much has to be counted to prove that a rate is not worse than allowed, and what a number can.

Asked before a soak: one that cannot reach its number would only ever be inconclusive.
"""

from __future__ import annotations

import math

from dataclasses import dataclass
from datetime import timedelta

from proctor.core.gates.comparing import FEWEST, FEWEST_WINDOWS, percent
from proctor.core.gates.ratio import quantile
from proctor.model import Baseline, Direction, Mode

POWER = 0.8
"""How often a soak with nothing wrong shall pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Whether a soak can prove what is asked of it, in words with numbers."""

    enough: bool
    needed: int
    provable: float
    told: str


def needed(baseline: Baseline, rate: float, *, control: float = 1.0, power: float = POWER) -> int:
    """How many have to be counted so that nothing wrong passes with that power.

    rate: that of the baseline, between 0 and 1. control: how many times as many are counted of
    those who do not see the new data, for a concurrent baseline: 19 at 5 % let in.
    """
    distance = math.log(baseline.allowed) ** 2
    want = _spread(baseline, rate, control) * _reach(baseline, power) ** 2 / distance
    return max(math.ceil(want), FEWEST)


def provable(
    baseline: Baseline, rate: float, samples: int, *, control: float = 1.0, power: float = POWER
) -> float:
    """The ratio that so many can prove: 0.68 says "not below 68 % of the baseline"."""
    if samples <= 0:
        return 0.0 if baseline.direction is Direction.DECREASE else math.inf
    distance = math.sqrt(_spread(baseline, rate, control) / samples) * _reach(baseline, power)
    return math.exp(-distance if baseline.direction is Direction.DECREASE else distance)


def reachable(
    baseline: Baseline,
    rate: float,
    *,
    samples: int,
    within: timedelta,
    control: float = 1.0,
    power: float = POWER,
    verb: str = "soak",
) -> Reach:
    """Whether a soak of a length can prove it, where so many are counted within it.

    verb: what is to be done for longer where they are too few, as one says it.

    Matched windows differ by more than chance, and how much is not known before: for these the
    number is the least that is needed.
    """
    want = needed(baseline, rate, control=control, power=power)
    proves = provable(baseline, rate, samples, control=control, power=power)
    decrease = baseline.direction is Direction.DECREASE
    bar = f"{'at least' if decrease else 'at most'} {percent(baseline.allowed)} of the baseline"
    told = f"{samples:,} in {lasting(within)} at a rate of {percent(rate)}"
    if samples >= want:
        told = f"{told} are enough to prove {bar}: {want:,} are needed"
        return Reach(enough=True, needed=want, provable=proves, told=told)
    if samples <= 0:
        told = f"nothing to count in {lasting(within)} proves nothing; you asked for {bar}"
        return Reach(enough=False, needed=want, provable=proves, told=told)
    longer = within * (want / samples)
    lower = "lower" if decrease else "raise"
    told = (
        f"{told} can only prove {'>=' if decrease else '<='} {percent(_whole(proves))} of the "
        f"baseline; you asked for {percent(baseline.allowed)}, which takes {want:,}: {verb} "
        f"{lasting(longer)}, or {lower} the bar"
    )
    return Reach(enough=False, needed=want, provable=proves, told=told)


def lasting(length: timedelta) -> str:
    """A length of time as one says it, rounded up."""
    seconds = length.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size or (unit == "h" and seconds >= size):
            return f"{math.ceil(round(seconds / size, 6)):,} {unit}"
    return f"{math.ceil(seconds):,} s"


def _whole(ratio: float) -> float:
    return math.floor(ratio * 100) / 100 if ratio < 1 else math.ceil(ratio * 100) / 100


def _spread(baseline: Baseline, rate: float, control: float) -> float:
    """The variance of the log ratio, for one that is counted."""
    match baseline.mode:
        case Mode.FIXED:
            others = 0.0
        case Mode.CONCURRENT:
            others = 1 / control
        case Mode.MATCHED_WINDOWS:
            others = 1 / max(baseline.windows, FEWEST_WINDOWS)
    return (1 - rate) / rate * (1 + others)


def _reach(baseline: Baseline, power: float) -> float:
    return quantile(baseline.confidence) + quantile(power)


__all__ = ["POWER", "Reach", "lasting", "needed", "provable", "reachable"]
