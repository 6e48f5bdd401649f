"""Providers, and the purse that every worker and process shares: limits, money and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, TypeAlias

from proctor.model import Answer, Ask, Granted, Hints, Price, Reply, Spending, Spent, Wait, Want


class Provider(Protocol):
    """One vendor's model or service behind one name of proctor.toml; its own retries are off."""

    async def call(self, ask: Ask) -> Reply:
        """Ask once. A reply that was cut off, refused or filtered is a reply, and is paid.

        Raises Limited (429, with what its headers say), Overloaded (5xx, time-outs, a connection
        that broke), OutOfQuota (a hard quota: no retry helps) and ProviderRefused (wrong key,
        unknown model, a request that can never be answered).
        """

    def price(self, model: str) -> Price | None:
        """What the model costs; None where that is not known."""

    async def aclose(self) -> None:
        """Give connections back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """How a call that was let through ended.

    `answer` is kept in the same transaction; None where nothing usable came. `tokens` and `cost`
    are what it took, as far as anybody knows; `cost` is the whole hold where the provider may
    have counted the call and nobody can say. `limited` says that the provider asked for less:
    its rates are cut until successes raise them again.
    """

    hold: int
    tokens: int
    cost: Decimal
    answer: Answer | None = None
    limited: bool = False
    hints: Hints | None = None


Word: TypeAlias = Granted | Wait | Spent


class Purse(Protocol):
    """Limits, money and answers in the ledger: all who share it share them, also after a crash."""

    async def answers(self, keys: Sequence[str]) -> Mapping[str, Answer]:
        """Those of the answers that are kept."""

    async def reserve(self, wants: Sequence[Want]) -> list[Word]:
        """Ask for calls to be let through, in order; one word for each.

        What is granted is held, durably, before this returns, and counts as spent until it is
        settled: also when whoever asked is dead by then. When it raises, none was let through.
        """

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Keep answers and give back what was held too much, in one transaction.

        The first answer to a key stands, and a hold is settled once: again changes nothing.
        """

    async def spending(self) -> Sequence[Spending]:
        """What each provider was asked so far and what is held."""

    async def aclose(self) -> None:
        """Give connections back."""


__all__ = ["Provider", "Purse", "Settlement", "Word"]
