"""Batch calls: many questions that a vendor works on within a day, at half the price."""

from __future__ import annotations

import json

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Self

from proctor.model.paid import Price, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTerms:
    """How questions of a provider are put into batch calls: `batch = {…}` in proctor.toml."""

    requests: int = 1000
    """Questions of one batch call, at most: so many rows wait at once."""
    megabytes: float = 50.0
    gather_s: float = 2.0
    """What is gathered is sent when nothing was added to it for so long."""
    poll_s: float = 30.0
    at_least: int = 10
    """Fewer questions than this are asked directly: nobody waits a day for a few cents."""
    direct_after_s: float | None = None
    """After so long in batch calls a question is asked directly; None: after two of them."""
    price: Price | None = None
    """The user's own price of batch calls."""


class BatchState(StrEnum):
    """How far a batch call is, as the ledger knows it."""

    RESERVED = "reserved"
    """Its money is held, and the vendor was not told to begin."""
    SENT = "sent"
    """The vendor was told, and has not said under which name: the reply may be lost."""
    OPEN = "open"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchNote:
    """What is written down of a batch call before it is made, so that any process can settle it."""

    model: str
    price: Price
    questions: int
    most_input: int
    """Tokens of its longest question."""
    most_output: int
    backfill: str = ""
    sensitive: bool = False

    def text(self) -> str:
        """As it is kept: JSON, money as text."""
        price, cached = self.price, self.price.cached_per_million
        told = {
            "model": self.model,
            "input": str(price.input_per_million),
            "output": str(price.output_per_million),
            "cached": None if cached is None else str(cached),
            "request": str(price.per_request),
            "source": price.source,
            "questions": self.questions,
            "most_input": self.most_input,
            "most_output": self.most_output,
            "backfill": self.backfill,
            "sensitive": self.sensitive,
        }
        return json.dumps(told, separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> Self:
        """What `text` wrote."""
        told = json.loads(text)
        cached = told["cached"]
        price = Price(
            input_per_million=Decimal(told["input"]),
            output_per_million=Decimal(told["output"]),
            cached_per_million=None if cached is None else Decimal(cached),
            per_request=Decimal(told["request"]),
            source=told["source"],
        )
        return cls(
            model=told["model"],
            price=price,
            questions=told["questions"],
            most_input=told["most_input"],
            most_output=told["most_output"],
            backfill=told["backfill"],
            sensitive=told["sensitive"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCall:
    """A batch call that is not settled, as the ledger keeps it. `number` is that of its hold."""

    number: int
    provider: str
    run: str
    state: BatchState
    note: BatchNote
    at: datetime
    """When its money was reserved, by the ledger's clock."""
    id: str = ""
    """The vendor's name for it; empty while nobody knows it."""
    ticket: str = ""
    """What was handed over before: the vendor's name of a file."""
    keys: frozenset[str] = frozenset()
    """Of its questions, and of the rows that are asked about in them."""
    usd: Decimal = Decimal(0)
    """What is held for it."""
    gone: bool = False
    """Whether the process that reserved its money is certainly not there any more."""

    @property
    def name(self) -> str:
        """What the vendor is told to call it, where it can be told."""
        return f"proctor-{self.number}"

    @property
    def said(self) -> str:
        """In the words of every face."""
        count = f"{self.note.questions:,} question{'s' if self.note.questions != 1 else ''}"
        since = f"{self.at:%Y-%m-%d %H:%M} UTC"
        return f"a batch of {count} is being worked by {self.provider} since {since}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One question of a batch call: its key, and exactly what a direct call would send."""

    key: str
    body: str = field(repr=False)
    extra: str = ""
    """What a direct call says beside its body, and a batch call says once for all: headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a vendor says of a batch call."""

    ended: bool
    failed: str = ""
    """Why it never began, where it did not: nothing of it was worked on."""
    again: bool = False
    """Whether that may be otherwise later."""


Results = dict[str, "Reply | Exception | None"]
"""By key: a reply, what is wrong, or None for a question that was not worked on in time."""

__all__ = [
    "BatchCall",
    "BatchNote",
    "BatchState",
    "BatchTerms",
    "Entry",
    "Progress",
    "Results",
]
