"""What a run has asked of providers so far: by provider and by how it ended, with what is left."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from proctor.model.paid import Limits, Spending

ZERO: Final = Decimal(0)


class Ending(StrEnum):
    """How a call ended that was let through."""

    ANSWERED = "answered"
    LIMITED = "limited"
    """429: the provider asked for less."""
    BROKEN = "broken"
    """Overloaded, timed out, or the connection broke."""
    REJECTED = "rejected"
    """The provider will never answer this, or its quota is used up."""
    LOST = "lost"
    """Nobody waited for its reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What one run asked of one provider, and what it cost.

    A call that has ended stands in `calls`; one that was let through and has not is in flight,
    or its process died: then it counts as spent, with the most that it can cost.
    """

    run: str
    provider: str
    calls: int = 0
    kept: int = 0
    """Answers that were there already, for nothing."""
    input_tokens: int = 0
    output_tokens: int = 0
    usd: Decimal = ZERO
    limited: int = 0
    broken: int = 0
    rejected: int = 0
    lost: int = 0
    refused: int = 0
    """Replies in which the model said no."""
    filtered: int = 0
    """Replies that the vendor's content filter took."""
    cut_off: int = 0
    """Replies that ended at their cap."""
    batches: int = 0
    """Batch calls that have ended; each is one of the calls."""
    batched: int = 0
    """Questions that were answered in them."""
    batched_usd: Decimal = ZERO
    """What those cost, at the batch price."""
    fallbacks: int = 0
    """Questions that it was asked in place of another provider."""
    flying: int = 0
    """Calls that are in flight, or whose end nobody knows."""
    held_usd: Decimal = ZERO
    """The most that those can cost: it counts as spent."""

    def __add__(self, more: Bill) -> Bill:
        """Both together, under the first one's names."""
        sums = {name: getattr(self, name) + getattr(more, name) for name in COUNTED}
        return Bill(run=self.run, provider=self.provider, **sums)

    @property
    def most_usd(self) -> Decimal:
        """What it has cost, with what nobody knows the end of."""
        return self.usd + self.held_usd


COUNTED: Final = tuple(f.name for f in fields(Bill) if f.name not in ("run", "provider"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One provider as a run sees it at one moment: the run's own bill, and what all may still ask.

    `model` is empty and `limits` has no bound where proctor.toml does not name it any more.
    """

    model: str
    bill: Bill
    spent: Spending
    limits: Limits = field(default_factory=Limits)
    open: tuple[str, ...] = ()
    """Batch calls of the run that are being worked on, each in a sentence."""

    @property
    def name(self) -> str:
        """Its name in proctor.toml."""
        return self.bill.provider

    @property
    def left_usd(self) -> Decimal | None:
        """Money left of its budget, for whoever asks; None without one."""
        budget = self.limits.budget_usd
        return None if budget is None else max(ZERO, budget - self.spent.usd - self.spent.held_usd)

    @property
    def waits_until(self) -> datetime | None:
        """When its daily quota begins anew, where that is used up."""
        return self.spent.until

    def a_row(self, written: int) -> Decimal | None:
        """What a written row has cost; None while there is none."""
        return self.bill.most_usd / written if written else None


__all__ = ["Account", "Bill", "Ending"]
