"""What is a vector, and the one that stands for the pieces of a text."""

from __future__ import annotations

import math

from collections.abc import Sequence


def fault(vector: Sequence[float], dimensions: int | None) -> str:
    """What is wrong with a vector, in numbers; empty where it may be stored and compared.

    dimensions: how many there must be; None where that was not said.
    """
    if dimensions is not None and len(vector) != dimensions:
        return f"it has {len(vector):,} dimensions, and {dimensions:,} were to come"
    length = math.hypot(*vector)
    if math.isfinite(length):
        return "" if length else f"all of its {len(vector):,} numbers are zero"
    bad = sum(not math.isfinite(number) for number in vector)
    if bad:
        return f"{bad:,} of its {len(vector):,} numbers are NaN or Infinity"
    return f"its {len(vector):,} numbers are too large for a length"


def mean(vectors: Sequence[Sequence[float]], weights: Sequence[float]) -> list[float]:
    """The weighted mean, made as long as they are on the mean: of length one where all are.

    All zero where they cancel out.
    """
    total = math.fsum(weights)
    shares = [weight / total for weight in weights]
    middle = [math.fsum(map(float.__mul__, shares, at)) for at in zip(*vectors, strict=True)]
    wanted = math.fsum(
        share * math.hypot(*vector) for share, vector in zip(shares, vectors, strict=True)
    )
    length = math.hypot(*middle)
    # What is left of vectors that cancel out is rounding, not a direction.
    if length <= 1e-9 * wanted:
        return [0.0] * len(middle)
    return [number * wanted / length for number in middle]


__all__ = ["fault", "mean"]
