"""Calls, answers and ends of calls, as the suite of purses makes them."""

from __future__ import annotations

import itertools

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

from proctor.model import (
    Answer,
    Finish,
    Granted,
    Hold,
    Holder,
    Kind,
    Reply,
    Spending,
    Usage,
    Want,
)
from proctor.ports import Purse, Settlement, Word

Purses: TypeAlias = Callable[..., Awaitable[Purse]]
"""Opens one more purse on the same data, as another process would; closed by the fixture.

Takes the limits by provider, and `hold_for`, `holder` and `is_gone` where the test needs them.
"""

AT = datetime(2026, 3, 1, 12, 0, 0, 123457, tzinfo=UTC)
ZERO = Decimal(0)
OVER = timedelta(seconds=-1)
"""A hold that has run out as soon as it is made: nothing here waits for time to pass."""


KEYS = itertools.count(1_000_000)


def want(
    n: int | None = None,
    *more: int,
    provider: str = "p",
    tokens: int = 0,
    usd: str = "0",
    run: str = "run-1",
) -> Want:
    """A call of the suite that asks to be let through: for a question of its own, or for these."""
    return Want(
        provider=provider,
        key=f"{next(KEYS) if n is None else n:064}",
        more=tuple(f"{one:064}" for one in more),
        hold=Hold(tokens=tokens, usd=Decimal(usd)),
        run=run,
    )


def process(pid: int, host: str = "here") -> Holder:
    """A process of the suite."""
    return Holder(host=host, pid=pid, started=f"boot:{pid}", user="")


def answer(n: int = 0, *, raw: str = '{"text":"yes"}', cost: str = "0.01") -> Answer:
    """An answer of the suite."""
    usage = Usage(input_tokens=11, output_tokens=7, cached_tokens=3)
    return Answer(
        key=f"{n:064}",
        kind=Kind.CHAT,
        provider="p",
        model="p:large",
        reply=Reply(raw=raw, finish=Finish.STOP, usage=usage, model="large-0301"),
        cost=Decimal(cost),
        run="run-1",
        at=AT,
    )


def ended(
    word: Word, *, tokens: int = 0, cost: str = "0", answer: Answer | None = None, **more: Any
) -> Settlement:
    """How a call that was let through ended."""
    assert isinstance(word, Granted), word
    answers = () if answer is None else (answer,)
    return Settlement(hold=word.number, tokens=tokens, cost=Decimal(cost), answers=answers, **more)


async def one(purse: Purse, **asked: Any) -> Word:
    """The word for one want."""
    (word,) = await purse.reserve([want(**asked)])
    return word


async def told(purse: Purse, provider: str = "p") -> Spending:
    """What a provider was asked so far."""
    (found,) = [s for s in await purse.spending() if s.provider == provider]
    return found


def granted(words: Sequence[Word]) -> int:
    """How many were let through."""
    return sum(isinstance(word, Granted) for word in words)


__all__ = [
    "AT",
    "OVER",
    "ZERO",
    "Purses",
    "answer",
    "ended",
    "granted",
    "one",
    "process",
    "told",
    "want",
]
