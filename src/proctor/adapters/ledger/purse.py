"""The purse in the ledger's database: limits, money and answers that all who share it share."""

from __future__ import annotations

import contextlib

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from sqlalchemy.dialects import postgresql, sqlite

from proctor.adapters.ledger import batches, linking, shelf
from proctor.adapters.ledger.billing import add_bills, bills_of
from proctor.adapters.ledger.connected import Connected
from proctor.adapters.ledger.flights import (
    Lookout,
    in_flight,
    keep,
    known,
    landed,
    let_go,
    pages,
)
from proctor.adapters.ledger.schema import ANSWERS, HOLDS, LIMITS
from proctor.adapters.ledger.till import NOBODY, Held, Till, never
from proctor.core.allowance import HOLD_FOR
from proctor.core.allowed import State
from proctor.errors import ConfigError, ProctorError
from proctor.model import (
    Answer,
    BatchCall,
    BatchState,
    Bill,
    Holder,
    Limits,
    Link,
    Neared,
    Spending,
    Stock,
    Want,
)
from proctor.ports import Clock, Settlement, Word

T = TypeVar("T")

_AMONG: Final[sa.BindParameter[Any]] = sa.bindparam("among", expanding=True)
_ANSWERED: Final = sa.select(ANSWERS).where(ANSWERS.c.key.in_(_AMONG))
_HOLDERS: Final = sa.select(HOLDS.c.provider).where(HOLDS.c.number.in_(_AMONG)).distinct()
# In order of name: two who lock the same rows in different orders would wait for each other.
_LOCKED: Final = (
    sa.select(LIMITS)
    .where(LIMITS.c.provider.in_(_AMONG))
    .order_by(LIMITS.c.provider)
    .with_for_update()
)
_CHANGED: Final = (
    sa.update(LIMITS)
    .where(LIMITS.c.provider == sa.bindparam("of"))
    .values(state=sa.bindparam("becomes"))
)


class SqlPurse(Connected):
    """ports.Purse on SQLAlchemy; made by `open`.

    Who changes a provider's limits locks its row first, so that all others wait. Time is that
    of the server on Postgres, so that machines need not agree on it, and else the machine's.
    """

    def __init__(
        self,
        engine: sa.Engine,
        limits: Mapping[str, Limits],
        redact: Callable[[str], str],
        *,
        hold_for: timedelta = HOLD_FOR,
        clock: Clock | None = None,
        holder: Holder = NOBODY,
        is_gone: Callable[[Holder], bool] = never,
    ) -> None:
        """Wrap an engine whose tables are up to date."""
        super().__init__(engine, clock)
        self._till = Till(limits=dict(limits), hold_for=hold_for, mine=holder, is_gone=is_gone)
        self._lookout = Lookout()
        self._redact = redact
        self._insert = sqlite.insert if self._lite else postgresql.insert
        self._unclaimed: dict[int, str] = {}

    @classmethod
    async def open(
        cls,
        url: str,
        limits: Mapping[str, Limits],
        *,
        redact: Callable[[str], str] = str,
        **options: Any,
    ) -> SqlPurse:
        """Connect and bring the tables up to date; see `open_purse`."""
        return await cls(cls.engine_for(url), limits, redact, **options).ready()

    async def answers(self, keys: Sequence[str]) -> Mapping[str, Answer]:
        """Those of the answers that are kept."""
        rows = await self._in_thread(lambda: self._answered(sorted(set(keys))))
        return {row.key: shelf.answer(row) for row in rows}

    async def reserve(self, wants: Sequence[Want]) -> list[Word]:
        """Ask for calls to be let through, in order; one word for each.

        When it fails or is cancelled no call was let through; what the database may hold for
        them all the same is given back with the next trip.
        """
        self._till.check(wants)
        held: list[Held] = []
        try:
            return await self._in_thread(lambda: self._reserve(wants, held)) if wants else []
        except BaseException:
            self._unclaimed |= {one.number: one.provider for one in held}
            raise

    async def settle(
        self, settlements: Sequence[Settlement], more: Sequence[Bill] = ()
    ) -> Sequence[Neared]:
        """Keep answers, give back what was held too much and bill it, in one transaction.

        Goes on to its end when it is cancelled, and is done again when the connection breaks: a
        hold that is settled already is left alone.
        """
        near: list[Neared] = []
        if settlements or more:
            await self._in_thread(
                lambda: self._repeated(lambda: self._settle(settlements, more, near))
            )
        return near

    async def bills(self, runs: Sequence[str]) -> Sequence[Bill]:
        """What those runs have asked, by run and provider, with what they hold."""
        return await self._in_thread(lambda: self._bills(runs))

    async def link(self, links: Sequence[Link]) -> None:
        """Keep what ties answers to rows; again where the connection breaks."""
        await self._in_thread(lambda: self._repeated(lambda: self._link(links)))

    async def linked(self, askers: Sequence[str]) -> Sequence[Link]:
        """What ties answers to these askers, the newest first."""
        return await self._in_thread(lambda: self._read(lambda c: linking.of(c, askers)))

    async def batches(
        self, provider: str | None = None, *, runs: Sequence[str] | None = None
    ) -> Sequence[BatchCall]:
        """Batch calls that are not settled, oldest first."""
        return await self._in_thread(
            lambda: self._read(lambda c: batches.open_batches(c, self._till, provider, runs))
        )

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

        def move() -> bool:
            with self._writing() as connection:
                return batches.moved(connection, number, (then, now), called=called, ticket=ticket)

        return await self._in_thread(move)

    async def kept(
        self, *, after: str = "", run: str = "", backfill: str = "", most: int = 500
    ) -> Sequence[Answer]:
        """Answers in order of their keys, those after a key."""
        told = {"after": after, "run": self._redact(run), "backfill": backfill}
        return await self._in_thread(lambda: self._read(lambda c: shelf.page(c, most=most, **told)))

    async def stock(self) -> Sequence[Stock]:
        """How many answers are kept, and how much they take, by run."""
        return await self._in_thread(lambda: self._read(shelf.stock))

    async def forget(self, run: str, before: datetime | None = None) -> int:
        """Forget the answers of a run; how many."""
        return await self._in_thread(lambda: self._forget(run, before))

    async def spending(self) -> Sequence[Spending]:
        """What each provider was asked so far and what is held, in order of name."""
        return await self._in_thread(self._spending)

    async def aclose(self) -> None:
        """Give back what is held for nobody, and the connection; harmless when done twice."""
        if self._unclaimed:
            # At worst it stays spent: that is never too much.
            with contextlib.suppress(ProctorError, RuntimeError):
                await self._in_thread(lambda: self._settle([], [], []))
        await super().aclose()

    def _prepare(self) -> None:
        """Make the tables, and in them the rows to lock, once for all who share them."""
        super()._prepare()
        with self._engine.connect() as connection:
            known = set(connection.execute(sa.select(LIMITS.c.provider)).scalars())
        if missing := sorted(self._till.limits.keys() - known):
            new = State().text()
            with self._writing() as connection:
                connection.execute(
                    self._insert(LIMITS).on_conflict_do_nothing(),
                    [{"provider": name, "state": new} for name in missing],
                )

    def _reserve(self, wants: Sequence[Want], held: list[Held]) -> list[Word]:
        names, till = {want.provider for want in wants}, self._till
        with self._deciding(names) as (connection, states, now):
            same = known(connection, wants, now)
            flying = {one.number: one for one in same.values() if one is not None}
            if looked := self._lookout.due():
                flying |= {one.number: one for one in in_flight(connection, names, now)}
            gone = till.gone(flying.values())
            landed(connection, till.abandon(states, gone, now))
            for one in gone:
                del flying[one.number]
            if looked:
                self._lookout.saw(list(flying.values()))
            same = {key: one for key, one in same.items() if one is None or one.number in flying}
            words, new = till.reserve(states, wants, now, same)
            held += new
            if new:
                keep(connection, new, self._insert)
                batches.write_down(connection, new, till.mine, now)
        self._lookout.heard(words)
        return till.told(words, wants, self._lookout.flying)

    def _settle(
        self, settlements: Sequence[Settlement], more: Sequence[Bill], near: list[Neared]
    ) -> None:
        numbers = sorted({told.hold for told in settlements})
        kept = {a.key: a for told in reversed(settlements) for a in reversed(told.answers)}
        with self._deciding({b.provider for b in more}, numbers) as (connection, states, now):
            holds = let_go(connection, numbers)
            batches.ended(connection, [n for n, one in holds.items() if one.taken.of_batch])
            bills, near[:] = self._till.settle(states, settlements, holds, now)
            add_bills(connection, [*bills, *more], self._insert)
            if kept:
                connection.execute(
                    self._insert(ANSWERS).on_conflict_do_nothing(),
                    [shelf.row_of(kept[key], self._redact) for key in sorted(kept)],
                )

    @contextlib.contextmanager
    def _deciding(
        self, providers: Iterable[str], numbers: Sequence[int] = ()
    ) -> Iterator[tuple[sa.Connection, dict[str, State], datetime]]:
        """A transaction with the states of providers, and of those of holds, locked.

        Whatever they were changed to is kept at its end.
        """
        unclaimed = dict(self._unclaimed)
        with self._writing() as connection:
            names = {*providers, *unclaimed.values()}
            for page in pages(numbers):
                names |= set(connection.execute(_HOLDERS, {"among": page}).scalars())
            rows = connection.execute(_LOCKED, {"among": sorted(names)}).all() if names else []
            # Only now: whoever waited for a lock must not decide by the time before.
            now = self._now(connection)
            before = {row.provider: _state(row) for row in rows}
            states = dict(before)
            if unclaimed:
                self._till.give_back(states, let_go(connection, list(unclaimed)).values(), now)
            yield connection, states, now
            changed = [
                {"of": name, "becomes": state.text()}
                for name, state in states.items()
                if state is not before[name]
            ]
            if changed:
                connection.execute(_CHANGED, changed)
        for number in unclaimed:
            self._unclaimed.pop(number, None)

    def _answered(self, keys: Sequence[str]) -> list[sa.Row[Any]]:
        with self._engine.connect() as connection:
            return [
                row
                for page in pages(keys)
                for row in connection.execute(_ANSWERED, {"among": page})
            ]

    def _read(self, read: Callable[[sa.Connection], T]) -> T:
        with self._engine.connect() as connection:
            return read(connection)

    def _link(self, links: Sequence[Link]) -> None:
        with self._writing() as connection:
            linking.put(connection, links, self._insert, self._redact)

    def _forget(self, run: str, before: datetime | None) -> int:
        with self._writing() as connection:
            linking.forget(connection, run, before)
            return shelf.forget(connection, run, before)

    def _spending(self) -> list[Spending]:
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(LIMITS)).all()
            now = self._now(connection)
        return self._till.spending({row.provider: _state(row) for row in rows}, now)

    def _bills(self, runs: Sequence[str]) -> list[Bill]:
        with self._engine.connect() as connection:
            return [bill for page in pages(runs) for bill in bills_of(connection, page)]


def _state(row: sa.Row[Any]) -> State:
    try:
        return State.of(row.state)
    except ValueError:
        raise ConfigError(
            f"the ledger's limits of the provider {row.provider} cannot be read",
            fix="use the newest Proctor that wrote them; what was spent stands in this row alone",
        ) from None


__all__ = ["SqlPurse"]
