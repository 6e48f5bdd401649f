"""From `[providers.*]` of proctor.toml to a way to ask them, opened when a run first may ask."""

from __future__ import annotations

import asyncio

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from proctor.adapters.ledger import open_purse
from proctor.config import Config, ProviderSetup
from proctor.engine.answers import Answers, Asker, Desk
from proctor.engine.site import dice
from proctor.ports import Asking, Clock

LONGER: Final = timedelta(seconds=10)
"""For how much longer than its time-out a call is held to be in flight, and takes a place there.

After a kill with all places taken a resumed run stands still for that long.
"""


@dataclass(slots=True)
class Desks(Mapping[str, Desk]):
    """Providers by name, opened one by one when they are asked: what is not used needs no key."""

    setups: Mapping[str, ProviderSetup]
    opened: dict[str, Desk] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Desk:
        """The provider; ConfigError or ProviderRefused where it cannot be asked."""
        if name not in self.opened:
            from proctor.adapters.providers import open_provider

            setup = self.setups[name]
            key = None if setup.key is None else setup.key.reveal()
            self.opened[name] = Desk(
                name=name,
                provider=open_provider(setup.settings, key),
                model=setup.settings.full_model,
                most_output=setup.settings.max_tokens,
            )
        return self.opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.setups)

    def __len__(self) -> int:
        return len(self.setups)

    def __contains__(self, name: object) -> bool:
        return name in self.setups


@dataclass(slots=True)
class Counter:
    """Where the functions of one process ask; shares limits, money and answers by the ledger."""

    config: Config
    ledger: str
    clock: Clock
    answers: Answers | None = None
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    stops: list[Callable[[], int]] = field(default_factory=list)
    """The stop words of those who asked."""

    async def asking(self, run: str, stopped: Callable[[], int]) -> Asking | None:
        """What a run's functions ask through; None where proctor.toml names no provider."""
        setups = self.config.providers
        if not setups:
            return None
        async with self.opening:
            if self.answers is None:
                purse = await open_purse(
                    self.ledger,
                    setups.limits,
                    redact=self.config.redact,
                    hold_for=timedelta(seconds=setups.longest) + LONGER,
                )
                self.answers = Answers(purse, Desks(setups), self.clock, dice)
        self.stops.append(stopped)
        return Asker(answers=self.answers, run=run, stopped=stopped)

    async def aclose(self) -> None:
        """Keep what is in the air, then give everything back."""
        if self.answers is None:
            return
        await self.answers.aclose(hurry=lambda: any(stop() >= 2 for stop in self.stops))
        desks = self.answers.desks
        if isinstance(desks, Desks):
            for desk in desks.opened.values():
                await desk.provider.aclose()
        await self.answers.purse.aclose()
