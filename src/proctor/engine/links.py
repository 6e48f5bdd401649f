"""Replies by the rows that they were for: put on record by every run, and read anew by some."""

from __future__ import annotations

import asyncio

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from proctor.authoring import Unanswered
from proctor.core.retry import Do, next_step
from proctor.engine.trips import Trips
from proctor.engine.whose import asker_of
from proctor.errors import EngineError, Unreachable
from proctor.model import Link, Place, Reparse, Reply
from proctor.ports import Clock, Purse

TOGETHER: Final = 200
"""Rows of one trip to the ledger."""


@dataclass(slots=True, kw_only=True)
class Links:
    """What ties the answers of one run to its rows, and what ties earlier ones to the same rows."""

    purse: Purse
    clock: Clock
    dice: Callable[[], float]
    backfill: str
    params: str
    run: str
    mode: Reparse = Reparse.NO
    waiting: list[Link] = field(default_factory=list)
    putting: asyncio.Lock = field(default_factory=asyncio.Lock)
    looks: Trips[str, list[Link]] = field(init=False)

    def __post_init__(self) -> None:
        """Rows that ask while a trip to the ledger is under way go together in the next."""
        self.looks = Trips(self._look, TOGETHER)

    def add(self, place: Place | None, provider: str, key: str) -> None:
        """Tie an answer to its rows, at the next `put`."""
        if place is not None:
            seen = {column: place.seen[column] for column in place.used}
            asker = asker_of(self.backfill, self.params, place.rows)
            self.waiting.append(
                Link(
                    asker=asker,
                    label=place.label,
                    provider=provider,
                    key=key,
                    run=self.run,
                    at=self.clock.now(),
                    seen=seen,
                )
            )

    async def put(self) -> None:
        """Put on record what waits for that; also what somebody else is just taking there."""
        async with self.putting:
            taken, self.waiting = self.waiting, []
            if not taken:
                return
            try:
                await self._patiently(taken)
            except BaseException:
                self.waiting = taken + self.waiting
                raise

    async def _patiently(self, links: Sequence[Link]) -> None:
        attempt = 1
        while True:
            try:
                await self.purse.link(links)
            except (EngineError, Unreachable) as error:
                step = next_step(error, attempt, self.dice())
                if step.do is not Do.AGAIN:
                    raise
                await self.clock.sleep(step.wait)
                attempt += 1
            else:
                return

    async def earlier(self, place: Place | None, provider: str, model: str) -> list[Reply]:
        """Replies that the rows got at that place in the last run that asked it, the newest first.

        Unanswered says why there is none.
        """
        if place is None:
            raise Unanswered(
                "whose kept reply to read cannot be told: give ctx.llm.rows the rows themselves"
            )
        links = await self.looks.send(asker_of(self.backfill, self.params, place.rows))
        mine = [one for one in links if (one.label, one.provider) == (place.label, provider)]
        if not mine:
            raise Unanswered(f"no earlier run has a reply of {provider} for this row")
        last = [one for one in mine if one.run == mine[0].run]
        same = [one for one in last if one.seen.items() <= place.seen.items()]
        if not same:
            raise Unanswered(f"the row has changed since {provider} replied")
        kept = await self.purse.answers([one.key for one in same])
        replies = [kept[one.key] for one in same if one.key in kept]
        if not replies:
            raise Unanswered(f"the reply of {provider} for this row was pruned")
        found = [one.reply for one in replies if one.model == model]
        if not found:
            raise Unanswered(f"the kept reply of {provider} is one of another model")
        return found

    async def _look(self, askers: Sequence[str]) -> list[list[Link]]:
        found: dict[str, list[Link]] = {}
        for one in await self.purse.linked(askers):
            found.setdefault(one.asker, []).append(one)
        return [found.get(asker, []) for asker in askers]


__all__ = ["Links"]
