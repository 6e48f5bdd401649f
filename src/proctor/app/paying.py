"""From `[providers.*]` of proctor.toml to a way to ask them, opened when a run first may ask.

What asks them is imported then: a run that asks nobody need not wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from proctor.authoring import Backfill
from proctor.config import Config, Services, Setups
from proctor.engine.billing import Tell, TellBatch
from proctor.engine.site import dice, holder, is_dead, new_id
from proctor.errors import ProctorError
from proctor.model import Account, Ask, Limits, Price, ProviderSeen, Reply, Spending
from proctor.ports import Asking, BatchProvider, Clock, Provider, Purse

if TYPE_CHECKING:
    from proctor.adapters.providers.batchcalls import VendorBatches
    from proctor.adapters.providers.local import LocalProvider
    from proctor.engine.answers import Answers
    from proctor.engine.desk import Desk
    from proctor.engine.sampling import Sampler

AT_ONCE: Final = 256
"""Who asks a model of this process, at most, before it begins to compute for them."""
LONGER: Final = timedelta(seconds=10)
"""For how much longer than its time-out a call is held to be in flight, and takes a place there.

Where all places are taken by a process that was killed on another machine, others wait so long.
"""


@dataclass(slots=True)
class Late:
    """A provider that is opened when it is first asked: kept answers need no key and no library."""

    setups: Setups
    name: str
    opened: Provider | None = None
    local: LocalProvider | None = None
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    batches: VendorBatches | None = None

    def open(self) -> Provider:
        """The provider; ConfigError or ProviderRefused where it cannot be asked."""
        if self.opened is None:
            from proctor.adapters.providers import open_provider

            setup = self.setups[self.name]
            key = None if setup.key is None else setup.key.reveal()
            self.opened = open_provider(setup.settings, key)
        return self.opened

    async def ready(self) -> None:
        """Open it in a thread: to load a vendor's library takes seconds, in which hearts beat.

        Calls of other providers are in the air meanwhile, and would run out of their time.
        """
        async with self.opening:
            if self.opened is None:
                await asyncio.to_thread(self.open)

    def open_batches(self) -> BatchProvider:
        """Its vendor's batch calls; raises as `open` does."""
        if self.batches is None:
            from proctor.adapters.providers import open_batches

            setup = self.setups[self.name]
            key = None if setup.key is None else setup.key.reveal()
            self.batches = open_batches(setup.settings, key)
        return self.batches

    async def call(self, ask: Ask) -> Reply:
        """See the port."""
        return await self.open().call(ask)

    async def call_many(self, asks: Sequence[Ask]) -> list[Reply]:
        """See the port."""
        return await self.open().call_many(asks)

    @property
    def most_together(self) -> int:
        """See the port."""
        return self.open().most_together

    def price(self, model: str) -> Price | None:
        """See the port."""
        return self.open().price(model)

    def here(self) -> LocalProvider:
        """The model of this process; raises as `open` does."""
        if self.local is None:
            from proctor.adapters.providers import open_local

            self.opened = self.local = open_local(self.setups.settings(self.name))
        return self.local

    async def encode(self, lots: Sequence[Sequence[str]]) -> list[list[list[float]]]:
        """Vectors of the texts of several who ask a model of this process."""
        vectors = iter(await self.here().encode([text for lot in lots for text in lot]))
        return [[next(vectors) for _ in lot] for lot in lots]

    async def aclose(self) -> None:
        """See the port."""
        for one in (self.opened, self.batches):
            if one is not None:
                await one.aclose()


@dataclass(slots=True)
class Desks(Mapping[str, "Desk"]):
    """Providers by name, made ready one by one when they are asked for."""

    setups: Setups
    services: Services
    made: dict[str, Desk] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Desk:
        """The provider; ConfigError where its address needs a variable that is not set."""
        if name not in self.made and name in self.services:
            from proctor.app.serving import service_desk

            self.made[name] = service_desk(self.services, name)
        if name not in self.made:
            from proctor.adapters.providers import (
                list_batch_price,
                most_input,
                most_tokens,
                sends_dimensions,
            )
            from proctor.engine.desk import Desk
            from proctor.engine.trips import Trips

            settings, late = self.setups.settings(name), Late(self.setups, name)
            self.made[name] = Desk(
                name=name,
                provider=late,
                opens=late.ready,
                model=settings.full_model,
                most_output=settings.max_tokens,
                here=Trips(late.encode, AT_ONCE) if settings.vendor == "local" else None,
                dimensions=settings.dimensions,
                sends_dimensions=sends_dimensions(settings),
                most_input=most_input(settings),
                resets_at=settings.limits.resets_at,
                most_tokens=most_tokens(settings),
                fallback=self.setups.terms(name).fallback,
                batch=settings.batch,
                batches=late.open_batches,
                batch_list=lambda: list_batch_price(settings),
            )
        return self.made[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*self.setups, *self.services))

    def __len__(self) -> int:
        return len(self.setups) + len(self.services)

    def __contains__(self, name: object) -> bool:
        return name in self.setups or name in self.services


@dataclass(slots=True)
class Counter:
    """Where the functions of one process ask; shares limits, money and answers by the ledger."""

    config: Config
    ledger: str
    clock: Clock
    limits_clock: Clock | None = None
    """What limits go by; None for the ledger's own time."""
    tell: Tell = lambda _near, _run: None
    tell_batch: TellBatch = lambda _batch, _settled: None
    answers: Answers | None = None
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    stops: list[Callable[[], int]] = field(default_factory=list)
    """The stop words of those who asked."""

    async def asking(
        self, run: str, backfill: Backfill, stopped: Callable[[], int]
    ) -> Asking | None:
        """What a run's functions ask through; None where proctor.toml names no provider."""
        if not self._limits:
            return None
        from proctor.engine.asker import Asker

        self.stops.append(stopped)
        return Asker(
            answers=await self._opened(),
            run=run,
            backfill=backfill.name,
            sensitive=bool(backfill.spec.sensitive),
            stopped=stopped,
        )

    async def purse(self) -> Purse:
        """The answers that are kept, also where no provider is named any more."""
        return (await self._opened()).purse

    async def sampling(self, paying: bool) -> Sampler | None:  # noqa: FBT001 - as the site types it
        """What the functions of plans and dry runs ask through; needs no key while nobody pays."""
        if not self._limits:
            return None
        from proctor.engine.sampling import Sampler

        answers = await self._opened()
        await _warm(answers.desks)
        return Sampler(
            answers=answers,
            limits=self._limits,
            run=f"sample {new_id(self.clock.now())}",
            paying=paying,
        )

    async def accounts(self, runs: Sequence[str]) -> dict[str, list[Account]]:
        """What each of the runs has asked of providers; needs no key, and asks none."""
        if not (self._limits and runs):
            return {}
        setups, services = self.config.providers, self.config.services
        answers = await self._opened()
        await answers.note()
        bills = await answers.purse.bills(runs)
        spent = {one.provider: one for one in await answers.purse.spending()} if bills else {}
        batches = await answers.purse.batches(runs=runs) if any(b.flying for b in bills) else ()
        found: dict[str, list[Account]] = {}
        for bill in bills:
            name = bill.provider
            model = setups.terms(name).model if name in setups else ""
            account = Account(
                model=services.model(name) if name in services else model,
                bill=bill,
                spent=spent.get(name, Spending(provider=name)),
                limits=self._limits.get(name, Limits()),
                open=tuple(
                    one.said for one in batches if (one.run, one.provider) == (bill.run, name)
                ),
            )
            found.setdefault(bill.run, []).append(account)
        return found

    async def seen(self) -> list[ProviderSeen]:
        """Every provider, as far as it can be looked at without asking it."""
        from proctor.app.serving import service_seen

        setups, services = self.config.providers, self.config.services
        spent = {}
        if self._limits:
            answers = await self._opened()
            spent = {one.provider: one for one in await answers.purse.spending()}
        found = [_seen(setups, name, spent.get(name)) for name in setups]
        return found + [service_seen(services, name, spent.get(name)) for name in services]

    @property
    def _limits(self) -> dict[str, Limits]:
        """What each provider may be asked, models and services."""
        return self.config.providers.limits | self.config.services.limits

    async def _opened(self) -> Answers:
        setups, services = self.config.providers, self.config.services
        longest = timedelta(seconds=max(setups.longest, services.longest))
        async with self.opening:
            if self.answers is None:
                from proctor.adapters.ledger import open_purse
                from proctor.engine.answers import Answers

                purse = await open_purse(
                    self.ledger,
                    self._limits,
                    redact=self.config.redact,
                    hold_for=longest + LONGER,
                    holder=holder(""),
                    is_gone=is_dead,
                    clock=self.limits_clock,
                )
                self.answers = Answers(
                    purse,
                    Desks(setups, services),
                    self.clock,
                    dice,
                    services=frozenset(services),
                    first=setups.first,
                    tell=self.tell,
                    tell_batch=self.tell_batch,
                )
        return self.answers

    async def aclose(self) -> None:
        """Keep what is in the air, then give everything back."""
        if self.answers is None:
            return
        await self.answers.aclose(hurry=lambda: any(stop() >= 2 for stop in self.stops))
        desks = self.answers.desks
        if isinstance(desks, Desks):
            for desk in desks.made.values():
                await desk.provider.aclose()
        await self.answers.purse.aclose()


async def _warm(desks: Mapping[str, Desk]) -> None:
    """Load the models of this process: else the rows of a sample seem to take that long."""
    for desk in desks.values():
        if desk.here is not None:
            # What is wrong with one is said where it is asked.
            with contextlib.suppress(ProctorError):
                await desk.here.send(())


def _seen(setups: Setups, name: str, spent: Spending | None) -> ProviderSeen:
    terms = setups.terms(name)
    price, wrong = None, ""
    try:
        from proctor.adapters.providers import list_price

        price = list_price(setups.settings(name))
    except ProctorError as error:
        wrong = f"{error.what}: {error.found}" if error.found else error.what
    return ProviderSeen(
        name=name,
        model=terms.model,
        limits=terms.limits,
        key_env=terms.key_env,
        key_is_set=terms.key_is_set,
        price=price,
        spent=spent or Spending(provider=name),
        wrong=wrong,
    )
