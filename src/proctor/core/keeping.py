"""Which kept answers may go: by age and by size, and never those that somebody still needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from proctor.model import Stock


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """For how long answers are kept, and how much of them; None where there is no end."""

    age: timedelta | None = None
    most_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """One run's part: all its answers, or those from before a moment.

    `needed` says why they stay all the same; empty where they go.
    """

    stock: Stock
    before: datetime | None = None
    needed: str = ""


def cuts(
    stocks: Sequence[Stock], keep: Keep, now: datetime, needed: Callable[[Stock], str]
) -> list[Cut]:
    """What goes, oldest first: what is too old, then whole runs until the rest is small enough.

    needed: why a run's answers must stay; empty where they may go.
    """
    found: dict[int, Cut] = {}
    before = None if keep.age is None else now - keep.age
    size = sum(stock.size for stock in stocks)
    for i, stock in enumerate(stocks):
        if before is not None and stock.oldest < before:
            whole = stock.newest < before
            found[i] = Cut(stock=stock, before=None if whole else before, needed=needed(stock))
            size -= stock.size if whole and not found[i].needed else 0
    for i, stock in enumerate(stocks):
        if keep.most_bytes is None or size <= keep.most_bytes:
            break
        if i not in found or found[i].before is not None:
            found[i] = Cut(stock=stock, needed=needed(stock))
            size -= 0 if found[i].needed else stock.size
    return [found[i] for i in sorted(found)]


__all__ = ["Cut", "Keep", "cuts"]
