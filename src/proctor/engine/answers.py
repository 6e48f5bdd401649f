"""Paid answers: kept? asked already? let through? call, keep, and only then use."""

from __future__ import annotations

import asyncio
import contextlib

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from proctor.authoring import Unanswered
from proctor.core.retry import Do, next_step
from proctor.engine.batching import Batching
from proctor.engine.billing import Notes, Tell, TellBatch
from proctor.engine.desk import Desk
from proctor.engine.elsewhere import Elsewheres, Theirs, Tries
from proctor.engine.questions import Split, Unpaid
from proctor.engine.stopping import AskedToStop, ending_of, for_today, gave_up, heard, spent, told
from proctor.engine.trips import Trips
from proctor.engine.waits import Waits
from proctor.engine.ways import pay
from proctor.errors import (
    EngineError,
    Limited,
    OutOfQuota,
    Overloaded,
    ProctorError,
    ProviderRefused,
    Unreachable,
    UsageError,
)
from proctor.model import (
    Answer,
    Ask,
    Elsewhere,
    Ending,
    Granted,
    Hints,
    Hold,
    Kind,
    Price,
    Spent,
    Wait,
    Want,
)
from proctor.ports import Clock, Purse, Settlement, Word

if TYPE_CHECKING:
    from proctor.engine.asker import Asker

TRIES: Final = 5
"""Calls of one question that may break; what is only limited waits on."""
FIRST_TRIES: Final = 3
"""The same of a provider that has answered nothing yet: its address is likely to be wrong."""
LONGEST_BREAK: Final = 30.0
"""Seconds between two tries of one question, before dice."""
LOOK_EVERY: Final = 0.25
"""Seconds between two looks at the stop word while a question waits for its turn."""
PATIENT: Final = 6
"""Up to here tries to settle count while the run goes on: that says how often it tries."""
LEDGER_AWAY: Final = 3600.0
"""Seconds for which paid answers wait for a ledger while the run goes on."""
TOGETHER: Final = 200
"""Questions of one trip to the ledger."""


@dataclass(slots=True)
class Answers:
    """The way of every paid question of one process."""

    purse: Purse
    desks: Mapping[str, Desk]
    clock: Clock
    dice: Callable[[], float]
    services: frozenset[str] = frozenset()
    """Which of the desks are HTTP services: no model is looked for among them."""
    first: str | None = None
    """The provider to ask where a function names none."""
    flying: dict[str, asyncio.Future[Answer]] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    closing: bool = False
    waits: Waits = field(default_factory=Waits)
    notes: Notes = field(default_factory=Notes)
    tell: Tell = lambda _near, _run: None
    tell_batch: TellBatch = lambda _batch, _settled: None
    batchings: dict[str, Batching] = field(default_factory=dict)
    """The ways into batch calls, by provider."""
    looks: Trips[str, Answer | None] = field(init=False)
    reservations: Trips[Want, Word] = field(init=False)
    settlements: Trips[Settlement, None] = field(init=False)

    def __post_init__(self) -> None:
        """Questions that come while a trip to the ledger is under way go together in the next."""
        self.looks = Trips(self._look, TOGETHER)
        self.reservations = Trips(self.purse.reserve, TOGETHER)
        self.settlements = Trips(self._settle, TOGETHER)

    async def ask_all(self, asks: Sequence[Ask], who: Asker) -> list[Answer]:
        """The answers to questions for one provider, in order; durable when this returns.

        Each is paid for at most once. The same question, while it is in flight, is the same
        flight. A caller that goes away leaves it in the air: its reply is paid, so it is kept.
        """
        while True:
            try:
                return await self._asked(asks, who)
            except (AskedToStop, Unpaid) as error:
                if not self.of_another(error, who):
                    raise heard(error) from None

    async def _asked(self, asks: Sequence[Ask], who: Asker) -> list[Answer]:
        fresh = {a.key: a for a in asks if a.key not in self.flying}
        loop = asyncio.get_running_loop()
        self.flying |= {key: loop.create_future() for key in fresh}
        mine = [self.flying[a.key] for a in asks]
        if fresh:
            task = loop.create_task(self._fly(list(fresh.values()), who))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        answers = await asyncio.gather(*(asyncio.shield(flight) for flight in mine))
        self.note_kept(asks, who, len(asks) - len(fresh))
        return answers

    def of_another(self, error: BaseException, who: Asker) -> bool:
        """Whether a flight ended so for a run that asked the same, and this one may still ask."""
        if isinstance(error, Unpaid):
            return who.paying
        return isinstance(error, AskedToStop) and not (self.closing or who.stopped())

    def note_kept(self, asks: Sequence[Ask], who: Asker, count: int) -> None:
        """Count answers for nothing; of a look without money nothing is left behind."""
        if asks and who.counts:
            self.notes.add(who.run, asks[0].provider, kept=count)

    async def note(self) -> None:
        """Put on the bills what waits for that."""
        if self.notes.waiting:
            await self._settle([])

    async def aclose(self, *, hurry: Callable[[], bool] = lambda: False) -> None:
        """Wait for what is in the air, which is paid already; errors have nobody to go to.

        hurry: says that nobody wants to wait any more. What is in the air then counts as spent.
        """
        self.closing = True
        while self.tasks and not hurry():
            await asyncio.wait(self.tasks, timeout=LOOK_EVERY)
        left = list(self.tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        with contextlib.suppress(ProctorError):  # they cost nothing
            await self.note()

    async def _fly(self, asks: Sequence[Ask], who: Asker) -> None:
        """Find each of the answers, or ask for it; every flight ends with one or an error."""
        try:
            missing = await self._unanswered(asks, who)
        except BaseException as error:
            self.land(asks, error)  # whatever it is: else who asked would wait for ever
            if not isinstance(error, Exception):
                raise
            return
        if missing and not who.paying:
            self.land(missing, Unpaid())
        elif missing:
            await asyncio.gather(*(self._settled(lot, who) for lot in self._lots(missing)))

    def _lots(self, asks: Sequence[Ask]) -> list[list[Ask]]:
        try:
            return self.desks[asks[0].provider].lots(asks)
        except ProctorError:
            return [[ask] for ask in asks]  # it is raised where each of them is asked

    async def _settled(self, asks: Sequence[Ask], who: Asker) -> None:
        tries = Tries()
        await Elsewheres(
            pay=lambda asks: pay(self, asks, who, tries),
            wait=lambda seconds: self.wait(seconds, who),
            unanswered=lambda asks: self._unanswered(asks, who),
            landed=self.land,
        ).settle(asks)

    async def _unanswered(self, asks: Sequence[Ask], who: Asker) -> list[Ask]:
        """Look for answers and end their flights; the questions that have none."""
        found = await asyncio.gather(*(self.looks.send(a.key) for a in asks))
        for ask, kept in zip(asks, found, strict=True):
            if kept is not None:
                self.land([ask], [kept])
                self.note_kept([ask], who, 1)
        return [ask for ask, kept in zip(asks, found, strict=True) if kept is None]

    def land(self, asks: Sequence[Ask], ended: Sequence[Answer] | BaseException) -> None:
        """End flights; an error is looked at here, for whoever asked may have gone."""
        for i, ask in enumerate(asks):
            flight = self.flying.pop(ask.key)
            if isinstance(ended, BaseException):
                flight.set_exception(ended)
                flight.exception()
            else:
                flight.set_result(ended[i])

    async def pay(
        self, asks: Sequence[Ask], who: Asker, tries: Tries, split: Split | None = None
    ) -> list[Answer]:
        """Ask for questions that go in one call, until it is answered or nobody can be asked."""
        desk = self.desks[asks[0].provider]
        if desk.opens is not None:
            await desk.opens()
        price = desk.price()
        hold = Hold(
            tokens=sum(map(desk.gauge.tokens, asks)),
            usd=sum(map(price.most, asks), start=Decimal(0)),
        )
        answered = desk.answered
        while True:
            desk.refuse_while_out(self.clock.monotonic())
            keys = [ask.key for ask in asks] if split is None else [asks[0].key, *split.keys]
            first, *more = keys
            want = Want(provider=desk.name, key=first, more=tuple(more), hold=hold, run=who.run)
            async with desk.line:
                number = await self._turn(want, who)
            try:
                return await self._call(asks, who, price, number, hold, split=split)
            except Limited:
                continue  # the ledger knows by now how long to wait
            except (ProviderRefused, OutOfQuota) as error:
                if isinstance(error, ProviderRefused) and error.of_question:
                    raise Unanswered(told(error)) from None
                raise desk.went_out(error, self.clock) from None
            except Overloaded as error:
                tries.broken += 1
                most = TRIES if desk.answered else FIRST_TRIES
                if tries.broken >= most or desk.out is not None:
                    given_up = gave_up(error, tries.broken, down=desk.answered == answered)
                    raise desk.went_out(given_up, self.clock) from None
                rest = min(LONGEST_BREAK, 2.0**tries.broken) * (0.5 + self.dice())
                await self.wait(max(rest, error.retry_after or 0.0), who)

    async def _turn(self, want: Want, who: Asker) -> int:
        """Wait until the call may be made; the number of its hold."""
        while True:
            self._go_on(who)
            # Somebody may have heard it while this one stood in the line.
            self.desks[want.provider].refuse_while_out(self.clock.monotonic())
            word = await self.reservations.send(want)
            self.waits.heard(want.provider, word, self.clock.monotonic())
            match word:
                case Granted():
                    if word.neared is not None:
                        self.tell(word.neared, who.run)
                    return word.number
                case Wait():
                    await self.wait(word.seconds, who)
                case Elsewhere():
                    raise Theirs(word)
                case Spent(of_call=True):
                    # Its row fails: it would else keep all others from being asked, for ever.
                    raise Unanswered(f"provider {want.provider}: {word.reason}")
                case Spent():
                    raise spent(want.provider, word)

    async def wait(self, left: float, who: Asker) -> None:
        """Let time pass, looking at the stop word."""
        while left > 0:
            self._go_on(who)
            await self.clock.sleep(min(left, LOOK_EVERY))
            left -= LOOK_EVERY

    def _go_on(self, who: Asker) -> None:
        if self.closing or who.stopped():
            raise AskedToStop("told to stop while questions were to be asked")

    async def _call(
        self,
        asks: Sequence[Ask],
        who: Asker,
        price: Price,
        number: int,
        hold: Hold,
        *,
        split: Split | None,
    ) -> list[Answer]:
        """Make one call that was let through, and settle it whatever comes of it."""
        desk = self.desks[asks[0].provider]
        nothing = Settlement(hold=number, tokens=0, cost=Decimal(0))
        # What nobody knows the end of counts as if it had taken all that was held.
        all_of_it = Settlement(hold=number, tokens=hold.tokens, cost=hold.usd)
        began = self.clock.monotonic()
        try:
            replies = await desk.call(asks)
        except Limited as error:
            told_of = replace(nothing, limited=True, ended=Ending.LIMITED, hints=_hints(error))
            await self.settlements.send(told_of)
            raise
        except (Overloaded, ProviderRefused) as error:
            took = all_of_it if error.may_be_paid else nothing
            await self.settlements.send(replace(took, ended=ending_of(error)))
            raise
        except OutOfQuota as error:
            await self.settlements.send(replace(nothing, ended=Ending.REJECTED))
            raise for_today(error, desk, self.clock.now()) from None
        except BaseException:
            await asyncio.shield(self.settlements.send(replace(all_of_it, ended=Ending.LOST)))
            raise
        desk.learn(asks, replies, seconds=self.clock.monotonic() - began)
        answers = [
            Answer(
                key=ask.key,
                kind=ask.kind,
                provider=desk.name,
                model=ask.model,
                reply=reply,
                cost=price.of(reply.usage),
                run=who.run,
                at=self.clock.now(),
                backfill=who.backfill,
                sensitive=who.sensitive,
            )
            for ask, reply in zip(asks, replies, strict=True)
        ]
        await self.settlements.send(
            Settlement(
                hold=number,
                tokens=sum(reply.usage.tokens for reply in replies),
                cost=sum((a.cost for a in answers), start=Decimal(0)),
                answers=tuple(self._to_keep(desk, answers, split)),
                hints=replies[-1].hints,
                replies=tuple(replies),
            )
        )
        return answers

    def desk(self, name: str | None, kind: Kind = Kind.CHAT) -> Desk:
        """The provider of that name, or the only one of its kind: model or service."""
        wanted = kind is Kind.HTTP
        fit = [one for one in sorted(self.desks) if (one in self.services) is wanted]
        name = self.first if name is None and not wanted else name
        if name is None and len(fit) == 1:
            return self.desks[fit[0]]
        word = {Kind.HTTP: "http", Kind.EMBED: "embed"}.get(kind, "llm")
        if name is None or name not in self.desks:
            raise UsageError(
                f"there is no provider named {name}" if name else "no provider was named",
                found=f"in proctor.toml: {', '.join(sorted(self.desks)) or 'none'}",
                fix=f'write ctx.{word}(…, provider="NAME") and [providers.NAME] in proctor.toml',
            )
        if name not in fit:
            raise UsageError(
                f"provider {name} is {'a model' if wanted else 'an HTTP service'}",
                found=f'ctx.{word}(…, provider="{name}")',
                fix=f"ask it with ctx.{'llm or ctx.embed' if wanted else 'http'}",
            )
        return self.desks[name]

    def _to_keep(
        self, desk: Desk, answers: Sequence[Answer], split: Split | None
    ) -> Sequence[Answer]:
        if split is not None:
            return split.kept(answers[0])
        return [answer for answer in answers if desk.keeps(answer)]

    async def _look(self, keys: Sequence[str]) -> list[Answer | None]:
        found = await self.purse.answers(keys)
        return [found.get(key) for key in keys]

    async def _settle(self, settlements: Sequence[Settlement]) -> list[None]:
        """Keep what was paid for, also where the ledger is away for long: else it is paid again."""
        attempt, more = 1, self.notes.take()
        most = self.clock.monotonic() + LEDGER_AWAY
        while True:
            try:
                near = await self.purse.settle(settlements, more)
            except (EngineError, Unreachable) as error:
                step = next_step(error, attempt, self.dice())
                if step.do is not Do.AGAIN:
                    self.notes.back(more)
                    raise
                await self.clock.sleep(step.wait)
                # Tries count once the process wants to end, or where nothing is paid.
                patient = settlements and not self.closing and self.clock.monotonic() < most
                attempt = min(attempt + 1, PATIENT) if patient else attempt + 1
            else:
                for one in near:
                    paid = (a.run for s in settlements for a in s.answers)
                    self.tell(one, next(paid, ""))
                return [None] * len(settlements)


def _hints(error: Limited) -> Hints:
    """What the headers of a 429 said."""
    after = error.retry_after
    return Hints(
        retry_after=None if after is None else timedelta(seconds=after),
        requests_left=error.requests_left,
        tokens_left=error.tokens_left,
    )
