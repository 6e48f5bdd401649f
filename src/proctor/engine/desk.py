"""One provider of proctor.toml as the engine asks it: its price, its estimates, its calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from proctor.core.tokens import Gauge
from proctor.errors import ProviderRefused
from proctor.model import Ask, Kind, Price, Reply
from proctor.ports import Provider


@dataclass(slots=True, kw_only=True)
class Desk:
    """One provider of proctor.toml, ready to be asked."""

    name: str
    provider: Provider
    model: str
    most_output: int | None = None
    """Tokens of a reply where the function gives no cap of its own."""
    gauge: Gauge = field(default_factory=Gauge)
    answered: int = 0
    """Calls that were answered: while it rises, a question that breaks is at fault itself."""

    def together(self, kind: Kind) -> int:
        """How many questions go in one call."""
        return self.provider.most_together if kind is Kind.EMBED else 1

    async def call(self, asks: Sequence[Ask]) -> list[Reply]:
        """Ask once, for all of them."""
        if asks[0].kind is Kind.EMBED:
            return await self.provider.call_many(asks)
        (ask,) = asks
        return [await self.provider.call(ask)]

    def price(self) -> Price:
        """What it costs; ProviderRefused where nobody knows."""
        found = self.provider.price(self.model)
        if found is None:
            raise ProviderRefused(
                f"the price of {self.model} is not known, so no budget could hold",
                found=f"provider {self.name} of proctor.toml has no price",
                fix=f"[providers.{self.name}] price = {{ input = 0.15, output = 0.60 }} "
                "(US dollars for a million tokens)",
            )
        return found
