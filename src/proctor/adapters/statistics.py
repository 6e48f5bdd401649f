"""Exact bounds from counts, and evidence that may be looked at at any time, by scipy."""

from __future__ import annotations

import math

from functools import cached_property
from importlib.util import find_spec
from typing import Any

from proctor.errors import ConfigError


class ExactStatistics:
    """Bounds that hold for every sample size, without an approximation."""

    def __init__(self) -> None:
        """Raises ConfigError where the library is missing."""
        if find_spec("scipy") is None:
            raise ConfigError(
                "what a sample proves is computed by scipy",
                found="it is not installed",
                fix="pip install 'proctor[rollout]'",
            )

    @cached_property
    def _special(self) -> Any:
        """Loaded when something is computed: most of what a rollout does needs none of it."""
        from scipy import special

        return special

    def most_share(self, failures: int, samples: int, confidence: float) -> float:
        """See the port: Clopper and Pearson's upper bound."""
        if failures >= samples:
            return 1.0
        return float(self._special.betaincinv(failures + 1, samples - failures, confidence))

    def most_rows(self, failures: int, samples: int, of: int, confidence: float) -> int:
        """See the port: the largest number with which so few failures are not too unlikely."""
        from scipy.stats import hypergeom  # as heavy as all the rest, and seldom asked

        low, high = failures, of - (samples - failures)
        while low < high:
            middle = (low + high + 1) // 2
            if hypergeom.cdf(failures, of, middle, samples) > 1 - confidence:
                low = middle
            else:
                high = middle - 1
        return low

    def share_bounds(self, events: int, total: int, confidence: float) -> tuple[float, float]:
        """See the port: Clopper and Pearson's, each bound for itself."""
        low = 0.0
        if events:
            low = float(self._special.betaincinv(events, total - events + 1, 1 - confidence))
        return low, self.most_share(events, total, confidence)

    def students(self, confidence: float, freedom: int) -> float:
        """See the port."""
        return float(self._special.stdtrit(freedom, confidence))

    def harm(self, events: int, total: int, rate: float, *, above: bool) -> float:
        """See the port: the likelihood ratio of a beta mixture that is cut off at `rate`.

        The mixture lies on the side of harm alone, with its middle at 0.6 of the rate (or as much
        above it), and is wide. Against any rate on the other side the ratio is a supermartingale,
        so the chance that it ever reaches 1/risk is at most the risk, whenever one looks.
        """
        # Harm above a rate of events is harm below the rate of all else.
        good, bar = (total - events, 1 - rate) if above else (events, rate)
        bad = total - good
        middle = 1 - min(rate / _MIDDLE, (1 + rate) / 2) if above else _MIDDLE * rate
        a = _WIDTH if not above else _WIDTH * middle / (1 - middle)
        b = _WIDTH * (1 - middle) / middle if not above else _WIDTH
        prior, after = (
            self._special.betainc(a, b, bar),
            self._special.betainc(good + a, bad + b, bar),
        )
        if not after > 0 or not prior > 0:
            return 0.0
        log = (
            float(self._special.betaln(good + a, bad + b) - self._special.betaln(a, b))
            + math.log(after)
            - math.log(prior)
            - good * math.log(bar)
            - bad * math.log1p(-bar)
        )
        return math.exp(min(log, _LARGEST))


_MIDDLE = 0.6
_WIDTH = 2.0
_LARGEST = 700.0  # e to the 710th is no float

__all__ = ["ExactStatistics"]
