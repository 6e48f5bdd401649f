"""How a rate compares with another: the score interval of the ratio of two proportions.

After Miettinen and Nurminen (1985): a ratio is inside where the score test does not reject it.
Unlike the interval on the logarithm it holds with no events at all, and near a rate of 1.
"""

from __future__ import annotations

import math

from statistics import NormalDist

from proctor.errors import ProctorError

_STEPS = 200  # halvings; a float has no more in it


def quantile(confidence: float) -> float:
    """Of the normal distribution, for a bound on one side."""
    return NormalDist().inv_cdf(confidence)


def ratio_bounds(
    events: float, total: float, control_events: float, control_total: float, confidence: float
) -> tuple[float, float]:
    """The lower and the upper bound of rate : control's rate, each with that confidence.

    From 0 to infinity where nothing is known: with no event on either side, for one.
    """
    if not (0 <= events <= total and 0 <= control_events <= control_total):
        raise ProctorError("these counts cannot be", found=f"{events:g} of {total:g}")
    if not total or not control_total:
        return 0.0, math.inf
    z = quantile(confidence)
    counts = (events, total, control_events, control_total)
    low = 0.0 if not events else _where(counts, z)
    high = math.inf if not control_events else _where(counts, -z)
    return low, high


def _where(counts: tuple[float, float, float, float], z: float) -> float:
    """The ratio at which the score is z; the score falls as the ratio rises."""
    low, high = -60.0, 60.0  # logarithms
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _score(counts, math.exp(middle)) > z:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def _score(counts: tuple[float, float, float, float], ratio: float) -> float:
    events, total, control_events, control_total = counts
    gap = events / total - ratio * control_events / control_total
    # The likeliest rates among those with this ratio: the smaller root of a quadratic.
    everyone = total + control_total
    b = total * ratio + events + control_total + control_events * ratio
    both = events + control_events
    under = math.sqrt(max(b * b - 4 * everyone * ratio * both, 0.0))
    control = min(2 * both / (b + under), 1.0)  # the stable form of (b - under) / 2a
    rate = min(control * ratio, 1.0)
    spread = rate * (1 - rate) / total + ratio**2 * control * (1 - control) / control_total
    spread *= everyone / (everyone - 1)
    if spread <= 0:
        return math.copysign(math.inf, gap) if gap else 0.0
    return gap / math.sqrt(spread)


__all__ = ["quantile", "ratio_bounds"]
