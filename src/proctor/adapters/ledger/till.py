"""What happens to limits and holds when calls are asked for and when they have ended.

Whoever keeps them, a database or a dict, gives the states that it has locked and keeps those
that come back: the purses differ in nothing else.
"""

from __future__ import annotations

import secrets

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from proctor.core.allowance import admit, hinted, limited, settled, spending, succeeded
from proctor.core.allowed import State, Taken
from proctor.errors import ConfigError
from proctor.model import Granted, Limits, Spending, Want
from proctor.ports import Settlement, Word


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A hold that is not settled, as it is kept."""

    number: int
    provider: str
    key: str
    taken: Taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Till:
    """The limits that this process was given, and the rules by which states change."""

    limits: Mapping[str, Limits]
    hold_for: timedelta

    def check(self, wants: Iterable[Want]) -> None:
        """ConfigError for a provider without limits: what nobody knows is not without bounds."""
        for want in wants:
            if want.provider not in self.limits:
                raise ConfigError(
                    f"no limits are known of the provider {want.provider}",
                    fix="name it in proctor.toml",
                )

    def reserve(
        self, states: dict[str, State], wants: Sequence[Want], now: datetime
    ) -> tuple[list[Word], list[Held]]:
        """A word for each want, and what is held by it; `states` are changed in place."""
        words: list[Word] = []
        holds: list[Held] = []
        for want in wants:
            limits = self.limits[want.provider]
            states[want.provider], word = admit(
                states[want.provider], limits, want.hold, now, hold_for=self.hold_for
            )
            if isinstance(word, Taken):
                # Dice, for a number must never be given again: it might be settled twice. 53
                # bits, for faces show it, and JavaScript has no larger whole numbers.
                number = secrets.randbits(53)
                holds.append(Held(number=number, provider=want.provider, key=want.key, taken=word))
                words.append(Granted(number=number))
            else:
                words.append(word)
        return words, holds

    def settle(
        self,
        states: dict[str, State],
        settlements: Sequence[Settlement],
        holds: Mapping[int, Held],
        now: datetime,
    ) -> None:
        """What calls really took, of those that are still held; `states` are changed in place."""
        left = dict(holds)
        for told in settlements:
            held = left.pop(told.hold, None)
            if held is not None:
                limits = self.limits.get(held.provider, Limits())
                states[held.provider] = _settled(
                    states[held.provider], limits, held.taken, told, now
                )

    def give_back(self, states: dict[str, State], holds: Iterable[Held], now: datetime) -> None:
        """Holds of calls that nobody will ever make; `states` are changed in place."""
        for held in holds:
            limits = self.limits.get(held.provider, Limits())
            states[held.provider] = settled(
                states[held.provider], limits, held.taken, tokens=0, cost=Decimal(0), now=now
            )

    def spending(self, states: Mapping[str, State], now: datetime) -> list[Spending]:
        """What each provider was asked, in order of name."""
        return [
            spending(name, states[name], self.limits.get(name, Limits()), now)
            for name in sorted(states)
        ]


def _settled(state: State, limits: Limits, taken: Taken, told: Settlement, now: datetime) -> State:
    state = settled(state, limits, taken, tokens=told.tokens, cost=told.cost, now=now)
    if told.hints is not None:
        state = hinted(state, limits, told.hints, now)
    if told.limited:
        return limited(state, limits, taken, told.hints, now)
    return succeeded(state, limits, taken, now) if told.answers else state


__all__ = ["Held", "Till"]
