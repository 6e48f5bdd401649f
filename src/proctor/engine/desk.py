"""One provider of proctor.toml as the engine asks it: its price, its estimates, its calls."""

from __future__ import annotations

import asyncio
import copy
import json

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

from proctor.core.tokens import Gauge
from proctor.core.vectors import fault
from proctor.engine.trips import Trips
from proctor.errors import OutOfQuota, ProviderRefused
from proctor.model import Answer, Ask, BatchTerms, Kind, Price, Reply, ServiceSettings, canonical
from proctor.ports import BatchProvider, Clock, Provider

E = TypeVar("E", bound=Exception)

FRAME: Final = 64
"""Tokens that vendors put around what is sent, at most."""
OUT_FOR: Final = 30.0
"""Seconds in which nobody else tries a provider that is down, out of quota or takes no key."""
Here: TypeAlias = Trips[Sequence[str], list[list[float]]]
"""The way to a model of this process: texts that come while it computes go together next."""
IN_FRONT: Final = 8
"""Questions that ask the ledger for their turn at once; others stand behind them. As many go in one
trip; each that is told to wait asks again, and all of them would ask for nothing most times."""


@dataclass(slots=True, kw_only=True)
class Desk:
    """One provider of proctor.toml, ready to be asked."""

    name: str
    provider: Provider
    model: str
    opens: Callable[[], Awaitable[object]] | None = None
    """Makes the provider ready, before its price is asked; None where it is."""
    most_output: int | None = None
    """Tokens of a reply where the function gives no cap of its own."""
    resets_at: str = "00:00 UTC"
    """When a daily quota begins anew."""
    gauge: Gauge = field(default_factory=Gauge)
    here: Here | None = None
    """Where its model runs in this process: nothing is paid then, held or kept."""
    dimensions: int | None = None
    """Of its vectors, as proctor.toml says."""
    sends_dimensions: bool = False
    """Whether the vendor is told them, and so gives vectors of as many."""
    most_input: int | None = None
    """Tokens of the longest text that it embeds; None where nobody knows."""
    service: ServiceSettings | None = None
    """What is sent, where it is an HTTP service and no model."""
    pick: Callable[[Any], Any] | None = None
    """Takes the wanted part out of a service's reply; LookupError where it is not there."""
    most_tokens: int | None = None
    """Tokens of all texts of one call; None where there is no bound."""
    answered: int = 0
    """Calls that were answered: while it rises, a question that breaks is at fault itself."""
    line: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FRONT))
    fallback: tuple[str, ...] = ()
    """Who is asked where this one cannot answer."""
    batch: BatchTerms | None = None
    """How its questions go into batch calls; None where each is asked by itself."""
    batches: Callable[[], BatchProvider] | None = None
    """Opens the way to its vendor's batch calls, also to those of before."""
    batch_list: Callable[[], Price | None] = lambda: None
    """What batch calls cost."""
    out: ProviderRefused | OutOfQuota | None = None
    """Why it could not be asked when it was last tried; None again when it has answered."""
    out_until: float = 0.0
    """Until then, by the monotonic clock, it is not tried: each row would wait for all tries."""

    def vector_of(self, text: str) -> Ask:
        """The question for a text's vector; dimensions are a part of it only where they are sent.

        So a kept answer still is one when they are written down to be checked.
        """
        sent: dict[str, Any] = {"text": text}
        if self.sends_dimensions:
            sent["dimensions"] = self.dimensions
        return Ask(
            kind=Kind.EMBED,
            provider=self.name,
            model=self.model,
            sent=canonical(sent),
            most_input=len(text.encode()) + FRAME,
        )

    def keeps(self, answer: Answer) -> bool:
        """Whether an answer is one: what is no vector would be found again for ever."""
        if answer.kind is not Kind.EMBED:
            return True
        return not fault(json.loads(answer.reply.raw), self.dimensions)

    def lots(self, asks: Sequence[Ask]) -> list[list[Ask]]:
        """Questions by the calls that they go in, in their order: each as large as may be."""
        size, most = self.together(asks[0].kind), self.most_tokens
        lots: list[list[Ask]] = [[]]
        tokens = 0
        for ask in asks:
            more = self.gauge.tokens(ask)
            full = len(lots[-1]) >= size or (most is not None and tokens + more > most)
            if full and lots[-1]:
                lots.append([])
                tokens = 0
            lots[-1].append(ask)
            tokens += more
        return lots

    def refuse_while_out(self, now: float) -> None:
        """Raise at once what the last one who asked was told at last."""
        if self.out is not None and now < self.out_until:
            raise copy.copy(self.out)
        if isinstance(self.out, OutOfQuota):
            self.out = None  # a quota that was used up does not say that it is down by now

    def went_out(self, error: E, clock: Clock) -> E:
        """Take down that it cannot be asked, where the error says so; the error, to raise."""
        if isinstance(error, ProviderRefused | OutOfQuota) and error.elsewhere:
            rest = OUT_FOR
            if isinstance(error, OutOfQuota) and error.until is not None:
                # Who has waited for that moment must not be told then to wait for it.
                rest = min(rest, (error.until - clock.now()).total_seconds())
            self.out, self.out_until = error, clock.monotonic() + rest
        return error

    def learn(self, asks: Sequence[Ask], replies: Sequence[Reply], *, seconds: float) -> None:
        """Take in what a call that was answered took."""
        self.answered += 1
        self.out = None
        self.gauge.timed(seconds)
        for ask, reply in zip(asks, replies, strict=True):
            self.gauge.learn(ask, reply.usage)

    def together(self, kind: Kind) -> int:
        """How many questions go in one call."""
        return self.provider.most_together if kind is Kind.EMBED else 1

    async def call(self, asks: Sequence[Ask]) -> list[Reply]:
        """Ask once, for all of them."""
        if asks[0].kind is Kind.EMBED:
            return await self.provider.call_many(asks)
        (ask,) = asks
        return [await self.provider.call(ask)]

    @property
    def batch_terms(self) -> BatchTerms:
        """Those of proctor.toml; of batch calls that are left from before, the usual ones."""
        return self.batch or BatchTerms()

    def batch_provider(self) -> BatchProvider:
        """Who is asked about batch calls."""
        assert self.batches is not None  # noqa: S101 - what is no model has none
        return self.batches()

    def batch_price(self) -> Price:
        """What a question costs in a batch call; ProviderRefused where nobody knows."""
        found = self.batch_list()
        if found is None:
            raise ProviderRefused(
                f"the price of {self.model} in batch calls is not known, so no budget could hold",
                found=f"provider {self.name} has a base_url or a price of its own: what its server "
                "charges for batch calls only you know",
                fix=f"[providers.{self.name}] batch = {{ price = {{ input = …, output = … }} }} "
                "(US dollars for 1M tokens; the vendors charge half)",
            )
        return found

    def price(self) -> Price:
        """What it costs; ProviderRefused where nobody knows."""
        found = self.provider.price(self.model)
        if found is None:
            own = "{ input = …, output = … } (what its server charges, US dollars for 1M tokens)"
            if self.service is not None:
                own = "{ request = … } (US dollars; 0 where it costs nothing)"
            raise ProviderRefused(
                f"the price of {self.model} is not known, so no budget could hold",
                found=f"provider {self.name} of proctor.toml has no price",
                fix=f"[providers.{self.name}] price = {own}",
            )
        return found
