"""What a sample of paid answers tells of a whole run: what was asked, and what is to come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from proctor.model.key import Key
from proctor.model.paid import Limits, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One answer of a sample, for one call of the author's function.

    `unit` is the key of the row, or of the first of the rows that a list function was given.
    `usd` is what such an answer costs in a run at today's price, `spent` what this one cost: a
    sample is asked directly, also where a run makes batch calls. `paid` says that this sample has
    paid it, and False that it was kept already. `calls` is its part of a request: texts are
    embedded many in one.
    """

    key: str
    unit: Key
    provider: str
    model: str
    usage: Usage
    usd: Decimal
    spent: Decimal
    paid: bool
    calls: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a provider when a run is foreseen."""

    limits: Limits
    seconds: float | None = None
    """The usual time of a call; None where none was made."""
    used_today: int = 0
    """Requests since its daily quota began anew."""
    left_usd: Decimal | None = None
    """Money left of its budget; None without one."""
    batch: int = 0
    """Questions of a batch call, where a run makes those; else 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What a run will ask of one provider. Numbers a row are of the sample, all others of a run."""

    provider: str
    model: str
    calls_per_row: float
    input_per_row: float
    """Tokens sent."""
    output_per_row: float
    """Tokens of replies."""
    calls: int
    input_tokens: int
    output_tokens: int
    usd: Decimal
    usd_low: Decimal
    usd_high: Decimal
    to_pay: Decimal
    """What is left to pay when the sample's answers are kept."""
    left_usd: Decimal | None
    days: int | None
    """How many days of its daily quota the calls to come take; None without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """What a whole run will cost in paid answers, from a sample of its rows.

    `usd` is all the answers of the run, those of the sample among them; `to_pay` what is left
    to pay when the sample's are kept. `low` to `high` is the time that the calls to come take
    under these limits, and `bound` says what it is that takes it.
    """

    rows: int
    """Rows of the sample."""
    eligible: int
    providers: tuple[Foreseen, ...]
    usd: Decimal
    usd_low: Decimal
    usd_high: Decimal
    to_pay: Decimal
    paid: Decimal
    """What the sample itself has cost just now."""
    paid_calls: int
    low: timedelta
    high: timedelta
    bound: str

    @property
    def days(self) -> int | None:
        """Days of the daily quota that is used up most often; None where there is none."""
        return max((p.days for p in self.providers if p.days is not None), default=None)


__all__ = ["Asked", "Foreseen", "Foresight", "Known"]
