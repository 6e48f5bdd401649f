"""A purse that forgets with its process: for tests and for trying things out."""

from __future__ import annotations

import itertools

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from proctor.adapters.clock import SystemClock
from proctor.adapters.ledger.till import NOBODY, Held, Till, held_bill, never, together
from proctor.core.allowance import HOLD_FOR
from proctor.core.allowed import State
from proctor.model import (
    Answer,
    BatchCall,
    BatchState,
    Bill,
    Hints,
    Holder,
    Limits,
    Link,
    Neared,
    Spending,
    Stock,
    Want,
)
from proctor.ports import Clock, Settlement, Word


@dataclass(slots=True)
class Pocket:
    """What several purses share, as they would a database."""

    answers: dict[str, Answer] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    holds: dict[int, Held] = field(default_factory=dict)
    bills: list[Bill] = field(default_factory=list)
    links: dict[tuple[str, str, str, str], Link] = field(default_factory=dict)
    batches: dict[int, BatchCall] = field(default_factory=dict)


class MemoryPurse:
    """ports.Purse in dicts; give several one `pocket` to share limits, money and answers."""

    def __init__(
        self,
        limits: Mapping[str, Limits],
        *,
        pocket: Pocket | None = None,
        hold_for: timedelta = HOLD_FOR,
        clock: Clock | None = None,
        holder: Holder = NOBODY,
        is_gone: Callable[[Holder], bool] = never,
    ) -> None:
        """Begin empty, or with what the pocket holds."""
        self.pocket = pocket if pocket is not None else Pocket()
        self.pocket.states = {name: State() for name in limits} | self.pocket.states
        self._till = Till(limits=dict(limits), hold_for=hold_for, mine=holder, is_gone=is_gone)
        self._clock = clock or SystemClock()

    async def answers(self, keys: Sequence[str]) -> Mapping[str, Answer]:
        """Those of the answers that are kept."""
        kept = self.pocket.answers
        return {key: kept[key] for key in keys if key in kept}

    async def reserve(self, wants: Sequence[Want]) -> list[Word]:
        """Ask for calls to be let through, in order; one word for each."""
        self._till.check(wants)
        now, till, kept = self._clock.now(), self._till, self.pocket.holds
        states = self._states(want.provider for want in wants)
        flying = [held for held in kept.values() if held.taken.expires > now.timestamp()]
        for held in till.abandon(states, till.gone(flying), now):
            flying.remove(held)
            kept[held.number] = replace(held, taken=replace(held.taken, expires=0))
        known: dict[str, Held | None] = {
            key: held for held in flying for key in (held.key, *held.more)
        }
        known |= dict.fromkeys(self.pocket.answers)
        words, holds = till.reserve(states, wants, now, known)
        words = till.told(words, wants, flying)
        self.pocket.states |= states
        self.pocket.holds |= {held.number: held for held in holds}
        self.pocket.batches |= {
            held.number: BatchCall(
                number=held.number,
                provider=held.provider,
                run=held.run,
                state=BatchState.RESERVED,
                note=held.batch,
                at=now,
                keys=frozenset((held.key, *held.more)),
                usd=held.taken.usd,
            )
            for held in holds
            if held.batch is not None
        }
        return words

    async def settle(
        self, settlements: Sequence[Settlement], more: Sequence[Bill] = ()
    ) -> Sequence[Neared]:
        """Keep answers, give back what was held too much, and bill it."""
        numbers = {told.hold for told in settlements}
        holds = {n: self.pocket.holds[n] for n in numbers if n in self.pocket.holds}
        states = self._states(held.provider for held in holds.values())
        bills, near = self._till.settle(states, settlements, holds, self._clock.now())
        self.pocket.bills = together([*self.pocket.bills, *bills, *more])
        self.pocket.states |= states
        for number in holds:
            del self.pocket.holds[number]
            self.pocket.batches.pop(number, None)
        for told in settlements:
            for answer in told.answers:
                # Headers are of the moment: no purse keeps them.
                plain = replace(answer, reply=replace(answer.reply, hints=Hints()))
                self.pocket.answers.setdefault(answer.key, plain)
        return near

    async def bills(self, runs: Sequence[str]) -> Sequence[Bill]:
        """What those runs have asked, by run and provider, with what they hold."""
        held = map(held_bill, self.pocket.holds.values())
        return together(b for b in (*self.pocket.bills, *held) if b.run in runs)

    async def link(self, links: Sequence[Link]) -> None:
        """Keep what ties answers to rows."""
        self.pocket.links |= {(one.asker, one.label, one.provider, one.key): one for one in links}

    async def linked(self, askers: Sequence[str]) -> Sequence[Link]:
        """What ties answers to these askers, the newest first."""
        found = [one for one in self.pocket.links.values() if one.asker in askers]
        return sorted(found, key=lambda one: (one.at, one.key), reverse=True)

    async def batches(
        self, provider: str | None = None, *, runs: Sequence[str] | None = None
    ) -> Sequence[BatchCall]:
        """Batch calls that are not settled, oldest first."""
        return [
            one
            for one in self.pocket.batches.values()
            if provider in (None, one.provider) and (runs is None or one.run in runs)
        ]

    async def move_batch(
        self,
        number: int,
        then: BatchState,
        now: BatchState,
        *,
        called: str = "",
        ticket: str = "",
    ) -> bool:
        """Take down how far a batch call is; False where it was not as far as `then`."""
        one = self.pocket.batches.get(number)
        if one is None or one.state is not then:
            return False
        one = replace(one, state=now, id=called or one.id, ticket=ticket or one.ticket)
        self.pocket.batches[number] = one
        return True

    async def kept(
        self, *, after: str = "", run: str = "", backfill: str = "", most: int = 500
    ) -> Sequence[Answer]:
        """Answers in order of their keys, those after a key."""
        found = (
            answer
            for key, answer in sorted(self.pocket.answers.items())
            if key > after and run in ("", answer.run) and backfill in ("", answer.backfill)
        )
        return list(itertools.islice(found, most))

    async def stock(self) -> Sequence[Stock]:
        """How many answers are kept, and how much they take, by run."""
        runs: dict[tuple[str, str], list[Answer]] = {}
        for answer in self.pocket.answers.values():
            runs.setdefault((answer.run, answer.backfill), []).append(answer)
        found = (
            Stock(
                run=run,
                backfill=backfill,
                answers=len(some),
                size=sum(len(answer.reply.raw) for answer in some),
                oldest=min(answer.at for answer in some),
                newest=max(answer.at for answer in some),
            )
            for (run, backfill), some in runs.items()
        )
        return sorted(found, key=lambda one: (one.newest, one.run))

    async def forget(self, run: str, before: datetime | None = None) -> int:
        """Forget the answers of a run; how many."""
        kept = self.pocket.answers
        gone = [
            key
            for key, answer in kept.items()
            if answer.run == run and (before is None or answer.at < before)
        ]
        for key in gone:
            del kept[key]
        links = self.pocket.links
        for name in [name for name, one in links.items() if one.key in gone]:
            del links[name]
        return len(gone)

    async def spending(self) -> Sequence[Spending]:
        """What each provider was asked so far and what is held."""
        return self._till.spending(self.pocket.states, self._clock.now())

    async def aclose(self) -> None:
        """Nothing to give back."""

    def _states(self, providers: Iterable[str]) -> dict[str, State]:
        return {name: self.pocket.states[name] for name in set(providers)}


__all__ = ["MemoryPurse", "Pocket"]
