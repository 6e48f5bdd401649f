"""What has been asked of one provider so far, as a value and as the text that is kept of it."""

from __future__ import annotations

import itertools
import json

from dataclasses import dataclass, fields
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any, Final, NamedTuple

EXACT: Final = Context(prec=100, rounding=ROUND_CEILING)
"""Sums of money are exact far beyond any price; were they not, they would err to the dear side."""
ZERO: Final = Decimal(0)


QUARTERS: Final = 4
"""Parts of a second by which is counted what was let through; a part is forgotten as a whole."""


class Quarter(NamedTuple):
    """What was let through in one quarter of a second since 1970."""

    quarter: int
    requests: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a call that was let through took of its provider's limits: needed to settle it."""

    quarter: int
    """Of a second since 1970."""
    expires: int
    """The second from which on nobody believes that it is still in flight."""
    tokens: int
    usd: Decimal

    @property
    def of_batch(self) -> bool:
        """Whether it is a batch call: no minute counts those, so it stands in no quarter."""
        return self.quarter == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One provider's limits at one moment. Times are seconds since 1970."""

    at: float = 0.0
    """The latest moment that was decided at."""
    quarters: tuple[Quarter, ...] = ()
    """What minutes' limits count, oldest first."""
    ahead_requests: float = 0.0
    """How much more was asked than would have been in an even flow; it drains at the rate."""
    ahead_tokens: float = 0.0
    flying: tuple[tuple[int, int], ...] = ()
    """How many calls are in flight, by the second in which they expire, soonest first."""
    counted: int = 0
    """Requests since the last daily reset."""
    counted_at: float = 0.0
    """The last of them."""
    calls: int = 0
    tokens: int = 0
    spent: Decimal = ZERO
    held: Decimal = ZERO
    """Money for calls that are not settled, also for those that never will be."""
    share: float = 1.0
    """How much of the full rates is left by 429s."""
    cut_at: float = 0.0
    raised_at: float = 0.0
    rest_until: float = 0.0
    strikes: int = 0
    """Cuts without a good reply in between."""
    batches: int = 0
    """Batch calls that are not settled: what they hold may come free yet."""

    def text(self) -> str:
        """As it is kept: JSON, money as text."""
        body = {name: getattr(self, name) for name in _NAMES}
        # One list of numbers: two hundred small ones would take longer than all the rest.
        body["quarters"] = [*itertools.chain.from_iterable(self.quarters)]
        for name in _MONEY:
            body[name] = str(body[name])
        return json.dumps(body, separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> State:
        """What `text` wrote; ValueError if it is something else."""
        try:
            body: dict[str, Any] = json.loads(text)
            each = [iter(body["quarters"])] * len(Quarter._fields)
            body["quarters"] = tuple(map(Quarter._make, zip(*each, strict=True)))
            body["flying"] = tuple((expires, n) for expires, n in body["flying"])
            for name in _MONEY:
                body[name] = Decimal(body[name])
            return cls(**body)
        except (ArithmeticError, KeyError, TypeError, ValueError):
            raise ValueError("this is not the state of a provider's limits") from None


_NAMES: Final = tuple(field.name for field in fields(State))
_MONEY: Final = ("spent", "held")

__all__ = ["EXACT", "QUARTERS", "ZERO", "Quarter", "State", "Taken"]
