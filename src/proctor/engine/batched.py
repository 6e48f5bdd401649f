"""Batch calls that a vendor works on: looked at until they end, kept, and only then used.

Nobody owns one. Whoever waits for an answer in it looks at it, and may settle it: a batch is
settled once, and the first answer to a question stands. So whoever made it may die.
"""

from __future__ import annotations

import asyncio

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from proctor.engine.desk import Desk
from proctor.errors import EngineError, ProviderRefused, Unreachable
from proctor.model import (
    Answer,
    BatchCall,
    BatchState,
    Ending,
    Kind,
    Reply,
    Results,
)
from proctor.ports import BatchProvider, Settlement

if TYPE_CHECKING:
    from proctor.engine.answers import Answers

FOUND_WITHIN: Final = timedelta(seconds=60)
"""For so long after it was begun a batch of which nobody heard is looked for at its vendor."""
LET_GO_AFTER: Final = timedelta(hours=1)
"""After so long nobody is believed to hand over a file for a batch that was not begun."""

LONGEST: Final = timedelta(hours=48)
"""No vendor works longer on a batch: one that is not known there after that is lost."""

Landed = Callable[[BatchCall, Mapping[str, "Answer | Exception | None"]], None]
"""Told what came of each question of a batch; None, or a key that is missing: not worked on."""


@dataclass(slots=True, kw_only=True)
class Batched:
    """The open batch calls of one provider, as one process sees them."""

    answers: Answers
    desk: Desk
    landed: Landed
    kept: Callable[[Answer], Sequence[Answer]]
    """What is kept of an answer in its place: of several rows each one's own."""
    open: dict[int, BatchCall] = field(default_factory=dict)
    mine: set[int] = field(default_factory=set)
    """Those that this process is handing over at this moment."""
    unheard: set[int] = field(default_factory=set)
    """Those that it has handed over, and heard nothing of."""
    cancelled: set[int] = field(default_factory=set)
    due: float = float("-inf")
    """When, on the monotonic clock, they are to be looked at again."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    trouble: str = ""
    """Why the vendor could not be asked about them when that was last tried."""

    @property
    def vendor(self) -> BatchProvider:
        """Who is asked."""
        return self.desk.batch_provider()

    def holds(self, key: str) -> bool:
        """Whether a question is in one of them."""
        return any(key in batch.keys for batch in self.open.values())

    async def recall(self) -> None:
        """Read from the ledger which there are: other processes make and settle them, too."""
        found = await self.answers.purse.batches(self.desk.name)
        self.open = {batch.number: batch for batch in found}

    async def frees_money(self) -> bool:
        """Whether any of them holds money that may come free; looks at them where it is time."""
        if self.desk.batches is None:
            return False
        await self.recall()
        if not self.open:
            return False
        await self.glance()
        return True

    async def sent(self, batch: BatchCall, ticket: str) -> BatchCall | None:
        """Take down that the vendor is told to begin; None where somebody gave the money back."""
        states = BatchState.RESERVED, BatchState.SENT
        if not await self.answers.purse.move_batch(batch.number, *states, ticket=ticket):
            return None
        self.open[batch.number] = replace(batch, state=BatchState.SENT, ticket=ticket)
        return self.open[batch.number]

    async def opened(self, batch: BatchCall, called: str) -> BatchCall:
        """Take down what the vendor calls it."""
        states = BatchState.SENT, BatchState.OPEN
        await self.answers.purse.move_batch(batch.number, *states, called=called)
        self.open[batch.number] = replace(batch, state=BatchState.OPEN, id=called)
        return self.open[batch.number]

    async def glance(self) -> None:
        """Look at all of them, where it is time to."""
        async with self.lock:
            now = self.answers.clock.monotonic()
            if now < self.due:
                return
            self.due = now + self.desk.batch_terms.poll_s
            await self.recall()
            self.trouble = ""
            for batch in list(self.open.values()):
                if batch.number in self.mine:
                    continue
                try:
                    await self._look(batch)
                except (EngineError, Unreachable) as error:
                    self.trouble = str(error)  # it is looked at again next time
                except ProviderRefused as error:
                    await self._refused(batch, error)

    async def _look(self, batch: BatchCall) -> None:
        now = self.answers.clock.now()
        if batch.state is BatchState.RESERVED:
            if batch.gone or now - batch.at > LET_GO_AFTER:
                await self.settle(batch, {}, ended=Ending.BROKEN)  # the vendor never heard of it
            return
        if batch.state is BatchState.SENT:
            found = await self._found(batch, now)
            if found is None:
                return
            batch = found
        progress = await self.vendor.look(batch)
        if progress.failed:
            await self._failed(batch, progress.failed, again=progress.again)
        elif progress.ended:
            await self.settle(batch, await self.vendor.results(batch))
        elif self._too_old(batch, now) and batch.number not in self.cancelled:
            self.cancelled.add(batch.number)
            await self.vendor.cancel(batch)

    async def _found(self, batch: BatchCall, now: datetime) -> BatchCall | None:
        """One whose reply was lost, by the vendor's own list; else, after a while, it is lost."""
        if not (batch.gone or batch.number in self.unheard or now - batch.at > LET_GO_AFTER):
            return None  # somebody waits for that reply at this moment
        called = await self.vendor.find(batch)
        if called is not None:
            return await self.opened(batch, called)
        if now - batch.at > FOUND_WITHIN:
            await self.settle(batch, {}, ended=Ending.LOST, cost=batch.usd)
        return None

    def _too_old(self, batch: BatchCall, now: datetime) -> bool:
        patience = self.desk.batch_terms.direct_after_s
        return patience is not None and (now - batch.at).total_seconds() >= patience

    async def _failed(self, batch: BatchCall, why: str, *, again: bool) -> None:
        """The vendor took it and never began: nothing is paid."""
        refused = ProviderRefused(
            f"the provider {self.desk.name} did not begin a batch call",
            found=why,
            fix=f"see the vendor's limits for batch calls, or take batch out of "
            f"[providers.{self.desk.name}]",
        )
        told: Results = {} if again else dict.fromkeys(batch.keys, refused)
        await self.settle(batch, told, ended=Ending.REJECTED)

    async def _refused(self, batch: BatchCall, error: ProviderRefused) -> None:
        """Nobody is let in, or it is unknown there: by another key it may still be known."""
        now = self.answers.clock.now()
        if error.of_question and now - batch.at > LONGEST:
            await self.settle(batch, {}, ended=Ending.LOST, cost=batch.usd)
            return
        error = self.desk.went_out(error, self.answers.clock)
        self.landed(batch, dict.fromkeys(batch.keys, error))

    async def settle(
        self,
        batch: BatchCall,
        results: Results,
        *,
        ended: Ending = Ending.ANSWERED,
        cost: Decimal = Decimal(0),
    ) -> None:
        """Keep every answer in one transaction with what they cost; then hand them out."""
        note, now = batch.note, self.answers.clock.now()
        told: dict[str, Answer | Exception | None] = {}
        for key in batch.keys & results.keys():
            got = results[key]
            if not isinstance(got, Reply):
                told[key] = got
            else:
                told[key] = Answer(
                    key=key,
                    kind=Kind.CHAT,
                    provider=self.desk.name,
                    model=note.model,
                    reply=got,
                    cost=note.price.of(got.usage),
                    run=batch.run,
                    at=now,
                    backfill=note.backfill,
                    sensitive=note.sensitive,
                )
        answers = [one for one in told.values() if isinstance(one, Answer)]
        settlement = Settlement(
            hold=batch.number,
            tokens=sum(one.reply.usage.tokens for one in answers),
            cost=sum((one.cost for one in answers), start=cost),
            answers=tuple(kept for one in answers for kept in self.kept(one)),
            replies=tuple(one.reply for one in answers),
            ended=ended,
        )
        await self.answers.settlements.send(settlement)
        self.open.pop(batch.number, None)
        self.unheard.discard(batch.number)
        if answers:
            self.desk.answered += 1
            self.desk.out = None
        self.answers.tell_batch(batch, settlement)
        self.landed(batch, told)

    def said(self) -> str:
        """What the vendor works on at this moment, and what keeps us from knowing."""
        open_ = [one.said for one in self.open.values() if one.state is BatchState.OPEN]
        trouble = f"it cannot be looked at: {self.trouble}" if self.trouble and open_ else ""
        return "; ".join(part for part in (*open_, trouble) if part)


__all__ = ["Batched", "Landed"]
