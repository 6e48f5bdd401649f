"""What an audit of a recorded sample says of all rows that a run wrote."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a random sample proves of the rows that it was drawn from, and how surely.

    `failures` of `samples` rows failed a check; at most `share` of all fail it, and at most `rows`
    where it is known how many there are. A share is between 0 and 1, and so is `confidence`.
    """

    kind: str
    field: str
    samples: int
    failures: int
    share: float
    confidence: float
    rows: int | None = None
    stratum: str = ""
    """The value of the column that the sample was split by; empty for the whole sample."""

    @property
    def told(self) -> str:
        """The claim as one says it: "0 of 300: at most 1.0% defective, 95% sure"."""
        of = f"{self.failures:,} of {self.samples:,}"
        noun = "row" if self.rows == 1 else "rows"
        rows = f" ({self.rows:,} {noun})" if self.rows is not None else ""
        return (
            f"{of}: at most {_percent(self.share)} defective{rows}, {self.confidence * 100:g}% sure"
        )


def _percent(share: float) -> str:
    """Rounded up to what counts: a claim must not say more than was proved."""
    places = 1 if share >= 0.001 else 2 if share >= 0.0001 else 4
    exact = Decimal(f"{share * 100:.9f}")  # what a float adds behind that is no share
    return f"{exact.quantize(Decimal(1).scaleb(-places), ROUND_CEILING)}%"


__all__ = ["Claim"]
