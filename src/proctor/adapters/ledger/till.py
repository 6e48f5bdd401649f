"""What happens to limits and holds when calls are asked for and when they have ended.

Whoever keeps them, a database or a dict, gives the states that it has locked and keeps those
that come back: the purses differ in nothing else.
"""

from __future__ import annotations

import secrets

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from proctor.core.allowance import (
    abandoned,
    admit,
    admit_batch,
    hinted,
    limited,
    neared,
    settled,
    spending,
    succeeded,
)
from proctor.core.allowed import State, Taken
from proctor.errors import ConfigError
from proctor.model import (
    BatchNote,
    Bill,
    Elsewhere,
    Ending,
    Finish,
    Granted,
    Holder,
    Limits,
    Neared,
    Spending,
    Wait,
    Want,
)
from proctor.ports import Settlement, Word

NOBODY: Final = Holder(host="", pid=0, started="", user="")
"""Who holds what an older Proctor noted: it can live anywhere."""
LISTEN: Final = 0.1
"""Seconds until somebody else's answer may be there."""


def never(_holder: Holder) -> bool:
    """Whether a holder is gone, where nobody can tell."""
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A hold that is not settled, as it is kept."""

    number: int
    provider: str
    key: str
    taken: Taken
    more: tuple[str, ...] = ()
    """Keys of the other questions of the same call."""
    holder: Holder = NOBODY
    run: str = ""
    batch: BatchNote | None = None
    """Of a batch call, when it is held: nobody's process has to live for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Till:
    """The limits that this process was given, and the rules by which states change."""

    limits: Mapping[str, Limits]
    hold_for: timedelta
    mine: Holder = NOBODY
    """The process that asks."""
    is_gone: Callable[[Holder], bool] = never
    """Whether a process is certainly not there any more."""

    def check(self, wants: Iterable[Want]) -> None:
        """ConfigError for a provider without limits: what nobody knows is not without bounds."""
        for want in wants:
            if want.provider not in self.limits:
                raise ConfigError(
                    f"no limits are known of the provider {want.provider}",
                    fix="name it in proctor.toml",
                )

    def reserve(
        self,
        states: dict[str, State],
        wants: Sequence[Want],
        now: datetime,
        known: Mapping[str, Held | None],
    ) -> tuple[list[Word], list[Held]]:
        """A word for each want, and what is held by it; `states` are changed in place.

        known: of the keys, those that somebody has in flight, and with None those answered.
        """
        words: list[Word] = []
        holds: list[Held] = []
        known = dict(known)
        for want in wants:
            if theirs := [key for key in want.keys if key in known]:
                words.append(_elsewhere({key: known[key] for key in theirs}))
                continue
            limits = self.limits[want.provider]
            name, before = want.provider, states[want.provider]
            if want.batch is None:
                states[name], word = admit(before, limits, want.hold, now, hold_for=self.hold_for)
            else:
                states[name], word = admit_batch(before, limits, want.hold, now)
            if isinstance(word, Taken):
                # Dice, for a number must never be given again: it might be settled twice. 53
                # bits, for faces show it, and JavaScript has no larger whole numbers.
                number = secrets.randbits(53)
                held = Held(
                    number=number,
                    provider=name,
                    key=want.key,
                    taken=word,
                    more=want.more,
                    holder=self.mine if want.batch is None else NOBODY,
                    run=want.run,
                    batch=want.batch,
                )
                known |= dict.fromkeys(want.keys, held)
                holds.append(held)
                near = None if want.batch else _day(name, states[name], limits)
                words.append(Granted(number=number, neared=near))
            else:
                words.append(word)
        return words, holds

    def settle(
        self,
        states: dict[str, State],
        settlements: Sequence[Settlement],
        holds: Mapping[int, Held],
        now: datetime,
    ) -> tuple[list[Bill], list[Neared]]:
        """What calls really took, of those that are still held; `states` are changed in place.

        What stands on the bills of their runs from now on, and the budgets that are nearly spent.
        """
        left, bills, near = dict(holds), list[Bill](), list[Neared]()
        for told in settlements:
            held = left.pop(told.hold, None)
            if held is not None:
                name, limits = held.provider, self.limits.get(held.provider, Limits())
                before = states[name]
                states[name] = _settled(before, limits, held.taken, told, now)
                bills.append(_billed(held, told))
                budget, spent = limits.budget_usd, states[name].spent
                if neared(spent, before.spent, budget):
                    used, of = f"{spent:f}", f"{budget:f}"
                    near.append(Neared(provider=name, limit="budget_usd", used=used, of=of))
        return bills, near

    def is_dead(self, holder: Holder) -> bool:
        """Whether a process is certainly not there any more."""
        return holder not in (self.mine, NOBODY) and self.is_gone(holder)

    def gone(self, holds: Iterable[Held]) -> list[Held]:
        """Those whose process is certainly gone: their calls are in flight for nobody."""
        flying = list(holds)
        holders = {held.holder for held in flying} - {self.mine, NOBODY}
        dead = {holder for holder in holders if self.is_gone(holder)}
        return [held for held in flying if held.holder in dead]

    def abandon(self, states: dict[str, State], holds: Iterable[Held], now: datetime) -> list[Held]:
        """Free places of calls whose process is gone; `states` are changed in place.

        What they hold stays spent. Those of providers that are not locked wait for their turn.
        """
        freed = [held for held in holds if held.provider in states]
        for held in freed:
            limits = self.limits.get(held.provider, Limits())
            states[held.provider] = abandoned(states[held.provider], limits, held.taken, now)
        return freed

    def told(
        self, words: Sequence[Word], wants: Sequence[Want], flying: Sequence[Held]
    ) -> list[Word]:
        """The words, with who else holds what is missing, and until when."""
        return [
            replace(word, reason=f"{word.reason}{self._whose(want.provider, flying)}")
            if isinstance(word, Wait) and word.for_others
            else word
            for want, word in zip(wants, words, strict=True)
        ]

    def _whose(self, provider: str, flying: Sequence[Held]) -> str:
        counts: dict[Holder, list[int]] = {}
        for held in flying:
            if held.provider == provider and held.holder not in (self.mine, NOBODY):
                counts.setdefault(held.holder, []).append(held.taken.expires)
        return "".join(
            f"; {len(ends):,} of them held by {_name(holder)}, "
            f"until {datetime.fromtimestamp(max(ends), UTC):%H:%M:%S} UTC"
            for holder, ends in counts.items()
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


def _elsewhere(known: Mapping[str, Held | None]) -> Elsewhere:
    flying = [held for held in known.values() if held is not None]
    if not flying:
        return Elsewhere(keys=frozenset(known), seconds=0.0, reason="the answer is there")
    batched = any(held.taken.of_batch for held in flying)
    reason = f"the same is asked by {_name(flying[0].holder)}"
    return Elsewhere(
        keys=frozenset(known),
        seconds=LISTEN,
        reason="the same is asked in a batch call" if batched else reason,
        batched=batched,
    )


def _name(holder: Holder) -> str:
    return f"pid {holder.pid} on host {holder.host}" if holder != NOBODY else "another process"


def held_bill(held: Held) -> Bill:
    """What a call that nobody has settled stands for on its run's bill."""
    return Bill(run=held.run, provider=held.provider, flying=1, held_usd=held.taken.usd)


def together(bills: Iterable[Bill]) -> list[Bill]:
    """One bill for each run and provider, in their order."""
    sums: dict[tuple[str, str], Bill] = {}
    for bill in bills:
        name = (bill.run, bill.provider)
        sums[name] = sums[name] + bill if name in sums else bill
    return [sums[name] for name in sorted(sums)]


def _day(provider: str, state: State, limits: Limits) -> Neared | None:
    """Said with the very call that passes four fifths: the next day's is another."""
    if not neared(state.counted, state.counted - 1, limits.daily):
        return None
    used, of = str(state.counted), str(limits.daily)
    return Neared(provider=provider, limit="daily", used=used, of=of)


def _billed(held: Held, told: Settlement) -> Bill:
    """How a call stands on its run's bill. Tokens that no reply counts are guesses: none."""
    replies = told.replies or tuple(answer.reply for answer in told.answers)
    batch = held.taken.of_batch and told.ended is Ending.ANSWERED
    ends = [reply.finish for reply in replies]
    return Bill(
        run=held.run,
        provider=held.provider,
        calls=1,
        input_tokens=sum(reply.usage.input_tokens for reply in replies),
        output_tokens=sum(reply.usage.output_tokens for reply in replies),
        usd=told.cost,
        batches=int(batch),
        batched=len(replies) if batch else 0,
        batched_usd=told.cost if batch else Decimal(0),
        refused=ends.count(Finish.REFUSED),
        filtered=ends.count(Finish.FILTERED),
        cut_off=ends.count(Finish.LENGTH),
        limited=int(told.ended is Ending.LIMITED),
        broken=int(told.ended is Ending.BROKEN),
        rejected=int(told.ended is Ending.REJECTED),
        lost=int(told.ended is Ending.LOST),
    )


def _settled(state: State, limits: Limits, taken: Taken, told: Settlement, now: datetime) -> State:
    state = settled(state, limits, taken, tokens=told.tokens, cost=told.cost, now=now)
    if told.hints is not None:
        state = hinted(state, limits, told.hints, now)
    if told.limited:
        return limited(state, limits, taken, told.hints, now)
    return succeeded(state, limits, taken, now) if told.answers else state


__all__ = ["NOBODY", "Held", "Till", "held_bill", "never", "together"]
