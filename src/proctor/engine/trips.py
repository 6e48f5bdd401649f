"""Questions to the ledger that go together: one trip at a time, with all that came meanwhile."""

from __future__ import annotations

import asyncio

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")


@dataclass(slots=True)
class Trips(Generic[S, T]):
    """Sends things by `carry`, which takes many and gives one result for each, in their order.

    A trip costs a transaction, whoever travels: under load it is shared, and alone nobody waits.
    """

    carry: Callable[[Sequence[S]], Awaitable[Sequence[T]]]
    most: int
    waiting: deque[tuple[S, asyncio.Future[T]]] = field(default_factory=deque)
    under_way: asyncio.Task[None] | None = None

    async def send(self, thing: S) -> T:
        """One thing's result; an error of the trip is everybody's."""
        arrived: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.waiting.append((thing, arrived))
        if self.under_way is None:
            self.under_way = asyncio.create_task(self._travel())
        return await arrived

    async def _travel(self) -> None:
        try:
            while self.waiting:
                aboard = [self.waiting.popleft() for _ in range(min(self.most, len(self.waiting)))]
                try:
                    results = await self.carry([thing for thing, _ in aboard])
                except Exception as error:  # noqa: BLE001 - it is raised where each is awaited
                    for _, arrived in aboard:
                        if not arrived.done():
                            arrived.set_exception(error)
                    continue
                for (_, arrived), result in zip(aboard, results, strict=True):
                    if not arrived.done():
                        arrived.set_result(result)
        finally:
            self.under_way = None
