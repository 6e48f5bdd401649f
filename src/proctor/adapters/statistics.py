"""Exact bounds from counts, by scipy."""

from __future__ import annotations

from proctor.errors import ConfigError


class ExactStatistics:
    """Bounds that hold for every sample size, without an approximation."""

    def __init__(self) -> None:
        """Raises ConfigError where the library is missing."""
        try:
            from scipy.stats import beta, hypergeom
        except ImportError:
            raise ConfigError(
                "what a sample proves is computed by scipy",
                found="it is not installed",
                fix="pip install 'proctor[rollout]'",
            ) from None
        self._beta = beta
        self._hypergeom = hypergeom

    def most_share(self, failures: int, samples: int, confidence: float) -> float:
        """See the port: Clopper and Pearson's upper bound."""
        if failures >= samples:
            return 1.0
        return float(self._beta.ppf(confidence, failures + 1, samples - failures))

    def most_rows(self, failures: int, samples: int, of: int, confidence: float) -> int:
        """See the port: the largest number with which so few failures are not too unlikely."""
        low, high = failures, of - (samples - failures)
        while low < high:
            middle = (low + high + 1) // 2
            if self._hypergeom.cdf(failures, of, middle, samples) > 1 - confidence:
                low = middle
            else:
                high = middle - 1
        return low


__all__ = ["ExactStatistics"]
