"""Questions on their way into batch calls: gathered, held, written down, handed over."""

from __future__ import annotations

import asyncio
import itertools

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from proctor.authoring import Unanswered
from proctor.engine.batched import Batched
from proctor.engine.desk import Desk
from proctor.engine.elsewhere import Theirs
from proctor.engine.questions import Split
from proctor.engine.stopping import AskedToStop, gave_up, spent, told
from proctor.errors import (
    EngineError,
    Limited,
    OutOfQuota,
    Overloaded,
    ProctorError,
    ProviderRefused,
)
from proctor.model import (
    Answer,
    Ask,
    BatchCall,
    BatchNote,
    BatchState,
    Elsewhere,
    Ending,
    Entry,
    Granted,
    Hold,
    Spent,
    Wait,
    Want,
)
from proctor.ports import Settlement, Word

if TYPE_CHECKING:
    from proctor.engine.answers import Answers
    from proctor.engine.asker import Asker

ROUNDS: Final = 2
"""Batch calls that a question is put in, before it is asked directly."""
TRIES: Final = 5
"""Batch calls in a row that could not be handed over, after which the provider counts as down."""
LOOK_EVERY: Final = 0.25
"""Seconds between two looks at what is to be done."""


class AskDirectly(Exception):
    """A question is no longer worth a batch call: it is asked by itself."""


@dataclass(slots=True, kw_only=True)
class Waiter:
    """A question that waits for its answer out of a batch call."""

    ask: Ask
    who: Asker
    split: Split | None
    since: float
    future: asyncio.Future[Answer]
    entry: Entry | None = None
    rounds: int = 0

    @property
    def keys(self) -> tuple[str, ...]:
        """Its own, and those of the rows that it is about."""
        return (self.ask.key, *(() if self.split is None else self.split.keys))

    def fail(self, error: BaseException) -> None:
        """End the wait; who asked may have gone."""
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()


@dataclass(slots=True)
class Batching:
    """The way of one provider's questions into batch calls and out of them, in one process."""

    answers: Answers
    desk: Desk
    waiting: list[Waiter] = field(default_factory=list)
    """Gathered, and in no batch call yet."""
    inside: dict[str, Waiter] = field(default_factory=dict)
    """In a batch call, by key."""
    touched: float = 0.0
    """When, on the monotonic clock, the last was gathered."""
    not_before: float = 0.0
    """When the next batch call may be tried, after one that could not be handed over."""
    broken: int = 0
    runner: asyncio.Task[None] | None = None
    batched: Batched = field(init=False)

    def __post_init__(self) -> None:
        self.batched = Batched(
            answers=self.answers, desk=self.desk, landed=self._landed, kept=self._kept
        )

    async def ask(self, ask: Ask, who: Asker, split: Split | None) -> Answer:
        """The answer out of a batch call, durable when this returns.

        Raises AskDirectly where it is to be asked by itself, and what `Answers.pay` raises.
        """
        self.desk.refuse_while_out(self._now())
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        waiter = Waiter(ask=ask, who=who, split=split, since=self._now(), future=future)
        self._gather([waiter])
        if self.runner is None or self.runner.done():
            self.runner = asyncio.create_task(self._run())
            self.answers.tasks.add(self.runner)
            self.runner.add_done_callback(self.answers.tasks.discard)
        return await future

    @property
    def busy(self) -> bool:
        """Whether somebody waits for what is in a batch call."""
        return bool(self.inside)

    def _now(self) -> float:
        return self.answers.clock.monotonic()

    def _gather(self, waiters: Iterable[Waiter]) -> None:
        for waiter in waiters:
            if self.batched.holds(waiter.ask.key):
                self.inside[waiter.ask.key] = waiter
            else:
                self.waiting.append(waiter)
        self.touched = self._now()

    async def _run(self) -> None:
        """Go on while anybody waits; an error that nobody foresaw is everybody's."""
        try:
            await self.batched.recall()  # what was handed over by whoever is dead by now
            held, self.waiting = self.waiting, []
            self._gather(held)
            while self._heed_stops():
                while self._is_due():
                    await self._send()
                await self.batched.glance()
                self._leave_settled()
                await self.answers.clock.sleep(LOOK_EVERY)
        except BaseException as error:
            for waiter in self._everybody():
                waiter.fail(error if isinstance(error, ProctorError) else AskedToStop(str(error)))
            self.waiting, self.inside = [], {}
            if not isinstance(error, ProctorError):
                raise

    def _everybody(self) -> list[Waiter]:
        return [*self.waiting, *self.inside.values()]

    def _heed_stops(self) -> bool:
        """Let those go whose run was told to stop; whether anybody is left.

        What is in a batch call stays there: it is paid, and found again when the run goes on.
        """
        closing, told_to = self.answers.closing, dict[int, bool]()
        for waiter in self._everybody():
            run = id(waiter.who)
            if run not in told_to:
                told_to[run] = closing or bool(waiter.who.stopped())
            if told_to[run]:
                waiter.fail(AskedToStop("told to stop while a batch call was waited for"))
        self.waiting = [waiter for waiter in self.waiting if not waiter.future.done()]
        self.inside = {key: one for key, one in self.inside.items() if not one.future.done()}
        return bool(self.waiting or self.inside)

    def _is_due(self) -> bool:
        now, terms = self._now(), self.desk.batch_terms
        if not self.waiting or now < self.not_before:
            return False
        return len(self.waiting) >= terms.requests or now - self.touched >= terms.gather_s

    async def _send(self) -> None:
        """Hand one batch call over: as many of those that wait as fit, of one run."""
        lot = await self._lot()
        if len(lot) < self.desk.batch_terms.at_least:
            for waiter in lot:
                waiter.fail(AskDirectly())
            return
        try:
            while lot:
                word = await self._reserve(lot, self._note(lot))
                if isinstance(word, Granted):
                    await self._hand_over(word.number, lot)
                    return
                lot = await self._told(word, lot)
        except BaseException as error:
            for waiter in lot:
                waiter.fail(error if isinstance(error, ProctorError) else AskedToStop(str(error)))
            if not isinstance(error, ProctorError):
                raise

    async def _lot(self) -> list[Waiter]:
        """The next to go together; what can be sent in no call is told so."""
        terms, vendor = self.desk.batch_terms, self.batched.vendor
        most = min(terms.requests, vendor.most_requests)
        room = min(terms.megabytes * 1_000_000, vendor.most_bytes)
        lot: list[Waiter] = []
        first, rest = self.waiting[0], list[Waiter]()
        self.waiting, gathered = [], self.waiting
        for number, waiter in enumerate(gathered):
            if waiter.who.run != first.who.run:
                rest.append(waiter)
                continue
            try:
                waiter.entry = waiter.entry or await vendor.entry(waiter.ask)
            except ProviderRefused as error:
                waiter.fail(Unanswered(told(error)) if error.of_question else error)
                continue
            size = len(waiter.entry.body) + len(waiter.entry.key) + FRAME
            same = not lot or waiter.entry.extra == _extra(lot[0])
            if len(lot) >= most or (size > room and lot) or not same:
                rest += gathered[number:]
                break
            lot.append(waiter)
            room -= size
        self.waiting[:0] = rest
        return lot

    def _note(self, lot: Sequence[Waiter]) -> BatchNote:
        who = lot[0].who
        return BatchNote(
            model=self.desk.model,
            price=self.desk.batch_price(),
            questions=len(lot),
            most_input=max(waiter.ask.most_input for waiter in lot),
            most_output=max(waiter.ask.most_output or 0 for waiter in lot),
            backfill=who.backfill,
            sensitive=who.sensitive,
        )

    async def _reserve(self, lot: Sequence[Waiter], note: BatchNote) -> Word:
        """Hold the money for all of them, at the batch price, and take them down."""
        keys = list(dict.fromkeys(itertools.chain.from_iterable(w.keys for w in lot)))
        usd = sum((note.price.most(waiter.ask) for waiter in lot), start=Decimal(0))
        want = Want(
            provider=self.desk.name,
            key=keys[0],
            more=tuple(keys[1:]),
            hold=Hold(usd=usd),
            run=lot[0].who.run,
            batch=note,
        )
        return await self.answers.reservations.send(want)

    async def _told(self, word: Word, lot: list[Waiter]) -> list[Waiter]:
        """Do as the purse says where it lets nothing through; those to try at once."""
        if isinstance(word, Elsewhere):
            theirs = [waiter for waiter in lot if word.keys & set(waiter.keys)]
            for waiter in theirs:
                waiter.fail(Theirs(word))
            return [waiter for waiter in lot if waiter not in theirs]
        if isinstance(word, Spent) and len(lot) > 1:
            half = len(lot) // 2  # what is left of the budget may be enough for them
            self.waiting[:0] = lot[half:]
            return lot[:half]
        if isinstance(word, Spent):
            lot += self.waiting  # no more of them can be asked than of this one
            self.waiting = []
            raise spent(self.desk.name, word)
        assert isinstance(word, Wait)  # noqa: S101 - of four words the last
        self.waiting[:0] = lot
        self.not_before = self._now() + max(word.seconds, self.desk.batch_terms.poll_s)
        return []

    async def _hand_over(self, number: int, lot: Sequence[Waiter]) -> None:
        """Let the vendor begin: written down before, and after, so that nobody does it again."""
        batched = self.batched
        await batched.recall()
        batch = batched.open[number]
        entries = [waiter.entry for waiter in lot if waiter.entry is not None]
        batched.mine.add(number)
        self.inside |= {waiter.ask.key: waiter for waiter in lot}
        try:
            told_of = await batched.sent(batch, await batched.vendor.prepare(entries))
            if told_of is None:
                await self._came_to_nothing(batch, lot, Overloaded("somebody gave it back"))
                return
            batch = await batched.opened(told_of, await batched.vendor.begin(told_of, entries))
        except (Overloaded, Limited, ProviderRefused, OutOfQuota) as error:
            if batched.open[number].state is BatchState.SENT and _may_be_begun(error):
                batched.unheard.add(number)  # its vendor is asked whether it has it
                return
            await self._came_to_nothing(batch, lot, error)
        else:
            self.broken = 0
            self.answers.tell_batch(batch, None)
        finally:
            batched.mine.discard(number)

    async def _came_to_nothing(
        self, batch: BatchCall, lot: Sequence[Waiter], error: ProctorError
    ) -> None:
        """Give the money back; try again later where that may help."""
        for waiter in lot:
            self.inside.pop(waiter.ask.key, None)
        ended = Ending.LIMITED if isinstance(error, Limited) else Ending.BROKEN
        ended = ended if isinstance(error, EngineError) else Ending.REJECTED
        nothing = Settlement(hold=batch.number, tokens=0, cost=Decimal(0), ended=ended)
        await self.answers.settlements.send(nothing)
        self.batched.open.pop(batch.number, None)
        if not isinstance(error, EngineError):
            raise self.desk.went_out(error, self.answers.clock)
        self.broken += not isinstance(error, Limited)
        if isinstance(error, Overloaded) and self.broken >= TRIES:
            raise self.desk.went_out(gave_up(error, self.broken, down=True), self.answers.clock)
        rest = min(30.0, 2.0**self.broken) * (0.5 + self.answers.dice())
        self.not_before = self._now() + max(rest, getattr(error, "retry_after", None) or 0.0)
        self.waiting[:0] = lot

    def _kept(self, answer: Answer) -> Sequence[Answer]:
        """What is kept in an answer's place."""
        waiter = self.inside.get(answer.key)
        return [answer] if waiter is None or waiter.split is None else waiter.split.kept(answer)

    def _landed(self, batch: BatchCall, ended: Mapping[str, Answer | Exception | None]) -> None:
        """Hand out what came of a batch call; what was not worked on is asked again."""
        for key in batch.keys & self.inside.keys():
            waiter, got = self.inside.pop(key), ended.get(key)
            if isinstance(got, Answer):
                if not waiter.future.done():
                    waiter.future.set_result(got)
            elif got is None or isinstance(got, EngineError):
                self._again(waiter)
            elif isinstance(got, ProviderRefused) and got.of_question:
                waiter.fail(Unanswered(told(got)))
            else:
                waiter.fail(got)

    def _again(self, waiter: Waiter) -> None:
        """Into another batch call; after some, or when it has waited too long, by itself."""
        waiter.rounds += 1
        patience = self.desk.batch_terms.direct_after_s
        late = patience is not None and self._now() - waiter.since >= patience
        if late or waiter.rounds >= ROUNDS:
            waiter.fail(AskDirectly())
        else:
            self.waiting.append(waiter)
            self.touched = self._now()

    def _leave_settled(self) -> None:
        """Those whose batch call somebody else has settled look for their answers."""
        for key in [key for key in self.inside if not self.batched.holds(key)]:
            there = Elsewhere(keys=frozenset({key}), seconds=0.0, reason="the answer is there")
            self.inside.pop(key).fail(Theirs(there))


FRAME: Final = 128
"""Bytes around a question in a batch call, at most."""


def _extra(waiter: Waiter) -> str:
    return "" if waiter.entry is None else waiter.entry.extra


def _may_be_begun(error: ProctorError) -> bool:
    """Whether the vendor may have begun all the same."""
    return isinstance(error, Overloaded | ProviderRefused) and error.may_be_paid


__all__ = ["AskDirectly", "Batching"]
